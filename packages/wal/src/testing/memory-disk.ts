import { ByteStore } from './byte-store.ts'
import { type CrashPolicy, survivingBytes, survivingNames } from './crash-policy.ts'
import { type FileChange, type MemoryNode, type SyncPoint, MemoryFile, MemoryFolder } from './memory-node.ts'
import { type NameChange, type NameEntry, NameSpace, putEntries } from './name-space.ts'
import type { Random } from './random.ts'
import { SimulatedCrash } from './simulated-crash.ts'
import { systemError } from './system-error.ts'

/** Which promises about names the simulated disk keeps. */
export type CrashModel = 'ext4' | 'posix'

export interface MemoryDiskOptions {
  readonly model: CrashModel
  readonly capacityBytes: number
  /** Milliseconds since the epoch; `undefined`: one millisecond more with every change, so that runs repeat exactly. */
  readonly nowMs: (() => number) | undefined
}

/** The names of one folder that an operation changes. */
export interface FolderChange {
  readonly folder: MemoryFolder
  readonly entries: readonly NameEntry[]
}

// 2026-01-01T00:00:00Z: any instant does, as long as it is the same in every run.
const EPOCH_MS = 1_767_225_600_000

/** The state that handles and the file system share: files, names, order of changes, space, and whether there is power. */
export class MemoryDisk {
  readonly model: CrashModel
  readonly nowMs: (() => number) | undefined
  readonly names: NameSpace
  capacityBytes: number
  usedBytes = 0
  operationCount = 0
  #order = 0
  #nameOrder = 0
  #nodeCount = 0
  #isOff = false

  /** @param names - what is on it; default: an empty root. */
  constructor(options: MemoryDiskOptions, names?: NameSpace) {
    this.model = options.model
    this.capacityBytes = options.capacityBytes
    this.nowMs = options.nowMs
    this.names = names ?? new NameSpace(this.makeFolder())
  }

  /** Counts an operation; throws `SimulatedCrash` when the power is off. */
  begin(doing: string): void {
    this.checkPower(doing)
    this.operationCount += 1
  }

