import { ByteStore } from './byte-store.ts'

/** One change of a file's bytes that no sync has made durable yet; `order` grows with every change of the disk. */
export type FileChange =
  | { readonly type: 'write'; readonly order: number; readonly position: number; readonly source: Buffer }
  | { readonly type: 'truncate'; readonly order: number; readonly bytes: number }

/** What was made durable when: everything up to `changeOrder` of the bytes, up to `nameOrder` of the journal of names. */
export interface SyncPoint {
  readonly changeOrder: number
  readonly nameOrder: number
}

/** A file without its names: the bytes a reader sees now, the bytes on the platter, and the changes between the two. */
export class MemoryFile {
  readonly isFolder = false
  readonly number: number
  readonly live: ByteStore
  modifiedAtMs: number
  openCount = 0
  /** One entry for each live name: hard links share the file. */
  readonly parents: MemoryFolder[] = []
  /** The newest change of names when the length last changed: the journal entry that a sync of this file must commit. */
  nameOrder = 0
  #durable: ByteStore
  #changes: FileChange[] = []

  constructor(number: number, content: ByteStore, modifiedAtMs: number) {
    this.number = number
    this.live = content
    this.#durable = content.copy()
    this.modifiedAtMs = modifiedAtMs
  }

  get durable(): ByteStore {
    return this.#durable
  }

  get changes(): readonly FileChange[] {
    return this.#changes
  }

  apply(change: FileChange): void {
    applyChange(this.live, change)
    this.#changes.push(change)
  }

  makeDurable(throughOrder: number): void {
    for (const change of this.#changes) {
      if (change.order <= throughOrder) applyChange(this.#durable, change)
    }
    this.#changes = this.#changes.filter((change) => change.order > throughOrder)
  }

  /** The same file on another disk, without names and handles. */
  copy(): MemoryFile {
    const copy = new MemoryFile(this.number, this.live.copy(), this.modifiedAtMs)
    copy.nameOrder = this.nameOrder
    copy.#durable = this.#durable.copy()
    copy.#changes = [...this.#changes]
    return copy
  }

  /** Forgets that the written bytes need a sync; they stay readable, and no later sync will make them durable. */
  abandonWrites(): void {
    this.#changes = this.#changes.filter((change) => change.type !== 'write')
  }
}

/** A folder: the names seen now and the names on the platter. */
export class MemoryFolder {
  readonly isFolder = true
  readonly number: number
  modifiedAtMs: number
  readonly live: Map<string, MemoryNode> = new Map()
  readonly durable: Map<string, MemoryNode> = new Map()
  readonly listeners: Set<() => void> = new Set()

  constructor(number: number, modifiedAtMs: number) {
    this.number = number
    this.modifiedAtMs = modifiedAtMs
  }
}

export type MemoryNode = MemoryFile | MemoryFolder

function applyChange(store: ByteStore, change: FileChange): void {
  if (change.type === 'write') store.write(change.source, change.position)
  else store.truncate(change.bytes)
}
