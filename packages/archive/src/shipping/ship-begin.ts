import type { LogIdentity } from '@timberline/wal'
import { Backlog } from './backlog.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import {
  parseBundleName,
  parseSegmentObjectName,
  piecePrefix,
  segmentObjectPrefix,
  segmentTimelinePrefix,
} from '../layout.ts'
import { archiveError } from '../errors.ts'
import type { PieceRef } from '../catalogue/catalogue.ts'
import { holdLogFor } from './first-hold.ts'
import { BundleWriter } from './bundle-writer.ts'
import { type HeldPiece, heldPieceOf, type HeldPieces } from './held-pieces.ts'
import { mergePieces } from './ship-merge.ts'
import { claimReign, type Claimant, type Reign } from './reign.ts'
import { bundledRuns, coveredPieces } from './piece-levels.ts'
import { removePieces } from './ship-segment.ts'
import { type Shipment, type Survey, surveyShipment } from './ship-survey.ts'
import type { ShippedIdentity } from './shipper-options.ts'
import { SegmentHandle } from './segment-handle.ts'

/** A shipper that owns its archive and knows where to go on. */
export interface Voyage {
  readonly shipment: Shipment
  readonly reign: Reign
  readonly survey: Survey
  readonly backlog: Backlog
  readonly pieces: HeldPieces
  readonly bundles: BundleWriter
  /** Of the log, to read pieces from. */
  readonly segment: SegmentHandle
}

/**
 * Begins to ship: compares first and claims only when log and archive belong together, so that a shipper that is refused has
 * changed nothing; then looks again, because the owner before may have been at work until the claim stood.
 */
export async function beginVoyage(
  shipment: Shipment,
  claimant: Claimant,
  identity: ShippedIdentity,
): Promise<Voyage> {
  const { archive } = shipment
  const compared = new Set<string>()
  await surveyShipment(shipment, compared)
  await beginTimeline(shipment, identity)
  const reign = await claimReign(archive, claimant, identity.timeline)
  // The home may remove log of which this archive has confirmed nothing. What the next look finds, it keeps.
  const { logDirectory, name, fileSystem } = shipment
  await holdLogFor({ logDirectory, name, timeline: identity.timeline, fileSystem })
  const survey = await surveyShipment(shipment, compared)
  await archive.journal.append((fold) =>
    fold.owner?.epoch === reign.epoch && fold.owner.adopted !== undefined
      ? undefined
      : { type: 'owner.adopted', epoch: reign.epoch, ...adoptedBy(survey) },
  )
  const pieces: HeldPieces = new Map()
  const fold = await reign.check()
  if (fold.recipients.length > 0) await removeLeftSegments(shipment, fold, survey)
  for (const [segmentNumber, listed] of survey.pieces) {
    // A crash came between the segment's event and the removal of its pieces.
    if (fold.segment(identity.timeline, segmentNumber) !== undefined)
      await removePieces(shipment, listed.map(heldPieceOf))
    else pieces.set(segmentNumber, [...(await withoutCovered(shipment, { survey, fold, listed }))])
  }
  const bundles = new BundleWriter(archive, { timeline: identity.timeline, epoch: reign.epoch }, pieces)
  const segment = new SegmentHandle(fileSystem)
  const voyage = { shipment, reign, survey, backlog: new Backlog(survey), pieces, bundles, segment }
  await replaceBundles(voyage, fold)
  return voyage
}

/**
 * What stands in bundles was put by shippers before this one, and one that died may have died of a flush that failed: it can be
 * read, and a power loss may still take it. So it is put anew, as one piece, before anybody is told that the archive has it.
 */
async function replaceBundles(voyage: Voyage, fold: CatalogueFold): Promise<void> {
  const { shipment, survey } = voyage
  const { pieced } = survey
  const listed = survey.pieces.get(pieced?.segmentNumber ?? 0) ?? []
  const counted = fold.countedPieces(listed)
  for (const run of bundledRuns(counted.filter((one) => one.endPosition <= (pieced?.endPosition ?? 0)))) {
    await mergePieces(voyage, run)
  }
  if (shipment.archive.store.grow !== undefined) await removeLeftBundles(voyage)
}

