/**
 * A file that goes on in the next folder when its disk is full. A full disk shows at a write, at a sync, or when the file is
 * begun; what was written until then is copied over, and the file in the full folder is removed.
 */
import { join } from 'node:path'
import { invariant, readFully, removeIfPresent, systemCode } from '@timberline/wal'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import { FLUSHED_BYTES } from '../flushed-bytes.ts'
import type { FolderQueue } from './folder-turns.ts'
import { volumeDamaged } from './volume-header.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT'])
const CHUNK_BYTES = 1024 * 1024

/** A new file in the first folder that has room, from its turn on. */
export class SpillFile {
  readonly name: string
  readonly #turn: number
  readonly #folders: FolderQueue
  readonly #fileSystem: FileSystem
  /** Wherever it may have a name. */
  readonly #paths = new Set<string>()
  #directory = ''
  #handle: FileHandle | undefined
  #bytes = 0
  #unflushedBytes = 0

  constructor(
    { name, turn }: { readonly name: string; readonly turn: number },
    folders: FolderQueue,
    fileSystem: FileSystem,
  ) {
    this.name = name
    this.#turn = turn
    this.#folders = folders
    this.#fileSystem = fileSystem
  }

  get directory(): string {
    return this.#directory
  }

  get path(): string {
    return join(this.#directory, this.name)
  }

  /** Length so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** @throws ARCHIVE_VOLUMES_FULL when no folder has room */
  async write(source: Buffer, position: number): Promise<void> {
    await this.#whereRoomIs(async () => (await this.#opened()).write(source, position))
    this.#bytes = Math.max(this.#bytes, position + source.length)
    this.#unflushedBytes += source.length
    if (this.#unflushedBytes >= FLUSHED_BYTES) await this.#flush()
  }

  /** Makes all of it durable, but for its name, and closes it. */
  async finish(): Promise<void> {
    // From here on the content survives power loss.
    await this.#flush()
    await this.#close()
  }

  /** Closes and removes it, wherever it went. */
  async abandon(): Promise<void> {
    await this.#close()
    for (const path of this.#paths) await removeIfPresent(path, this.#fileSystem)
  }

  async #flush(): Promise<void> {
    await this.#whereRoomIs(async () => (await this.#opened()).sync())
    this.#unflushedBytes = 0
  }

  async #opened(): Promise<FileHandle> {
    if (this.#handle !== undefined) return this.#handle
    const directory = this.#folders.folderAt(this.#turn)
    invariant(directory !== undefined, 'a call ends with its last folder')
    this.#directory = directory
    this.#paths.add(this.path)
    return (this.#handle = await this.#fileSystem.open(this.path, 'create'))
  }

  async #whereRoomIs(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!isFull(error)) throw error
        await this.#moveOn(error)
      }
    }
  }

  async #moveOn(cause: unknown): Promise<void> {
    const from = this.path
    for (let reason = cause; ;) {
      this.#leave(reason)
      await this.#close()
      try {
        await this.#copyFrom(from)
        await this.#remove(from)
        return
      } catch (error) {
        if (!isFull(error)) throw error
        // This folder has no room for what there is already: the next one gets it from where it is whole.
        await this.#close()
        await this.#remove(this.path)
        reason = error
      }
    }
  }

  #leave(cause: unknown): void {
    const { dirs } = this.#folders
    if (this.#folders.passOver(this.#directory)) return
    throw archiveError('ARCHIVE_VOLUMES_FULL', 'no folder has room for the next volume', {
      details: { dirs },
      cause,
    })
  }

  async #copyFrom(path: string): Promise<void> {
    const to = await this.#opened()
    if (this.#bytes === 0) return
    const from = await this.#fileSystem.open(path, 'read')
    try {
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, this.#bytes))
      for (let position = 0; position < this.#bytes; position += chunk.length) {
        const part = chunk.subarray(0, Math.min(chunk.length, this.#bytes - position))
        const got = await readFully(from, part, position)
        if (got < part.length) throw volumeDamaged(path, 'it lost bytes while it was written')
        await to.write(part, position)
      }
    } finally {
      await from.close()
    }
  }

  async #remove(path: string): Promise<void> {
    await removeIfPresent(path, this.#fileSystem)
    this.#paths.delete(path)
  }

  async #close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }
}

function isFull(error: unknown): boolean {
  return FULL.has(systemCode(error) ?? '')
}
