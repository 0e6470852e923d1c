// A shipper in a hurry reads the segment being written eighty times a second: to open and close it each time costs more than to read it.
import { type FileHandle, type FileSystem, NamedHandle } from '@timberline/wal'

/** The file of one segment, kept open until another one is asked for. One call at a time. */
export class SegmentHandle {
  readonly #fileSystem: FileSystem
  readonly #nowMs: (() => number) | undefined
  #path = ''
  #file: NamedHandle | undefined

  /** @param nowMs - the clock by which an open file becomes old; any that only goes forward. */
  constructor(fileSystem: FileSystem, nowMs?: () => number) {
    this.#fileSystem = fileSystem
    this.#nowMs = nowMs
  }

  /** The open file; `undefined` when there is none of this name. */
  async get(path: string): Promise<FileHandle | undefined> {
    if (path !== this.#path) await this.close()
    this.#path = path
    this.#file ??= new NamedHandle({ path, mode: 'read', fileSystem: this.#fileSystem, nowMs: this.#nowMs })
    return this.#file.get()
  }

  async close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
  }
}
