// Fault model: power may fail between any two calls of the file system. An object appears by one link of a synced temporary
// file, so that a name never has half a content; temporary files are what a crash may leave, and are removed when a day old.
import { randomBytes } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { nodeFileSystem, readFully, type FileHandle, type FileSystem } from '@timberline/wal'
import {
  type ArchiveStore,
  checkedName,
  GET_BYTES_MAX,
  type GrowingObject,
  type PutOutcome,
  type PutStream,
} from './archive-store.ts'
import { DurableFolders } from './durable-folders.ts'
import { archiveError } from '../errors.ts'
import { FLUSHED_BYTES } from '../flushed-bytes.ts'
import { GrowingFile } from './growing-file.ts'
import { listTree } from './directory-listing.ts'
import { systemCodeOf, wrapped } from './system-failure.ts'

const TEMPORARY_FOLDER = '.tmp'
const TEMPORARY_AGE_MS_MAX = 24 * 3_600_000
const CHUNK_BYTES = 1024 * 1024
/** Up to this an object is flushed once, at its end: tables of the usual size, which are many. */
const FLUSHED_ONCE_BYTES = 4 * 1024 * 1024

/** A store in a folder, which is made with the first object. Its objects are plain files under their names. */
export function directoryStore(path: string, fileSystem: FileSystem = nodeFileSystem): ArchiveStore {
  const root = resolve(path)
  const folder = new ObjectFolder(root, fileSystem)
  const site = (name: string): { name: string; url: string } => ({ name, url: root })
  return {
    url: root,
    put: (name, content) =>
      wrapped(() => folder.put(checkedName(name), content), { ...site(name), isPut: true }),
    grow: (name) => wrapped(() => folder.grow(checkedName(name)), { ...site(name), isPut: true }),
    get: (name, { bytesMax = GET_BYTES_MAX } = {}) =>
      wrapped(async () => {
        const handle = await fileSystem.open(folder.pathOf(name), 'read')
        try {
          const { bytes } = await handle.status()
          if (bytes > bytesMax) throw tooLarge(name, { bytes, bytesMax })
          return await readPart(handle, { position: 0, bytes })
        } finally {
          await handle.close()
        }
      }, site(name)),
    getRange: (name, range) =>
      wrapped(async () => {
        const handle = await fileSystem.open(folder.pathOf(name), 'read')
        try {
          const { bytes } = await handle.status()
          const length = Math.max(0, Math.min(range.bytes, bytes - range.position))
          return await readPart(handle, { position: range.position, bytes: length })
        } finally {
          await handle.close()
        }
      }, site(name)),
    async *getStream(name, memory) {
      const handle = await wrapped(() => fileSystem.open(folder.pathOf(name), 'read'), site(name))
      try {
        // An object never grows. Most are small: no memory is taken for more than there is, and no read asks for more.
        const { bytes: length } = await wrapped(() => handle.status(), site(name))
        for (let position = 0; position < length;) {
          const bytesMax = Math.min(CHUNK_BYTES, length - position)
          const target = memory?.take(bytesMax) ?? Buffer.allocUnsafe(bytesMax)
          const read = await wrapped(() => readFully(handle, target, position), site(name))
          if (read > 0) yield target.subarray(0, read)
          if (read < target.length) return
          position += read
        }
      } finally {
        await handle.close()
      }
    },
    status: (name) =>
      wrapped(async () => {
        const found = await fileSystem.status(folder.pathOf(name))
        return found === undefined || found.isDirectory ? undefined : { bytes: found.bytes }
      }, site(name)),
    list: (prefix, options = {}) => listTree(fileSystem, root, { prefix, ...options }),
    delete: (name) =>
      wrapped(async () => {
        try {
          await fileSystem.remove(folder.pathOf(name))
        } catch (error) {
          if (systemCodeOf(error) !== 'ENOENT' && systemCodeOf(error) !== 'ENOTDIR') throw error
        }
      }, site(name)),
  }
}

class ObjectFolder {
  readonly #root: string
  readonly #fileSystem: FileSystem
  readonly #folders: DurableFolders
  /** Temporary files that could not be removed, for the next put to try again. */
  readonly #left = new Set<string>()
  #isSwept = false

  constructor(root: string, fileSystem: FileSystem) {
    this.#root = root
    this.#fileSystem = fileSystem
    this.#folders = new DurableFolders(fileSystem)
  }

