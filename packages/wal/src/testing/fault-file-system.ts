import type { FileHandle, FileStatus, FileSystem, OpenMode } from '../files/file-system.ts'
import { CrashFileSystem } from './crash-file-system.ts'
import { type InjectedFault, FaultLedger } from './fault-ledger.ts'
import type { Injector } from './injector.ts'
import type { Operation } from './operation.ts'

/**
 * Any file system, with faults: each call is counted, shown to the injector as data, and struck by the fault that it names.
 *
 * The handles of a crashed machine stay open in the file system below; over `nodeFileSystem`, `releaseHandles()` closes them.
 *
 * @example
 * const disk = new CrashFileSystem()
 * const faulty = new FaultFileSystem(disk, crashAt(7))
 * await work(faulty).catch(() => undefined)
 * const found = disk.crash(1) // what the next start finds
 */
export class FaultFileSystem implements FileSystem {
  readonly inner: FileSystem
  /** Where the file system below has it; half of it leaves half of the file. */
  readonly copyFile?: NonNullable<FileSystem['copyFile']>
  readonly #ledger: FaultLedger
  /** With the path of each. */
  readonly #openHandles = new Map<FileHandle, string>()

  /** @param injector - default: no faults, only the list of operations. */
  constructor(inner: FileSystem, injector?: Injector) {
    this.inner = inner
    this.#ledger = new FaultLedger(injector)
    if (inner.copyFile !== undefined) this.copyFile = (from, to) => this.#copyFile(from, to)
  }

  /** All operations begun, oldest first, those that a fault struck included, those refused after a crash not. */
  get operations(): readonly Operation[] {
    return this.#ledger.operations
  }

  /** All faults that struck; a test counts them to prove that each surfaced. */
  get injected(): readonly InjectedFault[] {
    return this.#ledger.injected
  }

  /** Whether a `crash` has struck, so that everything fails from now on. */
  get isCrashed(): boolean {
    return this.#ledger.isCrashed
  }

  /** Changes the faults from the next operation on; `undefined` for none. Indexes go on counting. */
  inject(injector: Injector | undefined): void {
    this.#ledger.injector = injector
  }

  /** Paths of the files that were opened and not closed, or whose close failed before it did anything. */
  get openPaths(): readonly string[] {
    return [...this.#openHandles.values()]
  }

  /** Closes the handles that are still open in the file system below. */
  async releaseHandles(): Promise<void> {
    const handles = [...this.#openHandles.keys()]
    this.#openHandles.clear()
    await Promise.all(handles.map((handle) => handle.close()))
  }

  open(path: string, mode: OpenMode): Promise<FileHandle> {
    const work = async (): Promise<FileHandle> => {
      const handle = await this.inner.open(path, mode)
      this.#openHandles.set(handle, path)
      return new FaultFileHandle({
        path,
        ledger: this.#ledger,
        inner: handle,
        openHandles: this.#openHandles,
      })
    }
    return this.#ledger.run({ operation: { kind: 'open', path, mode }, work })
  }

  makeDirectory(path: string): Promise<void> {
    return this.#ledger.run({
      operation: { kind: 'makeDirectory', path },
      work: () => this.inner.makeDirectory(path),
    })
  }

  list(path: string): Promise<readonly string[]> {
    return this.#ledger.run({ operation: { kind: 'list', path }, work: () => this.inner.list(path) })
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.#ledger.run({ operation: { kind: 'status', path }, work: () => this.inner.status(path) })
  }

  link(existing: string, path: string): Promise<void> {
    const operation = { kind: 'link', path: existing, to: path } as const
    return this.#ledger.run({ operation, work: () => this.inner.link(existing, path) })
  }

  #copyFile(from: string, to: string): Promise<void> {
    const operation = { kind: 'copyFile', path: from, to } as const
    const work = async (): Promise<void> => this.inner.copyFile?.(from, to)
    const half = async (): Promise<void> => {
      await work()
      await halve(to, this.inner)
    }
    return this.#ledger.run({ operation, work, half })
  }

  rename(from: string, to: string): Promise<void> {
    const operation = { kind: 'rename', path: from, to } as const
    return this.#ledger.run({ operation, work: () => this.inner.rename(from, to) })
  }

  remove(path: string): Promise<void> {
    return this.#ledger.run({ operation: { kind: 'remove', path }, work: () => this.inner.remove(path) })
  }

  removeTree(path: string): Promise<void> {
    return this.#ledger.run({
      operation: { kind: 'removeTree', path },
      work: () => this.inner.removeTree(path),
    })
  }

  syncDirectory(path: string): Promise<void> {
    const operation = { kind: 'syncDirectory', path } as const
    return this.#ledger.run({ operation, work: () => this.inner.syncDirectory(path) })
  }

  watch(path: string, onChange: () => void): () => void {
    const ring = (): void => {
      if (!this.isCrashed) onChange()
    }
    return this.#ledger.runNow({
      operation: { kind: 'watch', path },
      work: () => this.inner.watch(path, ring),
    })
  }
}

