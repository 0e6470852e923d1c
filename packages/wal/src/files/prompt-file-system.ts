import * as fs from 'node:fs'
import type { FileStatus, FileSystem } from './file-system.ts'
import { NodeFileHandle, nodeFileSystem, OPEN_FLAGS, statusOf } from './node-file-system.ts'

/** Up to here bytes are read, written and flushed faster than another thread is woken. */
const BYTES_AT_ONCE_MAX = 64 * 1024

/** A file whose last flush took longer is not flushed on the calling thread the next time, in milliseconds. */
const FLUSH_MS_AT_ONCE_MAX = 10

/**
 * The real file system, with all that is short done on the calling thread: the way to another thread and back takes longer than
 * the call itself. Whole folders, long transfers and their flushes stay with the pool, as in `nodeFileSystem`, and flushes of a file that
 * were slow.
 *
 * For a process that does nothing else meanwhile, such as a backup or the shipper of one archive. Never beside an application, and never
 * where another archive must go on: a call on a file system that hangs holds up the whole process.
 */
export const promptFileSystem: FileSystem = {
  ...nodeFileSystem,
  open: async (path, mode) => new PromptFileHandle(fs.openSync(path, OPEN_FLAGS[mode])),
  status: async (path) => {
    const stats = fs.statSync(path, { throwIfNoEntry: false })
    return stats === undefined ? undefined : statusOf(stats)
  },
  link: async (existing, path) => fs.linkSync(existing, path),
  rename: async (from, to) => fs.renameSync(from, to),
  remove: async (path) => fs.unlinkSync(path),
}

class PromptFileHandle extends NodeFileHandle {
  /** How long the last flush took; the first one is not waited for by the whole thread. */
  #flushMs = Infinity
  #unflushedBytes = 0
  /** Calls that the pool has not answered yet. */
  readonly #pooled = new Set<Promise<unknown>>()

  override async read(target: Uint8Array, position: number): Promise<number> {
    if (target.length > BYTES_AT_ONCE_MAX) return this.#inPool(super.read(target, position))
    return fs.readSync(this.descriptor, target, 0, target.length, position)
  }

  override async write(source: Uint8Array, position: number): Promise<void> {
    this.#unflushedBytes += source.length
    if (source.length > BYTES_AT_ONCE_MAX) return this.#inPool(super.write(source, position))
    this.writeNow(source, position)
  }

  override async sync(): Promise<void> {
    const begunMs = performance.now()
    const isShort = this.#unflushedBytes <= BYTES_AT_ONCE_MAX && this.#flushMs <= FLUSH_MS_AT_ONCE_MAX
    this.#unflushedBytes = 0
    if (isShort) this.syncNow()
    else await this.#inPool(super.sync())
    this.#flushMs = performance.now() - begunMs
  }

  override async status(): Promise<FileStatus> {
    return statusOf(fs.fstatSync(this.descriptor))
  }

  protected override async release(): Promise<void> {
    // What the pool is still at must not find another file under this number.
    if (this.#pooled.size > 0) await Promise.allSettled(this.#pooled)
    fs.closeSync(this.descriptor)
  }

  async #inPool<Result>(call: Promise<Result>): Promise<Result> {
    this.#pooled.add(call)
    try {
      return await call
    } finally {
      this.#pooled.delete(call)
    }
  }
}
