import * as fs from 'node:fs'
import { promises } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { systemCode } from '../errors.ts'
import type { FileHandle, FileStatus, FileSystem, OpenMode } from './file-system.ts'

/** What the system is asked for to open a file. */
export const OPEN_FLAGS: Readonly<Record<OpenMode, string>> = { read: 'r', write: 'r+', create: 'wx+' }

/** The real file system. */
export const nodeFileSystem: FileSystem = {
  open: (path, mode) =>
    new Promise((resolve, reject) => {
      fs.open(path, OPEN_FLAGS[mode], (error, descriptor) =>
        error === null ? resolve(new NodeFileHandle(descriptor)) : reject(error),
      )
    }),
  makeDirectory,
  list: async (path) => (await promises.readdir(path)).sort(),
  status: async (path) => {
    const stats = await new Promise<fs.Stats | undefined>((resolve, reject) => {
      fs.stat(path, (error, found) => {
        if (error === null) resolve(found)
        else if (error.code === 'ENOENT' || error.code === 'ENOTDIR') resolve(undefined)
        else reject(error)
      })
    })
    return stats === undefined ? undefined : statusOf(stats)
  },
  link: (existing, path) => called((done) => fs.link(existing, path, done)),
  copyFile: (from, to) => promises.copyFile(from, to, fs.constants.COPYFILE_EXCL),
  rename: (from, to) => called((done) => fs.rename(from, to, done)),
  remove: (path) => called((done) => fs.unlink(path, done)),
  removeTree: (path) => promises.rm(path, { recursive: true, force: true }),
  syncDirectory,
  watch,
}

/** For calls that come by the hundred: `node:fs/promises` takes the calling thread longer for each. */
function called(call: (done: fs.NoParamCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)))
  })
}

async function makeDirectory(path: string): Promise<void> {
  try {
    await promises.mkdir(path, { recursive: true })
  } catch (error) {
    // v8 ignore next -- only a full disk leads past this; the tests with servers have one
    if (systemCode(error) !== 'ENOENT') throw error
    // Node tells ENOENT for whatever it does not know there, a full disk for one; step by step, the system says what it was.
    const missing: string[] = []
    for (let at = resolve(path); !fs.existsSync(at); at = dirname(at)) missing.unshift(at)
    for (const folder of missing) await promises.mkdir(folder)
  }
}

/** Over a bare descriptor, so that the same file can be written by this thread and by the pool. */
export class NodeFileHandle implements FileHandle {
  protected readonly descriptor: number
  #closed = false

  constructor(descriptor: number) {
    this.descriptor = descriptor
  }

  /** One call of the system: to ask again whether the file goes on is for callers who need to know. */
  read(target: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(this.descriptor, target, 0, target.length, position, (error, read) =>
        error === null ? resolve(read) : reject(error),
      )
    })
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    let done = 0
    while (done < source.length) done += await this.#writeOnce(source, done, position + done)
  }

  writeNow(source: Uint8Array, position: number): void {
    let done = 0
    while (done < source.length) {
      done += fs.writeSync(this.descriptor, source, done, source.length - done, position + done)
    }
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.descriptor, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  syncNow(): void {
    fs.fdatasyncSync(this.descriptor)
  }

  truncate(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.ftruncate(this.descriptor, bytes, (error) => (error === null ? resolve() : reject(error)))
    })
  }

  status(): Promise<FileStatus> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.descriptor, (error, stats) =>
        error === null
          ? resolve(statusOf(stats))
          : /* v8 ignore next -- no system refuses it of an open file */ reject(error),
      )
    })
  }

  close(): Promise<void> {
    // A second close would close a descriptor that by then may belong to another file.
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    return this.release()
  }

  /** Gives the descriptor back, once. */
  protected release(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.close(this.descriptor, (error) =>
        error ? /* v8 ignore next -- only network file systems fail here */ reject(error) : resolve(),
      )
    })
  }

  #writeOnce(source: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.descriptor, source, offset, source.length - offset, position, (error, written) =>
        error === null ? resolve(written) : reject(error),
      )
    })
  }
}

/** What the port tells of a file. */
export function statusOf(stats: fs.Stats): FileStatus {
  return {
    bytes: stats.size,
    isDirectory: stats.isDirectory(),
    modifiedAtMs: stats.mtimeMs,
    linkCount: stats.nlink,
  }
}

async function syncDirectory(path: string): Promise<void> {
  // Windows opens no folder for syncing; its file systems journal names themselves.
  /* v8 ignore if -- the tests run where it is another system */
  if (process.platform === 'win32') return
  const descriptor = await new Promise<number>((resolve, reject) => {
    fs.open(path, 'r', (error, opened) => (error === null ? resolve(opened) : reject(error)))
  })
  try {
    // Names made, changed or removed in this folder before now are durable.
    await new Promise<void>((resolve, reject) => {
      fs.fsync(descriptor, (error) => (error === null ? resolve() : reject(error)))
    })
  } finally {
    // On this thread: to close what was only read takes less than a hop to another one.
    fs.closeSync(descriptor)
  }
}

function watch(path: string, onChange: () => void): () => void {
  try {
    const watcher = fs.watch(path, { persistent: false }, () => onChange())
    // The folder went away or the system lost the watch: callers poll as well, so they only get slower.
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    // The system has no watch left to give (a limit per user on Linux): the callers' poll is what remains.
    return () => undefined
  }
}
