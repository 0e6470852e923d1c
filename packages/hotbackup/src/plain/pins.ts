/**
 * Files of a folder that somebody else removes files from, kept readable: by a second name in a private folder where the file
 * system allows it, else by an open handle. Links leave room for any number of tables; handles work from anywhere, also for a
 * user who may only read. Either way nothing is written into the live folder, and LevelDB is never opened on the links: it would
 * write through the shared content.
 */
import { join } from 'node:path'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { systemCodeOf } from '../errors.ts'
import type { FileRange } from '../sink/file-source.ts'

/** What a system answers where it gives no second name. */
const NO_LINKS: ReadonlySet<string | undefined> = new Set([
  'EXDEV',
  'EPERM',
  'EACCES',
  'EMLINK',
  'ENOSYS',
  'ENOTSUP',
  'EOPNOTSUPP',
])

/** How files are kept readable. */
export type PinnedBy = 'links' | 'handles'

/** The pinned files of one folder. */
export class Pins {
  readonly #folder: string
  readonly #scratch: string
  readonly #fileSystem: FileSystem
  /** By name; `undefined` for a link. */
  readonly #pinned = new Map<string, FileHandle | undefined>()
  #by: PinnedBy = 'links'

  /** @param scratch - an empty folder that nobody else uses */
  constructor(folder: string, scratch: string, fileSystem: FileSystem) {
    this.#folder = folder
    this.#scratch = scratch
    this.#fileSystem = fileSystem
  }

  get by(): PinnedBy {
    return this.#by
  }

  /** Keeps a file readable; false when it is gone. */
  async pin(name: string): Promise<boolean> {
    if (this.#pinned.has(name)) return true
    try {
      this.#pinned.set(name, await this.#take(name))
      return true
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return false
      throw error
    }
  }

  /** Lets go of all other files. */
  async keepOnly(names: ReadonlySet<string>): Promise<void> {
    for (const [name, handle] of this.#pinned) {
      if (names.has(name)) continue
      this.#pinned.delete(name)
      await (handle === undefined ? this.#fileSystem.remove(join(this.#scratch, name)) : handle.close())
    }
  }

  /** Its length now. */
  async bytes(name: string): Promise<number> {
    return this.use(name, async (handle) => (await handle.status()).bytes)
  }

  /** The first bytes of a pinned file, to be copied. */
  range(name: string, bytes: number): FileRange {
    return { path: join(this.#scratch, name), bytes, handle: this.#pinned.get(name) }
  }

  /** Reads in a pinned file. */
  async use<Result>(name: string, read: (handle: FileHandle) => Promise<Result>): Promise<Result> {
    const pinned = this.#pinned.get(name)
    if (pinned !== undefined) return read(pinned)
    const handle = await this.#fileSystem.open(join(this.#scratch, name), 'read')
    try {
      return await read(handle)
    } finally {
      await handle.close()
    }
  }

  /** Closes the handles; links go with their folder. */
  async release(): Promise<void> {
    const handles = [...this.#pinned.values()]
    this.#pinned.clear()
    for (const handle of handles) await handle?.close()
  }

  async #take(name: string): Promise<FileHandle | undefined> {
    const path = join(this.#folder, name)
    if (this.#by === 'links') {
      try {
        await this.#fileSystem.link(path, join(this.#scratch, name))
        return undefined
      } catch (error) {
        if (!NO_LINKS.has(systemCodeOf(error))) throw error
        this.#by = 'handles'
      }
    }
    return this.#fileSystem.open(path, 'read')
  }
}
