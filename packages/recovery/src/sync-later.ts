// What is built in a folder that nobody trusts yet need not be durable step by step, only before anybody does. Then the disk flushes beside
// the work, and each folder once however many names came into it.
import type { FileHandle, FileSystem } from '@timberline/wal'

/** A file system whose syncs are owed until `settle`. */
export interface LaterFileSystem extends FileSystem {
  /** Makes durable all that a sync was asked for so far; rejects with the first error of any. Nothing is under way afterwards. */
  settle(): Promise<void>
}

/** So many flushes at once; the other threads of the pool read and write meanwhile. */
const FLUSHES_MAX = 2
/** So many files are kept open to be flushed; a writer that is further ahead pays one itself. */
const OWED_MAX = 64

/** Owes the syncs of another file system. */
export function syncLater(fileSystem: FileSystem): LaterFileSystem {
  const copy = fileSystem.copyFile?.bind(fileSystem)
  const debts = new Debts(fileSystem)
  return {
    open: async (path, mode) => new LaterHandle(await fileSystem.open(path, mode), debts),
    makeDirectory: (path) => fileSystem.makeDirectory(path),
    list: (path) => fileSystem.list(path),
    status: (path) => fileSystem.status(path),
    link: (existing, path) => fileSystem.link(existing, path),
    ...(copy === undefined ? {} : { copyFile: copy }),
    rename: (from, to) => fileSystem.rename(from, to),
    remove: (path) => fileSystem.remove(path),
    removeTree: (path) => fileSystem.removeTree(path),
    syncDirectory: (path) => debts.addFolder(path),
    watch: (path, onChange) => fileSystem.watch(path, onChange),
    settle: () => debts.settle(),
  }
}

/** A file whose sync is owed from when it is asked for, and paid after it was closed. */
class LaterHandle implements FileHandle {
  readonly #handle: FileHandle
  readonly #debts: Debts
  #isOwed = false

  constructor(handle: FileHandle, debts: Debts) {
    this.#handle = handle
    this.#debts = debts
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#handle.read(target, position)
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#handle.write(source, position)
  }

  sync(): Promise<void> {
    this.#isOwed = true
    return Promise.resolve()
  }

  writeNow(source: Uint8Array, position: number): void {
    this.#handle.writeNow(source, position)
  }

  /** Who cannot wait for another thread gets it at once. */
  syncNow(): void {
    this.#handle.syncNow()
  }

  truncate(bytes: number): Promise<void> {
    return this.#handle.truncate(bytes)
  }

  status(): ReturnType<FileHandle['status']> {
    return this.#handle.status()
  }

  close(): Promise<void> {
    return this.#isOwed ? this.#debts.addFile(this.#handle) : this.#handle.close()
  }
}

class Debts {
  readonly #fileSystem: FileSystem
  readonly #files: FileHandle[] = []
  readonly #folders = new Set<string>()
  readonly #lanes = new Set<Promise<void>>()
  #failure: { readonly cause: unknown } | undefined

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem
  }

  /** Takes over an open file; resolves when there is room for the next one. */
  async addFile(handle: FileHandle): Promise<void> {
    this.#files.push(handle)
    if (this.#lanes.size < FLUSHES_MAX) this.#begin(this.#payFiles())
    while (this.#files.length > OWED_MAX) await this.#payFile()
    this.#throwFirst()
  }

  addFolder(path: string): Promise<void> {
    this.#folders.add(path)
    return Promise.resolve()
  }

  async settle(): Promise<void> {
    await Promise.all(this.#lanes)
    for (const path of this.#folders) this.#begin(this.#payFolder(path))
    this.#folders.clear()
    await Promise.all(this.#lanes)
    this.#throwFirst()
  }

  #begin(work: Promise<void>): void {
    const lane = work
      .catch((cause: unknown) => {
        this.#failure ??= { cause }
      })
      .finally(() => this.#lanes.delete(lane))
    this.#lanes.add(lane)
  }

  async #payFiles(): Promise<void> {
    while (this.#files.length > 0) await this.#payFile()
  }

  async #payFile(): Promise<void> {
    const handle = this.#files.shift()
    try {
      if (this.#failure === undefined) await handle?.sync()
    } catch (cause) {
      this.#failure = { cause }
    } finally {
      await handle?.close()
    }
  }

  /** A folder that was needed on the way only is gone. */
  async #payFolder(path: string): Promise<void> {
    if ((await this.#fileSystem.status(path)) !== undefined) await this.#fileSystem.syncDirectory(path)
  }

  #throwFirst(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
  }
}
