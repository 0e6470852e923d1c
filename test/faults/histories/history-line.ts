/** What one timeline must contain: the content after each record, told by the steps and by the order of the log alone. */
import assert from 'node:assert/strict'
import { decodeTransaction, isBulkLoad } from '@timberline/engine'
import { readLog, type FileSystem, type LogRecord } from '@timberline/wal'
import { changed, type Change, type Content } from '../power-loss/content.ts'

export class Line {
  readonly timeline: number
  /** The first record that is this line's own; those before are its parent's. */
  readonly firstLsn: number
  /** Content after record `lsn`, at index `lsn`. */
  readonly contents: Content[]
  /** Commit time of record `lsn`, at index `lsn`; 0 before the first. */
  readonly times: number[]
  /** The line that this one left. */
  readonly parent: Line | undefined
  readonly marks = new Map<string, number>()
  /** Records that say that data was loaded beside the log: no replay leads past them. */
  readonly loads = new Set<number>()
  /** Every record through this one is durable, its step resolved. */
  acknowledgedLsn: number
  /** Every record through this one is in the archive, its shipper said so. */
  shippedLsn = 0
  /**
   * The first record that the archive could have: what a checkpoint let go before there was an archive, it never sees, and
   * what retention let go, it has no more.
   */
  archivedFromLsn: number | undefined
  #pending: readonly Change[] | undefined

  private constructor(timeline: number, parent: Line | undefined, lsn: number) {
    this.timeline = timeline
    this.parent = parent
    this.contents = parent?.contents.slice(0, lsn + 1) ?? [new Map()]
    this.times = parent?.times.slice(0, lsn + 1) ?? [0]
    this.firstLsn = lsn + 1
    this.acknowledgedLsn = lsn
    for (const [name, at] of parent?.marks ?? []) if (at <= lsn) this.marks.set(name, at)
    for (const at of parent?.loads ?? []) if (at <= lsn) this.loads.add(at)
  }

  static first(): Line {
    return new Line(1, undefined, 0)
  }

  /** The line that a recovery through `lsn` begins. */
  fork(timeline: number, lsn: number): Line {
    return new Line(timeline, this, lsn)
  }

  /** The same line in another future; its parent is the one of there. */
  copy(parent: Line | undefined): Line {
    const copy = new Line(this.timeline, parent, this.firstLsn - 1)
    copy.contents.push(...this.contents.slice(this.firstLsn))
    copy.times.push(...this.times.slice(this.firstLsn))
    for (const [name, lsn] of this.marks) copy.marks.set(name, lsn)
    for (const lsn of this.loads) copy.loads.add(lsn)
    copy.acknowledgedLsn = this.acknowledgedLsn
    copy.shippedLsn = this.shippedLsn
    copy.archivedFromLsn = this.archivedFromLsn
    return copy
  }

  /** Whether a replay leads from the state at one record to that at another. */
  isReplayable(fromLsn: number, lsn: number): boolean {
    return ![...this.loads].some((load) => load > fromLsn && load <= lsn)
  }

  get lastLsn(): number {
    return this.contents.length - 1
  }

  get content(): Content {
    return this.contents.at(-1) ?? new Map()
  }

  /** The entry that is about to be committed; at most one at a time. */
  begin(changes: readonly Change[]): void {
    this.#pending = changes
  }

  /**
   * Data was loaded beside the log, and a record says so. The checkpoints around it may have let go of that record by now, and of the
   * notes before it, so that they are not looked for.
   */
  loaded(changes: readonly Change[], { lsn, committedAtUs }: Pick<LogRecord, 'lsn' | 'committedAtUs'>): void {
    while (this.lastLsn < lsn - 1) {
      this.times.push(this.times.at(-1) ?? 0)
      this.contents.push(this.content)
    }
    this.times.push(committedAtUs)
    this.contents.push(changed(this.content, changes))
    this.loads.add(lsn)
  }

  /** Takes in what the log has gained, and holds it against what was begun: each record whole, none invented. */
  async learn(logDirectory: string, fileSystem: FileSystem): Promise<void> {
    for await (const group of readLog({ directory: logDirectory, fromLsn: this.lastLsn + 1, fileSystem })) {
      for (const record of group) this.#take(record)
    }
  }

  /** The power failed: what was not acknowledged is learned anew from what the disk kept. */
  async relearn(logDirectory: string, fileSystem: FileSystem): Promise<void> {
    this.contents.length = this.times.length = this.acknowledgedLsn + 1
    await this.learn(logDirectory, fileSystem)
  }

  acknowledge(): void {
    this.acknowledgedLsn = this.lastLsn
  }

  #take({ lsn, kind, payload, committedAtUs }: LogRecord): void {
    assert.equal(lsn, this.contents.length, 'records follow each other')
    this.times.push(committedAtUs)
    assert.ok(!isBulkLoad({ kind, payload }), `record ${String(lsn)} tells of a load that nobody made`)
    if (kind === 'mark') this.marks.set(payload.toString(), lsn)
    if (kind !== 'entry') {
      this.contents.push(this.content)
      return
    }
    assert.ok(this.#pending, `record ${String(lsn)} was committed by nobody`)
    assert.deepEqual(inOrder(changesOf(payload)), inOrder(this.#pending), `record ${String(lsn)} is whole`)
    this.contents.push(changed(this.content, this.#pending))
  }
}

/** The changes in the payload of an entry. */
export function changesOf(payload: Buffer): readonly Change[] {
  return decodeTransaction(payload).operations.map((operation): Change => {
    const key = operation.key.toString()
    return operation.type === 'put' ? [key, operation.value.toString()] : [key, undefined]
  })
}

function inOrder(changes: readonly Change[]): readonly Change[] {
  return changes.toSorted(([a], [b]) => (a < b ? -1 : 1))
}
