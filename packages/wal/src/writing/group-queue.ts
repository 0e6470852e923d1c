import { Group, GROUP_BYTES_MAX } from '../records/group.ts'
import type { Lsn, RecordKind, RecordPlace } from '../records/record.ts'

const SPARE_BUFFERS_MAX = 2
const SPARE_BYTES_MAX: number = 2 * GROUP_BYTES_MAX

/** The groups of a log that are not flushed yet: one being flushed, full ones waiting, one collecting; LSNs run through them. */
export class GroupQueue {
  readonly #groupBytesMax: number
  #pending: Group
  #flight: Group | undefined
  #waiting: Group[] = []
  #spare: Buffer[] = []
  #queuedBytes = 0

  constructor(nextLsn: Lsn, groupBytesMax: number) {
    this.#groupBytesMax = groupBytesMax
    this.#pending = new Group(nextLsn, undefined)
  }

  /** LSN of the next record that is added. */
  get nextLsn(): Lsn {
    return this.#pending.nextLsn
  }

  /** The group that collects, when it has records. */
  get collecting(): Group | undefined {
    return this.#pending.records > 0 ? this.#pending : undefined
  }

  /** Whether the group to be taken next has records and still collects. */
  get isGrowing(): boolean {
    return this.#waiting.length === 0 && this.#pending.records > 0
  }

  /** Payload bytes added and not flushed. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  add(payload: Uint8Array, kind: RecordKind, committedAtUs: number): { group: Group; place: RecordPlace } {
    if (!this.#pending.hasRoomFor(payload.length, this.#groupBytesMax)) {
      this.#waiting.push(this.#pending)
      this.#begin(this.#pending.nextLsn)
    }
    const group = this.#pending
    const place = { lsn: group.nextLsn, committedAtUs }
    group.add(payload, kind, committedAtUs)
    this.#queuedBytes += payload.length
    return { group, place }
  }

  /** The oldest group, now being flushed; `undefined` when there is nothing to flush. */
  take(): Group | undefined {
    let group = this.#waiting.shift()
    if (group === undefined && this.#pending.records > 0) {
      group = this.#pending
      this.#begin(group.nextLsn)
    }
    this.#flight = group
    return group
  }

  /** The group taken last is flushed. */
  release(group: Group): void {
    this.#flight = undefined
    this.#queuedBytes -= group.recordBytes
    group.succeed()
    const { buffer } = group
    if (this.#spare.length < SPARE_BUFFERS_MAX && buffer.length <= SPARE_BYTES_MAX) this.#spare.push(buffer)
  }

  /** The unflushed group that has a record. */
  groupOf(lsn: Lsn): Group | undefined {
    if (lsn >= this.#pending.firstLsn) return this.#pending
    return [this.#flight, ...this.#waiting].find(
      (group) => group !== undefined && lsn >= group.firstLsn && lsn < group.nextLsn,
    )
  }

  /** Rejects whoever waits for any of the groups. */
  fail(error: unknown): void {
    for (const group of [this.#flight, ...this.#waiting, this.#pending]) group?.fail(error)
  }

  #begin(firstLsn: Lsn): void {
    this.#pending = new Group(firstLsn, this.#spare.pop())
  }
}
