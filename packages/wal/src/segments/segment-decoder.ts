import type { ByteSource } from '../files/byte-source.ts'
import { FrameReader, type FrameStep, type SegmentEnd } from './frame-reader.ts'
import type { LogIdentity, LogRecord } from '../records/record.ts'
import { checkIdentity, checkLink, corruptAt, readHeader, type SegmentSummary } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { judgeTail } from './tail-verdict.ts'

/** How to read one segment. */
export interface DecodeOptions {
  /** Refuse a segment of another environment or timeline (`WAL_FOREIGN`). */
  readonly expect?: LogIdentity
  /** Refuse a segment that does not follow this one exactly (`WAL_CORRUPT`). */
  readonly after?: SegmentSummary | undefined
  /**
   * Whether the segment is the last of its log, so that its end may be torn; otherwise a segment without a seal is corrupt.
   */
  readonly last: boolean
}

/**
 * The records of one segment, one array a group, in order; never a group that is not whole. Bounded memory: one window, or one
 * group where that is larger.
 *
 * @throws WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
 */
export async function* decodeSegment(
  source: ByteSource,
  options: DecodeOptions,
): AsyncGenerator<LogRecord[]> {
  const reader = await openReader(source, options)
  for (;;) {
    const step = await reader.next()
    if (step.type === 'group') yield step.records
    else if (step.type !== 'fence') {
      await finish(reader, step, options)
      return
    }
  }
}

/**
 * Reads a whole segment, checks every checksum and its seal against its content, and says what it holds. A segment without a
 * seal is accepted as the last of its log unless `last` is false.
 *
 * @throws WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
 */
export async function verifySegment(
  source: ByteSource,
  options: Partial<DecodeOptions> = {},
): Promise<SegmentSummary> {
  const reader = await openReader(source, options)
  const end = await reader.pass()
  await finish(reader, end, { ...options, last: options.last ?? true })
  return summaryOf(reader, end)
}

/** What a reader knows of its segment so far; `step` is its last one, or nothing while it goes on. */
export function summaryOf(reader: FrameReader, step?: FrameStep): SegmentSummary {
  const { tally, header } = reader
  return {
    header,
    sealed: step?.type === 'seal',
    firstLsn: header.firstLsn,
    lastLsn: tally.nextLsn - 1,
    ...(tally.records > 0
      ? { firstCommittedAtUs: tally.firstCommittedAtUs, lastCommittedAtUs: tally.lastCommittedAtUs }
      : {}),
    bytes: reader.position,
    ...(step?.type === 'seal' ? { sealChecksum: step.header.checksum } : {}),
    marks: [...tally.marks],
  }
}

/** Only the header of a segment. */
export function decodeSegmentHeader(source: ByteSource): Promise<SegmentHeader> {
  return readHeader(source)
}

async function openReader(source: ByteSource, options: Partial<DecodeOptions>): Promise<FrameReader> {
  const header = await readHeader(source)
  if (options.expect !== undefined) checkIdentity(options.expect, header, source)
  if (options.after !== undefined) checkLink(options.after, header, source)
  return new FrameReader(source, header)
}

/** Accepts a segment's end or throws what is wrong with it. */
async function finish(reader: FrameReader, step: SegmentEnd, options: DecodeOptions): Promise<void> {
  const { source, position, nextLsn } = reader
  if (step.type === 'seal') {
    // Space written ahead may be left behind the seal of the last segment: the owner died before it cut the file.
    if (source.bytes === position) return
    const rest = options.last
      ? await judgeTail(source, reader.header, { position, expectedLsn: nextLsn })
      : undefined
    if (rest?.type === 'clean') return
    throw corruptAt(source, 'the segment goes on behind its seal', { position, lsn: nextLsn })
  }
  await refuseUnlessTorn(reader, step, options.last)
}

/** An end that is not a seal. */
export type SegmentEnding = Exclude<SegmentEnd, { readonly type: 'seal' }>

/** The rule of FORMAT.md#torn-or-corrupt for an end that is not a seal. */
export async function refuseUnlessTorn(
  reader: FrameReader,
  step: SegmentEnding,
  last: boolean,
): Promise<number> {
  const { source, position, nextLsn } = reader
  if (step.type === 'broken') {
    throw corruptAt(source, `the segment contradicts itself, ${step.reason}`, {
      position,
      lsn: nextLsn,
    })
  }
  if (!last) {
    const message =
      step.type === 'end' ? 'the segment has no seal and is not the last one' : 'the segment is damaged'
    throw corruptAt(source, message, { position, lsn: nextLsn })
  }
  const verdict = await judgeTail(source, reader.header, { position, expectedLsn: nextLsn })
  if (verdict.type === 'corrupt') {
    throw corruptAt(source, 'an acknowledged record is damaged', {
      position,
      lsn: nextLsn,
      witnessPosition: verdict.witnessPosition,
    })
  }
  return verdict.type === 'torn' ? verdict.tornBytes : 0
}
