// What is built in a folder that nobody trusts yet need not be durable step by step, only before anybody does. Then the disk flushes beside
// the work, and each folder once however many names came into it.
import { type FileHandle, type FileSystem, type SyncQueue, syncQueue } from '@timberline/wal'
import { transferAll } from '../transfer.ts'

/** A file system whose syncs are owed until `settle`. */
export interface LaterFileSystem extends FileSystem {
  /** Makes durable all that a sync was asked for so far; rejects with the first error of any. Nothing is under way afterwards. */
  settle(): Promise<void>
}

/** Files that wait for their flush: whoever verifies goes on meanwhile, and few enough are open. */
const PENDING_MAX = 16
/** So many are flushed at once. Four held all threads of the pool, and nobody could read or write beside them. */
const FLUSHES_MAX = 3

/** Owes the syncs of another file system. */
export function syncLater(fileSystem: FileSystem): LaterFileSystem {
  const copy = fileSystem.copyFile?.bind(fileSystem)
  const files = syncQueue(PENDING_MAX, FLUSHES_MAX)
  const folders = new Set<string>()
  return {
    open: async (path, mode) => new LaterHandle(await fileSystem.open(path, mode), files),
    makeDirectory: (path) => fileSystem.makeDirectory(path),
    list: (path) => fileSystem.list(path),
    status: (path) => fileSystem.status(path),
    link: (existing, path) => fileSystem.link(existing, path),
    ...(copy === undefined ? {} : { copyFile: copy }),
    rename: (from, to) => fileSystem.rename(from, to),
    remove: (path) => fileSystem.remove(path),
    removeTree: (path) => fileSystem.removeTree(path),
    syncDirectory: async (path) => {
      folders.add(path)
    },
    watch: (path, onChange) => fileSystem.watch(path, onChange),
    settle: async () => {
      await files.settled()
      const owed = [...folders]
      folders.clear()
      await transferAll(owed, async (path) => {
        // One that was needed on the way only is gone.
        if ((await fileSystem.status(path)) !== undefined) await fileSystem.syncDirectory(path)
      })
    },
  }
}

/** Behind so many bytes a sync is made when it is asked for: a long file is flushed on its way, so that little is left in the end. */
const LONG_BYTES = 4 * 1024 * 1024

/** A file whose sync is owed from when it is asked for, and paid after it was closed. */
class LaterHandle implements FileHandle {
  readonly #handle: FileHandle
  readonly #files: SyncQueue
  #isOwed = false
  /** Written since the last sync that was made. */
  #bytes = 0

  constructor(handle: FileHandle, files: SyncQueue) {
    this.#handle = handle
    this.#files = files
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#handle.read(target, position)
  }

  write(source: Uint8Array, position: number): Promise<void> {
    this.#bytes += source.length
    return this.#handle.write(source, position)
  }

  sync(): Promise<void> {
    if (this.#bytes >= LONG_BYTES) {
      this.#bytes = 0
      return this.#handle.sync()
    }
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
    return this.#isOwed ? this.#files.add(this.#handle) : this.#handle.close()
  }
}
