import { Doorbell } from './doorbell.ts'
import { walError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { isAborted } from './log-follower.ts'
import { LogWalker } from './log-walker.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { Lsn, SegmentMark } from '../records/record.ts'
import { missingSegment, segmentNumbers, type SegmentSummary } from '../segments/segment-file.ts'
import { HEADER_BYTES } from '../segments/segment-header.ts'

/** How to follow a log by its files, for shipping bytes. */
export interface FollowSegmentsOptions {
  readonly directory: string
  /** The first segment wanted. */
  readonly fromSegment: number
  /** Position in that segment up to which the caller has its bytes; a frame's end, or 0. Default 0. */
  readonly fromPosition?: number | undefined
  readonly fileSystem?: FileSystem | undefined
  /** Ends the follower, quietly. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds after which the folder is looked at though nothing rang; default 250. */
  readonly pollMs?: number | undefined
  /**
   * Milliseconds to wait after a ring, so that a burst is seen as one; default 5. A function is asked before each look, with
   * whether anything rang, and the look waits for its promise; an error of it ends the follower. True says that more is sure to come:
   * then it is asked again right after the look, as after a ring.
   */
  readonly gather?: number | ((rang: boolean) => Promise<boolean>) | undefined
  /**
   * Asked at each look: the writer of the log says that everything up to this record is durable. A look ends there while it is ahead of what was
   * reported, and spares the flush; what stands behind it is seen by the next look. Default: nobody says so.
   */
  readonly durableLsn?: (() => Lsn) | undefined
}

/**
 * What happened to a segment. `bytes`: whole, durable frames now reach from `position` to `endPosition` (0 is before the
 * header); read them with `readSegmentBytes`. `sealed`: the segment is complete and durable; the last bytes before a seal may
 * come without a step of their own.
 */
export type SegmentStep =
  | {
      readonly type: 'bytes'
      readonly segmentNumber: number
      readonly position: number
      readonly endPosition: number
      readonly firstLsn: Lsn
      readonly lastLsn: Lsn
      readonly lastCommittedAtUs: number
      readonly marks: readonly SegmentMark[]
    }
  | { readonly type: 'sealed'; readonly summary: SegmentSummary }

/** The most one `bytes` step spans beyond its first frame. */
const STEP_BYTES_MAX = 4 * 1024 * 1024

/**
 * Follows the segments of a log, from this or another process; ends only with `signal` or an error. Nothing it reports is not
 * durable.
 *
 * @throws WAL_GAP, WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT; WAL_INVALID when `fromPosition` is not the end of a frame
 */
export async function* followSegments(options: FollowSegmentsOptions): AsyncGenerator<SegmentStep> {
  const { directory, fromSegment, fileSystem = nodeFileSystem, signal, gather = 5 } = options
  const doorbell = new Doorbell(fileSystem, directory, signal)
  const walker = new LogWalker({ directory, fileSystem, durable: true })
  const flushes = new Flushes(options.durableLsn)
  let shipped = options.fromPosition ?? 0
  let begun = false
  try {
    while (!isAborted(signal)) {
      begun ||= await begin(walker, { directory, fromSegment, fileSystem })
      const step = begun ? await nextStep(walker, shipped, flushes) : undefined
      if (step !== undefined) {
        yield step
        shipped = step.type === 'bytes' ? step.endPosition : 0
        // Each look may flush the device, so that commits gather before the next one.
        if (step.type === 'sealed' || step.endPosition - step.position >= STEP_BYTES_MAX) continue
        // Frames that were left for the next look have rung already.
        if (walker.reader?.seesMore === true) {
          walker.reader.forget()
          doorbell.ring()
        }
      }
      const rang = await doorbell.wait(options.pollMs ?? 250, gather)
      if (!rang && begun && step === undefined) await walker.judge()
    }
  } finally {
    doorbell.close()
    await walker.close()
  }
}

/** Enters the first segment; false while it does not exist yet. */
async function begin(
  walker: LogWalker,
  from: { directory: string; fromSegment: number; fileSystem: FileSystem },
): Promise<boolean> {
  if (await walker.enter(from.fromSegment)) return true
  const numbers = await segmentNumbers(from.directory, from.fileSystem)
  if (!numbers.some((number) => number > from.fromSegment)) return false
  if (await walker.enter(from.fromSegment)) return true
  throw missingSegment(from.directory, from.fromSegment)
}

/** Gathers what is new beyond `shipped` in the present segment; `undefined` when nothing is. */
async function nextStep(
  walker: LogWalker,
  shipped: number,
  flushes: Flushes,
): Promise<SegmentStep | undefined> {
  const whole = await walker.leaveSealed()
  if (whole !== undefined) return { type: 'sealed', summary: whole }
  const { toldLsn } = flushes
  let firstLsn: Lsn = 0
  let endPosition = shipped
  for (let isEnough = false; !isEnough;) {
    const before = walker.reader?.position ?? HEADER_BYTES
    const step = await walker.step()
    if (step.type === 'sealed') return step
    const reader = walker.reader
    if (step.type === 'end' || reader === undefined) break
    if (reader.position <= shipped) continue
    if (before < shipped) throw notAFrameEnd(walker, shipped)
    if (firstLsn === 0) firstLsn = step.header.firstLsn
    const throughLsn = toldLsn < firstLsn ? Number.POSITIVE_INFINITY : toldLsn
    // Where frames stand is all that is asked for: of those that were read with this one no records are made.
    reader.passRead({ throughLsn, endPosition: shipped + STEP_BYTES_MAX })
    endPosition = reader.position
    // What was written since the file was read waits for the next look: a busy writer is always one frame ahead.
    isEnough = endPosition - shipped >= STEP_BYTES_MAX || reader.nextLsn > throughLsn || !reader.seesMore
  }
  const reader = walker.reader
  if (reader === undefined) return undefined
  if (endPosition === shipped) {
    if (reader.position < shipped) throw notAFrameEnd(walker, shipped)
    return undefined
  }
  const { lastCommittedAtUs } = reader.tally
  const lastLsn = reader.nextLsn - 1
  const marks = reader.marks.filter((mark) => mark.lsn >= firstLsn && mark.lsn <= lastLsn)
  // Only what is durable is reported.
  await flushes.flush(walker, lastLsn, Math.max(toldLsn, reader.tally.durableLsn))
  const { segmentNumber } = reader.header
  const position = shipped
  return { type: 'bytes', segmentNumber, position, endPosition, firstLsn, lastLsn, lastCommittedAtUs, marks }
}

/** Which frames need a flush before they are reported. */
class Flushes {
  readonly #told: () => Lsn
  #isTrusting = false

  constructor(told: () => Lsn = (): Lsn => 0) {
    this.#told = told
  }

  /** As far as the writer says that the log is durable. */
  get toldLsn(): Lsn {
    // Not before a flush of one's own: a folder that was copied may hold the word of a log that was durable elsewhere.
    return this.#isTrusting ? this.#told() : 0
  }

  /** Makes a log durable through a record, unless it is known to be as far as `durableLsn`. */
  async flush(walker: LogWalker, lsn: Lsn, durableLsn: Lsn): Promise<void> {
    if (lsn <= durableLsn) return
    await walker.sync()
    this.#isTrusting = true
  }
}

function notAFrameEnd(walker: LogWalker, position: number): Error {
  return walError('WAL_INVALID', 'the position to go on from is not the end of a frame', {
    details: {
      segmentNumber: walker.reader?.header.segmentNumber,
      position,
      reached: walker.reader?.position,
    },
  })
}
