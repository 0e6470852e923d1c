// A file that another process makes, removes and makes again, kept open: to read or to write it is then one call.
import { systemCode } from '../errors.ts'
import type { FileHandle, FileSystem } from './file-system.ts'

/** For so long an open file is trusted to be the one that has the name, in milliseconds. */
const HANDLE_MS_MAX = 1000

/** Which file, and for what. */
export interface NamedHandleOptions {
  readonly path: string
  readonly mode: 'read' | 'write'
  readonly fileSystem: FileSystem
  /** The clock by which an open file becomes old; any that only goes forward. Default: the process's own. */
  readonly nowMs?: (() => number) | undefined
}

/** The file that has a name, or had it a second ago. One call at a time. */
export class NamedHandle {
  readonly #options: NamedHandleOptions
  #handle: FileHandle | undefined
  #openedMs = Number.NEGATIVE_INFINITY

  constructor(options: NamedHandleOptions) {
    this.#options = options
  }

  /** The open file; `undefined` while there is none of this name. */
  async get(): Promise<FileHandle | undefined> {
    // A handle goes on meaning the file that was opened, though another one has the name by now.
    if (this.#nowMs() - this.#openedMs >= HANDLE_MS_MAX) await this.close()
    this.#handle ??= await this.#open()
    return this.#handle
  }

  async close(): Promise<void> {
    const handle = this.#handle
    this.#handle = undefined
    await handle?.close()
  }

  async #open(): Promise<FileHandle | undefined> {
    const { path, mode, fileSystem } = this.#options
    this.#openedMs = this.#nowMs()
    try {
      return await fileSystem.open(path, mode)
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? performance.now()
  }
}
