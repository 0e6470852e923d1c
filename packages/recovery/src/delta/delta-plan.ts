// Which deltas are worth making. Pure: what was made or declined before is in the catalogue.
// Model: segments are counted off in blocks of `blockSegments` by number, blocks in larger ones of as many blocks, and so on. A
// block gets a delta once all of it is archived; so a long log is passed in a few large deltas and the small ones behind them.
import type { Catalogue, SegmentRef } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import { recoveryError } from '../errors.ts'

/** A run of archived segments to make a delta of. */
export interface PlannedDelta {
  readonly timeline: number
  /** 1 for a block of segments, 2 for a block of such blocks, and so on. */
  readonly level: number
  readonly firstSegmentNumber: number
  readonly lastSegmentNumber: number
  readonly firstLsn: Lsn
  readonly lastLsn: Lsn
  readonly lastCommittedAtUs: number
  /** Segments with records. */
  readonly segments: readonly SegmentRef[]
}

/** How to cut the log into deltas. */
export interface DeltaPlanOptions {
  /** Segments of a block, and blocks of the next larger one; 2 to 1,000. Default: 16. */
  readonly blockSegments?: number
}

const defaultBlockSegments = 16
/** Sixteen to the fifth are a million segments. */
const LEVELS_MAX = 5

/**
 * The deltas that can be made and are not there, small blocks first, so that larger ones can be made of them.
 *
 * @throws RECOVERY_OPTION_INVALID
 */
export function planDeltas(catalogue: Catalogue, options: DeltaPlanOptions = {}): readonly PlannedDelta[] {
  const { blockSegments = defaultBlockSegments } = options
  if (!Number.isSafeInteger(blockSegments) || blockSegments < 2 || blockSegments > 1000) {
    throw recoveryError('RECOVERY_OPTION_INVALID', 'a block has 2 to 1,000 segments', {
      details: { blockSegments },
    })
  }
  const known = new Set([...catalogue.deltas, ...catalogue.declinedDeltas].map(keyOf))
  const planned: PlannedDelta[] = []
  for (let level = 1; level <= LEVELS_MAX; level++) {
    const blocks = wholeBlocks(catalogue.segments, blockSegments ** level)
    if (blocks.length === 0) break
    for (const segments of blocks) {
      const block = plannedOf(segments, level)
      if (block !== undefined && !known.has(keyOf(block))) planned.push(block)
    }
  }
  return planned
}

/** Blocks whose first and last segments are there, without a hole in the log between them. */
function wholeBlocks(segments: readonly SegmentRef[], size: number): readonly (readonly SegmentRef[])[] {
  const blocks = new Map<string, SegmentRef[]>()
  for (const segment of segments) {
    const key = `${segment.timeline}/${Math.floor((segment.segmentNumber - 1) / size)}`
    const block = blocks.get(key)
    if (block === undefined) blocks.set(key, [segment])
    else block.push(segment)
  }
  return [...blocks.values()].filter((block) => {
    const isFollowed = block.every((segment, index) => {
      const before = block[index - 1]
      return before === undefined || before.lastLsn + 1 === segment.firstLsn
    })
    const [first, last] = [block[0]?.segmentNumber, block.at(-1)?.segmentNumber]
    // v8 ignore next -- no block is empty
    if (first === undefined || last === undefined) return false
    return first % size === 1 && last % size === 0 && isFollowed
  })
}

function plannedOf(segments: readonly SegmentRef[], level: number): PlannedDelta | undefined {
  const filled = segments.filter(({ firstLsn, lastLsn }) => firstLsn <= lastLsn)
  const first = filled[0]
  const last = filled.at(-1)
  if (first === undefined || last === undefined || first === last) return undefined
  return {
    timeline: first.timeline,
    level,
    firstSegmentNumber: first.segmentNumber,
    lastSegmentNumber: last.segmentNumber,
    firstLsn: first.firstLsn,
    lastLsn: last.lastLsn,
    lastCommittedAtUs: last.lastCommittedAtUs,
    segments: filled,
  }
}

function keyOf(run: { readonly timeline: number; readonly firstLsn: Lsn; readonly lastLsn: Lsn }): string {
  return `${run.timeline}/${run.firstLsn}-${run.lastLsn}`
}
