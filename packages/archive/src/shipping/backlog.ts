// What is still to be shipped, as facts: no payloads, and nothing that grows while the store is down but one small row for
// each segment that was rolled meanwhile.
import type { SegmentStep } from '@timberline/wal'
import type { Survey } from './ship-survey.ts'

/** Durable frames of a segment that no piece holds yet. */
export interface Tail {
  readonly segmentNumber: number
  readonly position: number
  readonly endPosition: number
  readonly firstLsn: number
  readonly lastLsn: number
  readonly lastCommittedAtUs: number
  readonly marks: readonly { readonly name: string; readonly lsn: number; readonly committedAtUs: number }[]
}

interface Row {
  /** As far as pieces hold the segment. */
  piecedPosition: number
  piecedLsn: number
  /** As far as the log is durable. */
  durablePosition: number
  durableLsn: number
  lastCommittedAtUs: number
  marks: Tail['marks']
  isSealed: boolean
  /** Handed to the lane of whole segments. */
  isQueued: boolean
}

/** The shipper's picture of log and archive; kept by the follower on one side and the two lanes on the other. */
export class Backlog {
  readonly #rows = new Map<number, Row>()
  readonly #nextSegment: number
  #archivedSegment: number
  #archivedLsn: number
  #lastCommittedAtUs = 0

  constructor(survey: Survey) {
    const { nextSegment, nextLsnBefore, archivedSegment, pieced } = survey
    this.#nextSegment = nextSegment
    this.#archivedSegment = archivedSegment
    this.#archivedLsn = nextLsnBefore
    this.#rows.set(nextSegment, newRow(nextLsnBefore))
    if (pieced === undefined || pieced.segmentNumber < nextSegment) return
    const row = newRow(pieced.lastLsn)
    row.piecedPosition = row.durablePosition = pieced.endPosition
    this.#rows.set(pieced.segmentNumber, row)
  }

  /** Where a follower begins, at the start and after an error. */
  get followSegment(): number {
    let number = this.#firstOpen
    while (this.#rows.get(number)?.isSealed === true) number++
    return number
  }

  /** The last segment that the archive holds, with all before it that it can ever hold. */
  get archivedSegment(): number {
    return this.#archivedSegment
  }

  /** The last record that the archive holds without a hole, by segments and pieces. */
  get shippedLsn(): number {
    let lsn = this.#archivedLsn
    for (let number = this.#firstOpen; ; number++) {
      const row = this.#rows.get(number)
      if (row === undefined) return lsn
      lsn = Math.max(lsn, row.piecedLsn)
      if (!row.isSealed || row.piecedPosition < row.durablePosition) return lsn
    }
  }

  /** The last record that the follower has seen durable. */
  get durableLsn(): number {
    return [...this.#rows.values()].reduce((lsn, row) => Math.max(lsn, row.durableLsn), this.#archivedLsn)
  }

  /** Whether a sealed segment was seen that the archive does not hold whole. */
  get hasSealed(): boolean {
    return [...this.#rows.values()].some(({ isSealed }) => isSealed)
  }

  /** Bytes that are durable in the log and not in the archive. */
  get backlogBytes(): number {
    return [...this.#rows.values()].reduce((sum, row) => sum + row.durablePosition - row.piecedPosition, 0)
  }

  /** Takes in what the follower saw. */
  note(step: SegmentStep): void {
    const number = step.type === 'bytes' ? step.segmentNumber : step.summary.header.segmentNumber
    if (number < this.#firstOpen) return
    const end = step.type === 'bytes' ? step : step.summary
    const row = this.#rows.get(number) ?? newRow(end.firstLsn - 1)
    this.#rows.set(number, row)
    const marks = end.marks.filter(
      (mark) => mark.lsn > row.piecedLsn && !row.marks.some(({ lsn }) => lsn === mark.lsn),
    )
    row.marks = [...row.marks, ...marks]
    row.durablePosition = Math.max(
      row.durablePosition,
      step.type === 'bytes' ? step.endPosition : step.summary.bytes,
    )
    row.durableLsn = Math.max(row.durableLsn, end.lastLsn)
    row.isSealed ||= step.type === 'sealed'
    this.#lastCommittedAtUs = Math.max(this.#lastCommittedAtUs, end.lastCommittedAtUs ?? 0)
    row.lastCommittedAtUs = this.#lastCommittedAtUs
  }

  /** Whether there is anything to be shipped as a piece. */
  get hasTail(): boolean {
    for (const row of this.#rows.values()) if (isTail(row)) return true
    return false
  }

  /** Everything that could be shipped as a piece now; of a segment sealed before it had a piece, nothing: it goes whole. */
  tails(): readonly Tail[] {
    const tails: Tail[] = []
    for (const [segmentNumber, row] of this.#rows) {
      if (!isTail(row)) continue
      tails.push({
        segmentNumber,
        position: row.piecedPosition,
        endPosition: row.durablePosition,
        firstLsn: row.piecedLsn + 1,
        lastLsn: row.durableLsn,
        lastCommittedAtUs: row.lastCommittedAtUs,
        marks: row.marks,
      })
    }
    return tails.toSorted((a, b) => a.segmentNumber - b.segmentNumber)
  }

  /** As far as pieces hold a segment that is not archived; 0 when none does. */
  piecedPosition(segmentNumber: number): number {
    return this.#rows.get(segmentNumber)?.piecedPosition ?? 0
  }

  /** A piece is held and counts. */
  pieceShipped(tail: Tail): void {
    const row = this.#rows.get(tail.segmentNumber)
    if (row === undefined) return
    row.piecedPosition = tail.endPosition
    row.piecedLsn = tail.lastLsn
    row.marks = row.marks.filter((mark) => mark.lsn > tail.lastLsn)
  }

  /** Sealed segments whose pieces are complete or not wanted, each once, in order: to be archived whole. */
  takeWhole(): readonly number[] {
    const ready: number[] = []
    for (const [number, row] of [...this.#rows].toSorted(([a], [b]) => a - b)) {
      if (!row.isSealed || (row.piecedPosition > 0 && row.piecedPosition < row.durablePosition)) break
      if (row.isQueued) continue
      row.isQueued = true
      ready.push(number)
    }
    return ready
  }

  /** A whole segment is held and entered in the catalogue. */
  segmentArchived(segmentNumber: number, lastLsn: number): void {
    this.#rows.delete(segmentNumber)
    this.#archivedSegment = Math.max(this.#archivedSegment, segmentNumber)
    this.#archivedLsn = Math.max(this.#archivedLsn, lastLsn)
  }

  get #firstOpen(): number {
    return Math.max(this.#nextSegment, this.#archivedSegment + 1)
  }
}

function isTail({ isSealed, isQueued, piecedPosition, durablePosition }: Row): boolean {
  const isWhole = isSealed && piecedPosition === 0
  return !isWhole && !isQueued && durablePosition !== piecedPosition
}

function newRow(lsnBefore: number): Row {
  return {
    piecedPosition: 0,
    piecedLsn: lsnBefore,
    durablePosition: 0,
    durableLsn: lsnBefore,
    lastCommittedAtUs: 0,
    marks: [],
    isSealed: false,
    isQueued: false,
  }
}
