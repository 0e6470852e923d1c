// What a standby finds in the archive at one look. Two requests when nothing changed: a listing of the pieces of its timeline,
// and a question for the next event of the journal by its name.
import type { Archive, Catalogue, CatalogueFold, PieceRef, SegmentRef } from '@timberline/archive'
import type { Lsn } from '@timberline/wal'
import { historyOf } from '../plan/catalogue-history.ts'
import { type Coverage, coverageOf, loadAfter, reachFrom } from '../history/coverage.ts'
import { recoveryError } from '../errors.ts'
import { type Branch, type History, pathTo, rooted, type Stretch } from '../history/history.ts'

/** Where a standby is. */
export interface StandbyPlace {
  /** The line that its content is of; absent before it has any. */
  readonly timeline?: number | undefined
  readonly appliedLsn: Lsn
  /** Follow this timeline alone. */
  readonly pinned?: number | undefined
}

/** What an archive offers a standby. */
export interface Outlook {
  /** The line to follow from here on. */
  readonly timeline: number
  readonly history: History
  readonly coverage: Coverage
  /** The last record that can be applied now. */
  readonly reachLsn: Lsn
  /** Why nothing after a record can be applied, ever; absent where more may come. */
  readonly blocked?: Blockage
  /** The last record that a promotion must have; beyond what can be applied where log is missing. */
  readonly endLsn: Lsn
  /** The last record that is known to exist, also by a backup. */
  readonly knownLsn: Lsn
}

/** What no replay leads across. */
export interface Blockage {
  readonly afterLsn: Lsn
  /** `load`: data that came in beside the log. `missing`: log that was archived once. `backup`: log that only a backup stands for. */
  readonly by: 'load' | 'missing' | 'backup'
}

/** The error that a blockage is thrown as. */
export function blockedError(
  { afterLsn, by }: Blockage,
  code: 'RECOVERY_STANDBY_BEHIND' | 'RECOVERY_LOG_GAP',
): Error {
  if (by === 'load') {
    return recoveryError('RECOVERY_BULK_LOAD', 'data was loaded beside the log here', {
      details: { lsn: afterLsn + 1 },
    })
  }
  const details = { missingFromLsn: afterLsn + 1 }
  if (by === 'backup') {
    const message = 'a backup goes further than the log that was shipped'
    return recoveryError('RECOVERY_STANDBY_BACKUP_AHEAD', message, { details })
  }
  return recoveryError(code, 'log that is needed next is not in the archive', { details })
}

/** What one look found, for the next one: the catalogue is folded only where something is new, at most once a look. */
export interface LookMemory {
  lines?: { readonly sequence: number; readonly branches: readonly Branch[] }
  last?: {
    readonly key: string
    readonly listed: readonly PieceRef[]
    readonly outlook: Outlook
  }
}

/** How often a look is taken again because the archive went over to another line meanwhile. */
const triesMax = 8

/**
 * Looks at the archive.
 *
 * @throws RECOVERY_STANDBY_DIVERGED when the archive's line does not lead through what is applied, RECOVERY_NO_BASE when the archive
 * is empty
 */
export async function lookAhead(
  archive: Archive,
  place: StandbyPlace,
  memory: LookMemory = {},
): Promise<Outlook> {
  let fold = await archive.journal.recent()
  for (let tries = 0; ; tries++) {
    const wanted = timelinesNeeded(fold, place, branchesOf(fold, archive, memory))
    // Pieces before events: a piece that was put by an owner replaced meanwhile is then told by the claim.
    const listed: PieceRef[] = []
    for (const timeline of wanted) listed.push(...(await archive.listPieces(timeline)))
    fold = await archive.journal.refresh()
    const still = timelinesNeeded(fold, place, branchesOf(fold, archive, memory))
    if (still.join() !== wanted.join() && tries < triesMax) continue
    const key = [fold.sequence, place.timeline, place.appliedLsn, place.pinned].join()
    const { last } = memory
    if (last?.key === key && isSame(last.listed, listed)) return last.outlook
    const outlook = outlookOf(fold, { archive, place, listed })
    memory.last = { key, listed, outlook }
    return outlook
  }
}

/** Pieces are named by what they hold. */
function isSame(before: readonly PieceRef[], now: readonly PieceRef[]): boolean {
  return before.length === now.length && before.every(({ name }, index) => name === now[index]?.name)
}

/** They change by events alone. */
function branchesOf(fold: CatalogueFold, archive: Archive, memory: LookMemory): readonly Branch[] {
  const { sequence } = fold
  if (memory.lines?.sequence !== sequence) {
    const { branches } = historyOf(fold.catalogue(archive.identity, []))
    memory.lines = { sequence, branches: rooted(branches) }
  }
  return memory.lines.branches
}

/** The timelines of the path that the standby has not behind it. */
function timelinesNeeded(
  fold: CatalogueFold,
  place: StandbyPlace,
  branches: readonly Branch[],
): readonly number[] {
  const timeline = lineToFollow(fold, branches, place)
  const path = timeline === undefined ? undefined : pathTo(branches, timeline)
  return (path ?? [])
    .filter(({ throughLsn }) => throughLsn > place.appliedLsn)
    .map((stretch) => stretch.timeline)
}

