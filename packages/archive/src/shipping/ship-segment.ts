import { join } from 'node:path'
import { segmentName, verifySegment, type SegmentSummary } from '@timberline/wal'
import type { SegmentRef } from '../catalogue/catalogue.ts'
import { archiveError } from '../errors.ts'
import { hashing, readRange, refuseAborted, sha256Hash } from './file-range.ts'
import type { HeldPiece } from './held-pieces.ts'
import { segmentObjectName } from '../layout.ts'
import type { Reign } from './reign.ts'
import { streamSource } from './segment-content.ts'
import type { Shipment } from './ship-survey.ts'

/** A whole segment in the archive; `isNew` when this call entered it in the catalogue. */
export interface ArchivedSegment {
  readonly segment: SegmentRef
  readonly isNew: boolean
}

/**
 * Archives a sealed segment: every frame checked, compressed, uploaded, read back, and only then entered in the catalogue.
 * Done before, nothing is done again.
 *
 * @throws WAL_CORRUPT when the log is damaged; ARCHIVE_CONFLICT, ARCHIVE_FENCED
 */
export async function archiveSegment(
  shipment: Shipment,
  reign: Reign,
  segmentNumber: number,
): Promise<ArchivedSegment> {
  const { archive, identity, fileSystem, signal, logDirectory } = shipment
  const fold = await reign.check()
  const known = fold.segment(identity.timeline, segmentNumber)
  if (known !== undefined) return { segment: known, isNew: false }
  const path = join(logDirectory, segmentName(segmentNumber))
  const { summary, sha256 } = await checkSegment(shipment, path)
  const range = { path, position: 0, endPosition: summary.bytes }
  const epoch = fold.recipients.length === 0 ? undefined : reign.epoch
  const name = segmentObjectName({ timeline: identity.timeline, segmentNumber, sha256, epoch })
  const read = (): AsyncIterable<Buffer> => readRange(fileSystem, range, signal)
  const { storedBytes } = await archive.putObject(name, { bytes: summary.bytes, sha256, read })
  const segment = refOf(summary, { name, sha256, storedBytes })
  // The event is what counts; it cannot be appended once another shipper has claimed the archive.
  await archive.appendEvent({ type: 'segment.archived', epoch: reign.epoch, segment })
  return { segment, isNew: true }
}

/**
 * Removes pieces that a whole segment or a longer piece replaces; those of shippers that lost the archive too. A bundle goes when
 * none of those that stay is in it. Resolves with the count of objects removed.
 */
export async function removePieces(
  shipment: Shipment,
  pieces: readonly HeldPiece[],
  staying: readonly HeldPiece[] = [],
): Promise<number> {
  const kept = new Set(staying.map(({ bundle }) => bundle))
  const gone = pieces.filter(({ bundle }) => bundle === undefined || !kept.has(bundle))
  const objects = new Set(gone.map(({ name, bundle = name }) => bundle))
  for (const object of objects) {
    refuseAborted(shipment.signal)
    await shipment.archive.store.delete(object)
  }
  return objects.size
}

/** Reads the segment once for its frames and its checksum. */
async function checkSegment(
  { fileSystem, identity, signal }: Shipment,
  path: string,
): Promise<{ summary: SegmentSummary; sha256: string }> {
  const status = await fileSystem.status(path)
  if (status === undefined) {
    throw archiveError('ARCHIVE_OBJECT_MISSING', 'a segment left the log before it was archived', {
      details: { path },
    })
  }
  const { bytes } = status
  const hash = sha256Hash()
  const content = hashing(readRange(fileSystem, { path, position: 0, endPosition: bytes }, signal), hash)
  const summary = await verifySegment(streamSource(content, { bytes, path }), {
    last: false,
    expect: identity,
  })
  for await (const chunk of content) void chunk
  return { summary, sha256: hash.digest('hex') }
}

function refOf(
  summary: SegmentSummary,
  object: { readonly name: string; readonly sha256: string; readonly storedBytes: number },
): SegmentRef {
  const { header, firstLsn, lastLsn, bytes, marks } = summary
  const before = header.previous?.lastCommittedAtUs ?? header.createdAtUs
  return {
    timeline: header.timeline,
    segmentNumber: header.segmentNumber,
    firstLsn,
    lastLsn,
    firstCommittedAtUs: summary.firstCommittedAtUs ?? before,
    lastCommittedAtUs: summary.lastCommittedAtUs ?? before,
    bytes,
    headerChecksum: header.checksum,
    sealChecksum: summary.sealChecksum ?? 0,
    marks: marks.map(({ name, lsn, committedAtUs }) => ({ name, lsn, committedAtUs })),
    ...object,
  }
}
