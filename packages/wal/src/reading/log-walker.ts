import { join } from 'node:path'
import type { FileSource } from '../files/byte-source.ts'
import { walError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import type { FrameHeader } from '../records/frame.ts'
import { FrameReader, type FrameStep } from '../segments/frame-reader.ts'
import type { LogRecord, Lsn } from '../records/record.ts'
import { refuseUnlessTorn, summaryOf, type SegmentEnding } from '../segments/segment-decoder.ts'
import {
  checkLink,
  missingSegment,
  openSegmentFile,
  readHeader,
  segmentNumbers,
  summaryFromEnds,
  type SegmentSummary,
} from '../segments/segment-file.ts'
import { HEADER_BYTES } from '../segments/segment-header.ts'
import { segmentName } from '../segments/segment-name.ts'

/** One step over a whole log. `end`: nothing more for now; a writer may be at work. */
export type WalkStep =
  | { readonly type: 'group'; readonly records: LogRecord[]; readonly header: FrameHeader }
  | { readonly type: 'sealed'; readonly summary: SegmentSummary }
  | { readonly type: 'end' }

type WholeStep = FrameStep & { type: 'group' | 'seal' | 'fence' }

export interface WalkOptions {
  readonly directory: string
  readonly fileSystem: FileSystem
  /** Sync each segment through the walker's own handle when its seal is reached. */
  readonly durable: boolean
}

/** How often the search for the first segment starts again because one was removed meanwhile. */
const LOCATE_ATTEMPTS_MAX = 10

/**
 * Walks the frames of a log in order across its segments, also while the writer writes, cuts a torn tail or rolls. Whatever
 * does not parse at the end is read afresh before it is judged: a read may have overlapped a write.
 */
export class LogWalker {
  readonly #options: WalkOptions
  #reader: FrameReader | undefined
  #source: FileSource | undefined
  /** The segment that was finished last; the next must link to it. */
  #before: SegmentSummary | undefined
  /** The last step that was no frame: what there is to judge. */
  #ending: FrameStep = { type: 'end' }
  /** A frame that was read while an ending was judged. */
  #pending: FrameStep | undefined
  #judged = ''

  constructor(options: WalkOptions) {
    this.#options = options
  }

  /** The segment being read; `undefined` between two segments and before the first. */
  get reader(): FrameReader | undefined {
    return this.#reader
  }

  get nextLsn(): Lsn | undefined {
    if (this.#reader !== undefined) return this.#reader.nextLsn
    return this.#before === undefined ? undefined : this.#before.lastLsn + 1
  }

  /** Goes to the segment that has or will have `fromLsn`; false while the log has no segment at all. */
  async locate(fromLsn: Lsn): Promise<boolean> {
    const { directory, fileSystem } = this.#options
    for (let attempt = 0; attempt < LOCATE_ATTEMPTS_MAX; attempt += 1) {
      const numbers = await segmentNumbers(directory, fileSystem)
      if (numbers.length === 0) return false
      const found = await this.#search(numbers, fromLsn)
      if (found === 'before') {
        throw walError('WAL_GAP', 'the log begins after the wanted lsn', {
          details: { directory, lsn: fromLsn },
        })
      }
      if (found !== 'moved' && (await this.enter(found))) return true
    }
    throw walError('WAL_GAP', 'segments were removed while they were looked for', {
      details: { directory, lsn: fromLsn },
    })
  }

  /** Opens a segment by number; false when it is not there. */
  async enter(number: number): Promise<boolean> {
    const source = await openSegmentFile(this.#options.directory, number, this.#options.fileSystem)
    if (source === undefined) return false
    try {
      const header = await readHeader(source, number)
      if (this.#before !== undefined) checkLink(this.#before, header, source)
      await this.close()
      this.#source = source
      this.#reader = new FrameReader(source, header)
      return true
    } catch (error) {
      await source.handle.close()
      throw error
    }
  }

  async step(): Promise<WalkStep> {
    for (;;) {
      if (this.#reader === undefined && !(await this.#enterNext())) return { type: 'end' }
      // v8 ignore next -- there is a reader, as the line above says
      const step = this.#pending ?? (await this.#reader?.next()) ?? this.#ending
      this.#pending = undefined
      if (step.type === 'fence') continue
      if (step.type === 'group') return step
      if (step.type === 'seal') return this.#leave(step)
      const again = await this.#lookAgain()
      if (again === undefined) return { type: 'end' }
      this.#pending = again
    }
  }

  /**
   * Judges what stands behind the last frame; returns false when there is more to read after all. Skipped when the file has
   * not changed since the last time.
   *
   * @throws WAL_CORRUPT
   */
  async judge(): Promise<boolean> {
    const reader = this.#reader
    const source = this.#source
    if (reader === undefined || source === undefined) return true
    const { bytes, modifiedAtMs } = await source.handle.status()
    const state = `${bytes} ${modifiedAtMs} ${reader.position}`
    if (state === this.#judged) return true
    try {
      await refuseUnlessTorn(reader, asEnding(this.#ending), true)
    } catch (error) {
      // The later frame may have been written after its forerunner was read: reading again tells a race from damage.
      this.#pending = await this.#lookAgain()
      if (this.#pending !== undefined) return false
      throw error
    }
    this.#judged = state
    return true
  }

  /**
   * Enters the next segment when between two; then, when the present one is sealed and nothing of it was read yet, leaves it
   * by its ends alone, without reading its frames.
   */
  async leaveSealed(): Promise<SegmentSummary | undefined> {
    if (this.#reader === undefined && !(await this.#enterNext())) return undefined
    const reader = this.#reader
    if (reader === undefined || this.#source === undefined || reader.position > HEADER_BYTES) return undefined
    await this.#source.refresh()
    const summary = await summaryFromEnds(this.#source, reader.header)
    return summary === undefined ? undefined : this.#depart(summary)
  }

  /** Makes everything read from the present segment durable, through the reader's own handle. */
  async sync(): Promise<void> {
    await this.#source?.handle.sync()
  }

  async close(): Promise<void> {
    const source = this.#source
    this.#source = undefined
    this.#reader = undefined
    await source?.handle.close()
  }

  async #leave(step: FrameStep & { type: 'seal' }): Promise<WalkStep> {
    const reader = this.#reader
    /* v8 ignore if -- the seal came from a reader */
    if (reader === undefined) return { type: 'end' }
    return { type: 'sealed', summary: await this.#depart(summaryOf(reader, step)) }
  }

  async #depart(summary: SegmentSummary): Promise<SegmentSummary> {
    // What a durable walker says of a sealed segment holds after power loss.
    if (this.#options.durable) await this.sync()
    this.#before = summary
    await this.close()
    return summary
  }

  async #enterNext(): Promise<boolean> {
    /* v8 ignore if -- a walker that was never led to a segment; both followers lead it first */
    if (this.#before === undefined) return false
    const next = this.#before.header.segmentNumber + 1
    if (await this.enter(next)) return true
    const { directory, fileSystem } = this.#options
    const later = (await segmentNumbers(directory, fileSystem)).some((number) => number > next)
    // It may have been made between the two looks.
    if (!later || (await this.enter(next))) return later
    throw missingSegment(directory, next, { lsn: this.#before.lastLsn + 1 })
  }

  /** Reads the place of the ending afresh; `undefined` when there is still no frame. */
  async #lookAgain(): Promise<WholeStep | undefined> {
    const reader = this.#reader
    const source = this.#source
    /* v8 ignore if -- called only with a segment open */
    if (reader === undefined || source === undefined) return undefined
    // A follower of a busy writer mostly finds a frame in the space written ahead: that takes this one read.
    reader.forget()
    const first = await reader.next()
    if (isFrame(first)) return first
    const next = reader.header.segmentNumber + 1
    const { directory, fileSystem } = this.#options
    // In this order: a segment is sealed before the next one appears, so what is missing now is missing for good.
    const followed = (await fileSystem.status(join(directory, segmentName(next)))) !== undefined
    await source.refresh()
    reader.forget()
    const step = await reader.next()
    if (isFrame(step)) return step
    this.#ending = step
    if (followed || step.type === 'broken') await refuseUnlessTorn(reader, asEnding(step), !followed)
    return undefined
  }

  /** The last segment whose first LSN is not above `fromLsn`, by halving. */
  async #search(numbers: readonly number[], fromLsn: Lsn): Promise<number | 'before' | 'moved'> {
    const { directory, fileSystem } = this.#options
    let low = 0
    let high = numbers.length - 1
    let found: number | undefined
    while (low <= high) {
      const middle = (low + high) >> 1
      // v8 ignore next -- the index is in range
      const number = numbers[middle] ?? 0
      const source = await openSegmentFile(directory, number, fileSystem)
      if (source === undefined) return 'moved'
      try {
        const header = await readHeader(source, number)
        if (header.firstLsn <= fromLsn) {
          found = number
          low = middle + 1
        } else high = middle - 1
      } finally {
        await source.handle.close()
      }
    }
    return found ?? 'before'
  }
}

function isFrame(step: FrameStep): step is WholeStep {
  return step.type === 'group' || step.type === 'seal' || step.type === 'fence'
}

function asEnding(step: FrameStep): SegmentEnding {
  return step.type === 'broken' || step.type === 'bad' ? step : { type: 'end' }
}