/** Bundles in which nothing whole stands, or nothing that was not replaced. Those of a shipper after this one are not its own to remove. */
async function removeLeftBundles({ shipment, reign, pieces }: Voyage): Promise<void> {
  const used = new Set([...pieces.values()].flatMap((held) => held.map(({ bundle }) => bundle)))
  for await (const { name } of shipment.archive.store.list(piecePrefix(shipment.identity.timeline))) {
    const place = parseBundleName(name)
    if (place === undefined || place.epoch >= reign.epoch || used.has(name)) continue
    await removePieces(shipment, [{ name }])
  }
}

/** A crash came between a merged piece and the removal of the shorter ones. */
async function withoutCovered(
  shipment: Shipment,
  found: { readonly survey: Survey; readonly fold: CatalogueFold; readonly listed: readonly PieceRef[] },
): Promise<readonly HeldPiece[]> {
  const { survey, fold, listed } = found
  const { pieced } = survey
  if (pieced === undefined || listed[0]?.segmentNumber !== pieced.segmentNumber)
    return listed.map(heldPieceOf)
  // Of this segment only what was compared with the log was adopted, and nothing else counts any more.
  const covered = new Set(coveredPieces(listed, fold.countedPieces(listed)))
  const staying = listed.filter((piece) => !covered.has(piece)).map(heldPieceOf)
  await removePieces(shipment, [...covered].map(heldPieceOf), staying)
  return staying
}

/**
 * What shippers before this one put and could not enter in the catalogue any more. Its name has their epoch, so that nobody
 * would ever take it up again; in a clear archive the name has the content's checksum, and it is.
 */
async function removeLeftSegments(shipment: Shipment, fold: CatalogueFold, survey: Survey): Promise<void> {
  const { archive, identity } = shipment
  const prefix = segmentTimelinePrefix(identity.timeline)
  const startAfter = segmentObjectPrefix(identity.timeline, survey.nextSegment)
  for await (const { name } of archive.store.list(prefix, { startAfter })) {
    const segmentNumber = parseSegmentObjectName(name)
    if (segmentNumber === undefined) continue
    if (fold.segment(identity.timeline, segmentNumber)?.name !== name)
      await removePieces(shipment, [{ name }])
  }
}

function adoptedBy({ pieced, nextSegment }: Survey): { segmentNumber: number; endPosition: number } {
  // Pieces of older segments, also of those that are in no log any more, count as they are.
  return pieced === undefined ? { segmentNumber: nextSegment, endPosition: 0 } : pieced
}

async function beginTimeline({ archive }: Shipment, identity: ShippedIdentity): Promise<void> {
  await archive.journal.append((fold) => {
    const known = fold.timeline(identity.timeline)
    if (known === undefined) return firstEvent(fold, identity)
    refuseOther(known, identity)
    return undefined
  })
}

/** A home that no journal gave its number (out of a backup folder, or promoted without an archive) may share it with another line. */
function refuseOther(
  known: { readonly parent?: number | undefined; readonly forkLsn?: number | undefined },
  { timeline, parent }: ShippedIdentity,
): void {
  if (known.parent === undefined || parent === undefined) return
  if (known.parent === parent.timeline && known.forkLsn === parent.forkLsn) return
  throw archiveError('ARCHIVE_TIMELINE_TAKEN', 'the archive knows another line by the number of this one', {
    details: { timeline, forkLsn: parent.forkLsn, archivedForkLsn: known.forkLsn },
  })
}

function firstEvent(
  fold: CatalogueFold,
  { timeline, parent }: LogIdentity & ShippedIdentity,
): { type: 'timeline.begun'; timeline: number; parent?: number; forkLsn?: number } {
  if (fold.newestTimeline === 0 && parent === undefined) return { type: 'timeline.begun', timeline }
  // A new archive is told of a parent that it does not hold: a backup elsewhere may, and is of use only through this link.
  if (parent !== undefined && (fold.newestTimeline === 0 || fold.timeline(parent.timeline) !== undefined)) {
    return { type: 'timeline.begun', timeline, parent: parent.timeline, forkLsn: parent.forkLsn }
  }
  throw archiveError('ARCHIVE_TIMELINE_UNKNOWN', 'the archive does not know where this timeline comes from', {
    details: { timeline, parent: parent?.timeline },
  })
}