function outlookOf(
  fold: CatalogueFold,
  found: { readonly archive: Archive; readonly place: StandbyPlace; readonly listed: readonly PieceRef[] },
): Outlook {
  const { archive, place, listed } = found
  const catalogue = fold.catalogue(archive.identity, countable(fold, listed))
  const history = withRoots(historyOf(catalogue))
  const timeline = lineToFollow(fold, history.branches, place)
  const path = timeline === undefined ? undefined : pathTo(history.branches, timeline)
  if (timeline === undefined || path === undefined) {
    throw recoveryError('RECOVERY_NO_BASE', 'there is no line to follow in the archive', {
      details: { url: archive.store.url, timeline },
    })
  }
  refuseDiverged(history.branches, path, place)
  const coverage = coverageOf(history, path)
  const shippedLsn = lastOnPath(path, [...catalogue.segments, ...catalogue.pieces])
  const reach = reachFrom(coverage, place.appliedLsn)
  const isLoad = loadAfter(coverage, reach)?.lsn === reach + 1
  const isMissing = lacksArchived(catalogue, { history, path, reach })
  // v8 ignore next -- no path is empty
  const { fromLsn = 1 } = path.at(-1) ?? {}
  const settledLsn = Math.max(0, ...coverage.bases.map(({ lsn }) => lsn), fromLsn - 1)
  return {
    timeline,
    history,
    coverage,
    // A backup can hold records that no shipper has told of yet. They are left until one has: of two lines that a copied home
    // began, only the one that is shipped goes on.
    reachLsn: Math.max(place.appliedLsn, Math.min(reach, shippedLsn)),
    ...(isLoad || isMissing ? { blocked: { afterLsn: reach, by: isLoad ? 'load' : 'missing' } } : {}),
    endLsn: isLoad || isMissing || settledLsn > reach ? coverage.knownThroughLsn : reach,
    knownLsn: coverage.knownThroughLsn,
  }
}

function withRoots(history: History): History {
  return { ...history, branches: rooted(history.branches) }
}

/**
 * Between a claim and what its owner adopts, nobody can tell whether a piece of an older owner will count: it may have been put
 * under way. Such pieces are left until that is decided.
 */
function countable(fold: CatalogueFold, listed: readonly PieceRef[]): readonly PieceRef[] {
  const { owner } = fold
  if (owner === undefined || owner.adopted !== undefined) return listed
  return listed.filter(({ timeline, epoch }) => timeline !== owner.timeline || epoch >= owner.epoch)
}

/** The line that is shipped now, or the one that was asked for. */
function lineToFollow(
  fold: CatalogueFold,
  branches: readonly Branch[],
  place: StandbyPlace,
): number | undefined {
  const { owner } = fold
  const isDecided = owner?.adopted !== undefined || place.timeline === undefined
  const shipped = isDecided ? owner?.timeline : undefined
  const newest = branches.at(-1)?.timeline
  return place.pinned ?? shipped ?? place.timeline ?? newest
}

/** The line that the content is of and the one to follow must be the same as far as the content goes. */
function refuseDiverged(branches: readonly Branch[], path: readonly Stretch[], place: StandbyPlace): void {
  const { timeline, appliedLsn } = place
  if (timeline === undefined) return
  const own = pathTo(branches, timeline)
  if (own !== undefined && linesThrough(own, appliedLsn) === linesThrough(path, appliedLsn)) return
  throw recoveryError(
    'RECOVERY_STANDBY_DIVERGED',
    'the archive goes on along a line that does not lead through what the standby has applied',
    { details: { timeline, appliedLsn, shippedTimeline: path.at(-1)?.timeline } },
  )
}

/** Which records up to `lsn` are of which timeline, as a text to compare. */
function linesThrough(path: readonly Stretch[], lsn: Lsn): string {
  return path
    .filter(({ fromLsn, throughLsn }) => fromLsn <= Math.min(throughLsn, lsn))
    .map(({ timeline, fromLsn, throughLsn }) => `${timeline}:${fromLsn}-${Math.min(throughLsn, lsn)}`)
    .join()
}

/**
 * Whether something behind the end of what can be read shows that log before it was archived. Segments are archived in their order, and
 * pieces of one segment too. But the rest of a sealed segment comes with the whole of it, while pieces of the next one go ahead: a hole
 * at the end of a segment's pieces, with nothing but pieces behind it, was never told to be archived.
 */
function lacksArchived(
  { segments, pieces }: Catalogue,
  {
    history,
    path,
    reach,
  }: { readonly history: History; readonly path: readonly Stretch[]; readonly reach: Lsn },
): boolean {
  const stretches = new Map(path.map((stretch) => [stretch.timeline, stretch]))
  const isBehind = ({ timeline, firstLsn, lastLsn }: SegmentRef | PieceRef): boolean => {
    const throughLsn = stretches.get(timeline)?.throughLsn ?? -1
    // What a parent wrote after the fork is no part of the path.
    return lastLsn >= firstLsn && firstLsn <= throughLsn && Math.min(lastLsn, throughLsn) > reach
  }
  const isReadable = (piece: PieceRef): boolean =>
    history.spans.some(
      ({ timeline, segmentNumber, lastLsn }) =>
        timeline === piece.timeline && segmentNumber === piece.segmentNumber && lastLsn >= piece.lastLsn,
    )
  return segments.some(isBehind) || pieces.some((piece) => isBehind(piece) && !isReadable(piece))
}

/** The last record of the path that a segment or piece tells of, readable or not. */
function lastOnPath(
  path: readonly Stretch[],
  ends: readonly { readonly timeline: number; readonly lastLsn: Lsn }[],
): Lsn {
  const stretches = new Map(path.map((stretch) => [stretch.timeline, stretch]))
  let last = 0
  for (const { timeline, lastLsn } of ends) {
    const stretch = stretches.get(timeline)
    if (stretch === undefined || stretch.fromLsn > stretch.throughLsn) continue
    last = Math.max(last, Math.min(lastLsn, stretch.throughLsn))
  }
  return last
}
