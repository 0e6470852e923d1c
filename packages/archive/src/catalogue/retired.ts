import type { RetentionDecision, SegmentRange } from './retention-record.ts'

/** All that retention has ever let go. It is remembered, so that no name is used again and no segment is shipped again. */
export class Retired {
  readonly #backups = new Set<string>()
  readonly #timelines = new Set<number>()
  readonly #segments: SegmentRange[] = []
  /** Decisions whose objects may still be there, by the sequence number of their event. */
  readonly #unfinished = new Map<number, RetentionDecision>()

  decide(decision: RetentionDecision, sequence: number): void {
    for (const backup of decision.backups) this.#backups.add(backup)
    for (const timeline of decision.timelines) this.#timelines.add(timeline)
    for (const range of decision.segments) this.#extend(range)
    this.#unfinished.set(sequence, decision)
  }

  /** Every decision up to this event has been carried out. */
  finish(throughSequence: number): void {
    for (const sequence of this.#unfinished.keys()) {
      if (sequence <= throughSequence) this.#unfinished.delete(sequence)
    }
  }

  hasBackup(label: string): boolean {
    return this.#backups.has(label)
  }

  hasTimeline(timeline: number): boolean {
    return this.#timelines.has(timeline)
  }

  hasSegment(timeline: number, segmentNumber: number): boolean {
    return this.hasTimeline(timeline) || this.#segments.some((range) => holds(range, timeline, segmentNumber))
  }

  /** The newest segment of a timeline that went; 0 when none did. */
  newestSegment(timeline: number): number {
    return this.#segments.reduce(
      (most, range) => (range.timeline === timeline ? Math.max(most, range.throughSegment) : most),
      0,
    )
  }

  get timelines(): readonly number[] {
    return [...this.#timelines].toSorted((a, b) => a - b)
  }

  get unfinished(): readonly RetentionDecision[] {
    return [...this.#unfinished.values()]
  }

  /** Retention mostly goes on where it stopped, so that a timeline keeps one range however often it runs. */
  #extend(range: SegmentRange): void {
    const { timeline, fromSegment, throughSegment } = range
    const at = this.#segments.findIndex(
      (known) => known.timeline === timeline && known.throughSegment + 1 === fromSegment,
    )
    const before = this.#segments[at]
    if (before === undefined) this.#segments.push(range)
    else this.#segments[at] = { ...before, throughSegment }
  }
}

function holds(range: SegmentRange, timeline: number, segmentNumber: number): boolean {
  return (
    range.timeline === timeline && range.fromSegment <= segmentNumber && segmentNumber <= range.throughSegment
  )
}