/**
 * Runs work once without faults and counts its operations: the n of "fail or crash at each of 1…n".
 *
 * @param inner - the file system that the work finds; default an empty `CrashFileSystem`.
 */
export async function countOperations(
  work: (fileSystem: FaultFileSystem) => Promise<unknown>,
  inner: FileSystem = new CrashFileSystem(),
): Promise<number> {
  const fileSystem = new FaultFileSystem(inner)
  await work(fileSystem)
  return fileSystem.operations.length
}

interface FaultyOpening {
  readonly path: string
  readonly ledger: FaultLedger
  readonly inner: FileHandle
  readonly openHandles: Map<FileHandle, string>
}

class FaultFileHandle implements FileHandle {
  readonly #path: string
  readonly #ledger: FaultLedger
  readonly #inner: FileHandle
  readonly #openHandles: Map<FileHandle, string>

  constructor({ path, ledger, inner, openHandles }: FaultyOpening) {
    this.#path = path
    this.#ledger = ledger
    this.#inner = inner
    this.#openHandles = openHandles
  }

  read(target: Uint8Array, position: number): Promise<number> {
    const operation = { kind: 'read', path: this.#path, position, bytes: target.byteLength } as const
    const shortened = (): Promise<number> => readHalf(this.#inner, target, position)
    return this.#ledger.run({ operation, work: () => this.#inner.read(target, position), shortened })
  }

  write(source: Uint8Array, position: number): Promise<void> {
    const operation = { kind: 'write', path: this.#path, position, bytes: source.byteLength } as const
    const half = (): Promise<void> => this.#inner.write(firstHalf(source), position)
    return this.#ledger.run({ operation, work: () => this.#inner.write(source, position), half })
  }

  sync(): Promise<void> {
    const operation = { kind: 'sync', path: this.#path } as const
    return this.#ledger.run({
      operation,
      work: () => this.#inner.sync(),
      failed: () => failSync(this.#inner),
    })
  }

  writeNow(source: Uint8Array, position: number): void {
    const operation = { kind: 'writeNow', path: this.#path, position, bytes: source.byteLength } as const
    const half = (): void => this.#inner.writeNow(firstHalf(source), position)
    this.#ledger.runNow({ operation, work: () => this.#inner.writeNow(source, position), half })
  }

  syncNow(): void {
    const operation = { kind: 'syncNow', path: this.#path } as const
    this.#ledger.runNow({ operation, work: () => this.#inner.syncNow(), failed: () => failSync(this.#inner) })
  }

  truncate(bytes: number): Promise<void> {
    const operation = { kind: 'truncate', path: this.#path, bytes } as const
    return this.#ledger.run({ operation, work: () => this.#inner.truncate(bytes) })
  }

  status(): Promise<FileStatus> {
    const operation = { kind: 'status', path: this.#path } as const
    return this.#ledger.run({ operation, work: () => this.#inner.status() })
  }

  close(): Promise<void> {
    const work = async (): Promise<void> => {
      await this.#inner.close()
      this.#openHandles.delete(this.#inner)
    }
    return this.#ledger.run({ operation: { kind: 'close', path: this.#path }, work })
  }
}

/** Half of what there is, not of what was asked for, so that also a read at the end of a file is short. */
async function readHalf(handle: FileHandle, target: Uint8Array, position: number): Promise<number> {
  const whole = Buffer.alloc(target.byteLength)
  const half = Math.ceil((await handle.read(whole, position)) / 2)
  target.set(whole.subarray(0, half))
  return half
}

function firstHalf(source: Uint8Array): Uint8Array {
  return source.subarray(0, Math.floor(source.byteLength / 2))
}

async function halve(path: string, fileSystem: FileSystem): Promise<void> {
  const handle = await fileSystem.open(path, 'write')
  try {
    await handle.truncate(Math.floor((await handle.status()).bytes / 2))
  } finally {
    await handle.close()
  }
}

/** Only the simulated disk knows what a failed sync does; a real one keeps its bytes dirty or not, as it likes. */
function failSync(handle: FileHandle): void {
  if ('failSync' in handle && typeof handle.failSync === 'function') handle.failSync()
}
