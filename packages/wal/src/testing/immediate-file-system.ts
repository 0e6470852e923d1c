import * as fs from 'node:fs'
import type { FileHandle, FileStatus, FileSystem } from '../files/file-system.ts'
import { nodeFileSystem, OPEN_FLAGS, statusOf } from '../files/node-file-system.ts'
import { nextTurn } from './crash-file-handle.ts'
import { statOf } from './foreign-folders.ts'

/**
 * The real file system on the calling thread: for thousands of short lives in a folder in memory, where the way to another thread and
 * back costs many times what the call does. Only a sync lets others run first, as that of the simulated disk.
 */
export const immediateFileSystem: FileSystem = {
  open: async (path, mode) => new ImmediateFileHandle(fs.openSync(path, OPEN_FLAGS[mode])),
  makeDirectory: async (path) => {
    fs.mkdirSync(path, { recursive: true })
  },
  list: async (path) => fs.readdirSync(path).sort(),
  status: async (path) => {
    const stats = unlessNoFolder(() => statOf(path))
    return stats === undefined ? undefined : statusOf(stats)
  },
  link: async (existing, path) => fs.linkSync(existing, path),
  copyFile: async (from, to) => fs.copyFileSync(from, to, fs.constants.COPYFILE_EXCL),
  rename: async (from, to) => fs.renameSync(from, to),
  remove: async (path) => fs.unlinkSync(path),
  removeTree: async (path) => fs.rmSync(path, { recursive: true, force: true }),
  syncDirectory: async (path) => {
    const descriptor = fs.openSync(path, 'r')
    try {
      await nextTurn()
      fs.fsyncSync(descriptor)
    } finally {
      fs.closeSync(descriptor)
    }
  },
  watch: (path, onChange) => nodeFileSystem.watch(path, onChange),
}

class ImmediateFileHandle implements FileHandle {
  readonly #descriptor: number
  #isClosed = false

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0
    while (done < target.length) {
      const read = fs.readSync(this.#descriptor, target, done, target.length - done, position + done)
      if (read === 0) break
      done += read
    }
    return done
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.writeNow(source, position)
  }

  writeNow(source: Uint8Array, position: number): void {
    let done = 0
    while (done < source.length) {
      done += fs.writeSync(this.#descriptor, source, done, source.length - done, position + done)
    }
  }

  async sync(): Promise<void> {
    await nextTurn()
    this.syncNow()
  }

  syncNow(): void {
    fs.fdatasyncSync(this.#descriptor)
  }

  async truncate(bytes: number): Promise<void> {
    fs.ftruncateSync(this.#descriptor, bytes)
  }

  async status(): Promise<FileStatus> {
    return statusOf(fs.fstatSync(this.#descriptor))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    fs.closeSync(this.#descriptor)
  }
}

/** A file in the way means that nothing has the name. */
function unlessNoFolder<Result>(look: () => Result): Result | undefined {
  try {
    return look()
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return undefined
    throw error
  }
}
