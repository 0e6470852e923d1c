import { setImmediate } from 'node:timers'
import type { FileHandle, FileStatus } from '../files/file-system.ts'
import type { MemoryDisk } from './memory-disk.ts'
import type { MemoryFile, MemoryNode } from './memory-node.ts'
import { systemError } from './system-error.ts'

/** A handle of a `CrashFileSystem`. */
export interface CrashFileHandle extends FileHandle {
  /**
   * Does to the file what Linux does when a sync fails: the written bytes count as clean, stay readable, and are lost with
   * the power even when a later sync succeeds. `FaultFileSystem` calls it for an injected failure of `sync`.
   */
  failSync(): void
  /** Begins a sync that covers what was changed so far, and counts once the returned function is called: for replaying a record. */
  beginSync(): () => void
}

export interface OpenedFile {
  readonly disk: MemoryDisk
  readonly file: MemoryFile
  readonly isWritable: boolean
}

/** Opens a handle; the counterpart of its `close` is the count that keeps the bytes of a nameless file. */
export function openHandle(opened: OpenedFile): CrashFileHandle {
  opened.file.openCount += 1
  return new MemoryFileHandle(opened)
}

/** What `status` tells of a file or folder of the simulated disk. */
export function statusOf(node: MemoryNode): FileStatus {
  return {
    bytes: node.isFolder ? 0 : node.live.bytes,
    isDirectory: node.isFolder,
    modifiedAtMs: node.modifiedAtMs,
    linkCount: node.isFolder ? 1 : node.parents.length,
  }
}

/** Lets everything that is ready run first, so that writes issued while a sync is under way are not covered by it. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

class MemoryFileHandle implements CrashFileHandle {
  readonly #disk: MemoryDisk
  readonly #file: MemoryFile
  readonly #isWritable: boolean
  #isClosed = false

  constructor({ disk, file, isWritable }: OpenedFile) {
    this.#disk = disk
    this.#file = file
    this.#isWritable = isWritable
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    this.#begin('read')
    return this.#file.live.read(target, position)
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.writeNow(source, position)
  }

  async sync(): Promise<void> {
    const end = this.beginSync()
    await nextTurn()
    end()
  }

  beginSync(): () => void {
    this.#begin('fdatasync')
    const point = this.#disk.syncPoint(this.#file)
    return () => {
      this.#disk.checkPower('fdatasync')
      this.#disk.makeDurable(this.#file, point)
    }
  }

  writeNow(source: Uint8Array, position: number): void {
    this.#begin('write')
    this.#checkWritable('write')
    this.#disk.write(this.#file, source, position)
  }

  syncNow(): void {
    this.#begin('fdatasync')
    this.#disk.makeDurable(this.#file, this.#disk.syncPoint(this.#file))
  }

  async truncate(bytes: number): Promise<void> {
    this.#begin('ftruncate')
    this.#checkWritable('ftruncate')
    this.#disk.truncate(this.#file, bytes)
  }

  async status(): Promise<FileStatus> {
    this.#begin('fstat')
    return statusOf(this.#file)
  }

  async close(): Promise<void> {
    this.#disk.begin('close')
    if (this.#isClosed) return
    this.#isClosed = true
    this.#file.openCount -= 1
    this.#disk.release(this.#file)
  }

  failSync(): void {
    this.#file.abandonWrites()
  }

  #begin(syscall: string): void {
    this.#disk.begin(syscall)
    if (this.#isClosed) throw systemError('EBADF', { syscall })
  }

  #checkWritable(syscall: string): void {
    if (!this.#isWritable) throw systemError('EBADF', { syscall })
  }
}