  checkPower(doing: string): void {
    if (this.#isOff) throw new SimulatedCrash(doing)
  }

  cutPower(): void {
    this.#isOff = true
  }

  makeFolder(): MemoryFolder {
    this.#nodeCount += 1
    return new MemoryFolder(this.#nodeCount, this.#tickMs())
  }

  makeFile(content: ByteStore = new ByteStore()): MemoryFile {
    this.#nodeCount += 1
    this.usedBytes += content.bytes
    return new MemoryFile(this.#nodeCount, content, this.#tickMs())
  }

  /** Writes what fits; throws ENOSPC after that much when not all of it did. */
  write(file: MemoryFile, source: Uint8Array, position: number): void {
    const lengthMax = file.live.bytes + Math.max(0, this.capacityBytes - this.usedBytes)
    const fitting = Math.max(0, Math.min(source.byteLength, lengthMax - position))
    if (fitting > 0) {
      const bytes = Buffer.from(source.subarray(0, fitting))
      this.#change(file, { type: 'write', order: this.#nextOrder(), position, source: bytes })
    }
    if (fitting < source.byteLength) throw systemError('ENOSPC', { syscall: 'write' })
  }

  truncate(file: MemoryFile, bytes: number): void {
    if (bytes - file.live.bytes > this.capacityBytes - this.usedBytes && bytes > file.live.bytes) {
      throw systemError('ENOSPC', { syscall: 'ftruncate' })
    }
    this.#change(file, { type: 'truncate', order: this.#nextOrder(), bytes })
  }

  changeNames(parts: readonly FolderChange[]): void {
    this.#nameOrder += 1
    for (const part of parts) {
      const replaced = part.entries.map(({ name }) => part.folder.live.get(name))
      this.names.apply({ ...part, order: this.#nameOrder })
      part.folder.modifiedAtMs = this.#tickMs()
      for (const { node } of part.entries) if (node?.isFolder === false) this.#touchNames(node)
      for (const node of replaced) if (node?.isFolder === false) this.release(node)
      ring(part.folder)
    }
  }

  /** Frees the space of a file that has neither a name nor a handle any more. */
  release(file: MemoryFile): void {
    if (file.openCount > 0 || file.parents.length > 0) return
    this.usedBytes -= file.live.bytes
    file.live.truncate(0)
  }

  /** What a sync that begins now will have made durable when it ends. */
  syncPoint(file: MemoryFile): SyncPoint {
    return { changeOrder: this.#order, nameOrder: file.nameOrder }
  }

  makeDurable(file: MemoryFile, point: SyncPoint): void {
    file.makeDurable(point.changeOrder)
    if (this.model === 'ext4') this.names.makeDurable((change) => change.order <= point.nameOrder)
  }

  /** Begins a sync of a folder; the returned function ends it. */
  beginFolderSync(folder: MemoryFolder): () => void {
    const isOwn = (change: NameChange): boolean => change.folder === folder
    const through = this.names.changes.findLast(isOwn)?.order ?? 0
    const isCovered = (change: NameChange): boolean =>
      change.order <= through && (this.model === 'ext4' || isOwn(change))
    return () => this.names.makeDurable(isCovered)
  }

  /** The disk as the next start finds it: everything on it is durable. */
  afterCrash(policy: CrashPolicy, random: Random): MemoryDisk {
    const { model, capacityBytes, nowMs } = this
    const next = new MemoryDisk({ model, capacityBytes, nowMs })
    const kept = survivingNames(this.names.changes, model, { policy, random })
    const copies = new Map<MemoryNode, MemoryNode>([[this.names.root, next.names.root]])
    const queue: MemoryFolder[] = [this.names.root]
    for (const folder of queue) {
      const target = copies.get(folder)
      if (target?.isFolder !== true) continue
      for (const [name, node] of namesAfter(folder, kept)) {
        const known = copies.get(node)
        // A folder that would have two names keeps the first, as a file system check decides.
        if (known?.isFolder === true) continue
        const copy =
          known ?? (node.isFolder ? next.makeFolder() : next.makeFile(survivingBytes(node, policy, random)))
        copies.set(node, copy)
        if (known === undefined) copy.modifiedAtMs = node.modifiedAtMs
        if (node.isFolder) queue.push(node)
        next.changeNames([{ folder: target, entries: [{ name, node: copy }] }])
      }
    }
    next.names.makeDurable(() => true)
    return next
  }

  /** The disk as it is, what is not durable included; open handles stay with this one, as if their process had ended. */
  copy(): MemoryDisk {
    const { model, capacityBytes, nowMs } = this
    const next = new MemoryDisk({ model, capacityBytes, nowMs }, this.names.copy())
    next.usedBytes = next.names.usedBytes()
    next.operationCount = this.operationCount
    next.#order = this.#order
    next.#nameOrder = this.#nameOrder
    next.#nodeCount = this.#nodeCount
    return next
  }

  #change(file: MemoryFile, change: FileChange): void {
    const bytesBefore = file.live.bytes
    file.apply(change)
    this.usedBytes += file.live.bytes - bytesBefore
    if (file.live.bytes !== bytesBefore) file.nameOrder = this.#nameOrder
    file.modifiedAtMs = this.#tickMs()
    for (const folder of file.parents) ring(folder)
  }

  /** A new file is a change of its metadata, so its first sync commits the journal up to its creation. */
  #touchNames(file: MemoryFile): void {
    if (file.nameOrder === 0) file.nameOrder = this.#nameOrder
  }

  #nextOrder(): number {
    this.#order += 1
    return this.#order
  }

  #tickMs(): number {
    return this.nowMs?.() ?? EPOCH_MS + this.#order + this.#nameOrder
  }
}

function namesAfter(folder: MemoryFolder, kept: readonly NameChange[]): ReadonlyMap<string, MemoryNode> {
  const names = new Map(folder.durable)
  for (const change of kept) if (change.folder === folder) putEntries(names, change.entries)
  return names
}

function ring(folder: MemoryFolder): void {
  // After the operation, as a notification of the system would come: a listener never runs inside the writer's call.
  for (const listener of folder.listeners) queueMicrotask(() => folder.listeners.has(listener) && listener())
}
