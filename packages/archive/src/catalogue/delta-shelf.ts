// The deltas of a catalogue: FORMAT.md#deltas. A delta is a shorter way through log that is here, and nothing else: it comes after
// its segments and goes with the first of them, so that nobody can come to depend on one.
import type { DeclinedDelta, DeltaRef, SegmentRef } from './catalogue.ts'

/** A run of more segments is a mistake, and would be long to check. */
const SEGMENTS_MAX = 1_000_000

/** The part of the fold that knows deltas. */
export class DeltaShelf {
  readonly #segment: (timeline: number, segmentNumber: number) => SegmentRef | undefined
  readonly #deltas = new Map<string, DeltaRef>()
  readonly #declined = new Map<string, DeclinedDelta>()
  readonly #retired = new Set<string>()

  constructor(segment: (timeline: number, segmentNumber: number) => SegmentRef | undefined) {
    this.#segment = segment
  }

  delta(name: string): DeltaRef | undefined {
    return this.#deltas.get(name)
  }

  deltas(): readonly DeltaRef[] {
    return [...this.#deltas.values()].toSorted(byRun)
  }

  declined(): readonly DeclinedDelta[] {
    return [...this.#declined.values()].toSorted(byRun)
  }

  /** Why a delta cannot come next: it must be of whole segments, all of which are here. */
  problem(delta: DeltaRef): string | undefined {
    if (this.#deltas.has(delta.name)) return 'a delta was added twice'
    const { timeline, firstSegmentNumber, lastSegmentNumber } = delta
    if (lastSegmentNumber - firstSegmentNumber >= SEGMENTS_MAX) return 'a delta of too many segments'
    const first = this.#segment(timeline, firstSegmentNumber)
    const last = this.#segment(timeline, lastSegmentNumber)
    const isWhole =
      first?.firstLsn === delta.firstLsn &&
      last?.lastLsn === delta.lastLsn &&
      last.lastCommittedAtUs === delta.lastCommittedAtUs &&
      delta.firstLsn <= delta.lastLsn
    if (!isWhole) return 'a delta that does not begin and end with archived segments'
    let nextLsn = delta.firstLsn
    for (let number = firstSegmentNumber; number <= lastSegmentNumber; number++) {
      const segment = this.#segment(timeline, number)
      if (segment === undefined) continue
      if (segment.firstLsn !== nextLsn) return 'a delta across a hole in the log'
      nextLsn = segment.lastLsn + 1
    }
    return undefined
  }

  add(delta: DeltaRef): void {
    this.#deltas.set(delta.name, delta)
  }

  decline(declined: DeclinedDelta): void {
    const { timeline, firstLsn, lastLsn } = declined
    this.#declined.set(`${timeline}/${firstLsn}-${lastLsn}`, declined)
  }

  remove(name: string): void {
    this.#deltas.delete(name)
  }

  /** Whether the delta of this name went with its log, which never comes back. */
  isRetired(name: string): boolean {
    return this.#retired.has(name)
  }

  /** Drops what a segment is part of, before the segment goes. */
  forget(segment: SegmentRef): void {
    for (const [name, delta] of this.#deltas) {
      if (!isWithin(segment, delta)) continue
      this.#deltas.delete(name)
      this.#retired.add(name)
    }
    for (const [key, run] of this.#declined) if (isWithin(segment, run)) this.#declined.delete(key)
  }
}

interface Run {
  readonly timeline: number
  readonly firstLsn: number
  readonly lastLsn: number
}

function isWithin(segment: Run, run: Run): boolean {
  return (
    segment.timeline === run.timeline && run.firstLsn <= segment.firstLsn && segment.lastLsn <= run.lastLsn
  )
}

function byRun(a: Run, b: Run): number {
  return a.timeline - b.timeline || a.lastLsn - b.lastLsn || a.firstLsn - b.firstLsn
}