  pathOf(name: string): string {
    return join(this.#root, checkedName(name))
  }

  async put(name: string, content: Uint8Array | PutStream): Promise<PutOutcome> {
    const temporaryFolder = join(this.#root, TEMPORARY_FOLDER)
    const path = this.pathOf(name)
    await this.#folders.ensure(temporaryFolder)
    await this.#folders.ensure(dirname(path))
    await this.#sweep(temporaryFolder)
    // Each once: one that still cannot be removed is noted again, and its turn is the next put.
    const before = [...this.#left]
    for (const left of before) await this.#removeTemporary(left)
    const temporary = join(temporaryFolder, randomBytes(12).toString('hex'))
    try {
      await this.#write(temporary, content)
      return await this.#appear(temporary, path)
    } finally {
      await this.#removeTemporary(temporary)
    }
  }

  async grow(name: string): Promise<GrowingObject> {
    const path = this.pathOf(name)
    await this.#folders.ensure(dirname(path))
    const handle = await created(this.#fileSystem, path)
    try {
      // An empty object is one: that it has its name is durable before anything is in it.
      await this.#fileSystem.syncDirectory(dirname(path))
    } catch (error) {
      await handle.close()
      throw error
    }
    return new GrowingFile(handle, { name, url: this.#root })
  }

  async #write(path: string, content: Uint8Array | PutStream): Promise<void> {
    const handle = await this.#fileSystem.open(path, 'create')
    const isWhole = content instanceof Uint8Array
    const announced = isWhole ? content.length : content.bytes
    const isFlushedOnce = announced !== undefined && announced <= FLUSHED_ONCE_BYTES
    try {
      let position = 0
      let flushedTo = 0
      for await (const chunk of isWhole ? [content] : content.read()) {
        for (const part of partsOf(chunk)) {
          await handle.write(part, position)
          position += part.length
          if (isFlushedOnce || position - flushedTo < FLUSHED_BYTES) continue
          await handle.sync()
          flushedTo = position
        }
      }
      if (announced !== undefined && announced !== position) {
        const details = { bytes: position, announcedBytes: announced }
        throw archiveError('ARCHIVE_SOURCE_CHANGED', 'a stream has another length than announced', {
          details,
        })
      }
      // The content is durable before it gets its name.
      await handle.sync()
    } finally {
      await handle.close()
    }
  }

  async #appear(temporary: string, path: string): Promise<PutOutcome> {
    let outcome: PutOutcome = 'created'
    try {
      await this.#fileSystem.link(temporary, path)
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw error
      if (!(await this.#isSame(temporary, path))) {
        throw archiveError('ARCHIVE_CONFLICT', 'other content is stored under this name', {
          details: { path },
        })
      }
      outcome = 'exists-same'
    }
    // The name is durable: also one that a put left which died before this.
    await this.#fileSystem.syncDirectory(dirname(path))
    return outcome
  }

  async #isSame(path: string, other: string): Promise<boolean> {
    const handles = [await this.#fileSystem.open(path, 'read')]
    try {
      handles.push(await this.#fileSystem.open(other, 'read'))
      for (let position = 0; ; position += CHUNK_BYTES) {
        const [a, b] = await Promise.all(
          handles.map((handle) => readPart(handle, { position, bytes: CHUNK_BYTES })),
        )
        if (a === undefined || b === undefined || !a.equals(b)) return false
        if (a.length < CHUNK_BYTES) return true
      }
    } finally {
      for (const handle of handles) await handle.close()
    }
  }

  /** Once, and only what is old: another process may be writing its own. */
  async #sweep(temporaryFolder: string): Promise<void> {
    if (this.#isSwept) return
    this.#isSwept = true
    for (const name of await this.#fileSystem.list(temporaryFolder)) {
      const found = await this.#fileSystem.status(join(temporaryFolder, name))
      if (found !== undefined && Date.now() - found.modifiedAtMs > TEMPORARY_AGE_MS_MAX) {
        await this.#removeTemporary(join(temporaryFolder, name))
      }
    }
  }

  async #removeTemporary(path: string): Promise<void> {
    this.#left.delete(path)
    try {
      await this.#fileSystem.remove(path)
    } catch (error) {
      const code = systemCodeOf(error)
      if (code === undefined) throw error
      // A disk that went read-only, say. Nothing depends on the file, but nobody else would remove it for hours.
      if (code !== 'ENOENT') this.#left.add(path)
    }
  }
}

function* partsOf(chunk: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < chunk.length; at += FLUSHED_BYTES) yield chunk.subarray(at, at + FLUSHED_BYTES)
}

async function created(fileSystem: FileSystem, path: string): Promise<FileHandle> {
  try {
    return await fileSystem.open(path, 'create')
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error
    throw archiveError('ARCHIVE_CONFLICT', 'an object of this name is there', { details: { path } })
  }
}

async function readPart(handle: FileHandle, range: { position: number; bytes: number }): Promise<Buffer> {
  const target = Buffer.allocUnsafe(range.bytes)
  return target.subarray(0, await readFully(handle, target, range.position))
}

function tooLarge(name: string, details: { bytes: number; bytesMax: number }): Error {
  return archiveError('ARCHIVE_OBJECT_TOO_LARGE', 'an object is too large to hold', {
    details: { name, ...details },
  })
}
