// A standby becomes the database. The archive is taken first, so that what it holds is settled; then all of it is applied; then one event
// ends the timeline and begins the successor. Up to that event the old primary may go on, from it on only this home may. Everything
// after it concerns this folder alone, whose label stands to the last, so that the same call finishes what a crash left.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { type Archive, endTimeline, takeOverTimeline, type TimelineEnd } from '@timberline/archive'
import { readHomeIdentity, type StandbyState } from '@timberline/engine'
import { type FileSystem, type Lsn, nodeFileSystem } from '@timberline/wal'
import { reachFrom } from '../history/coverage.ts'
import { atBoundary, recoveryError } from '../errors.ts'
import { promoteFromHome } from './promote-home.ts'
import { becomeHome } from './promoted-home.ts'
import { archiveSource } from './standby-archive.ts'
import { openStandbyData } from './standby-base.ts'
import { GAP_LOOKS_MAX, StandbyFeed } from './standby-feed.ts'
import { readStandbyLabel } from './standby-label.ts'
import { type Blockage, blockedError, type Outlook } from './standby-outlook.ts'
import { takeFolder } from './standby-leave.ts'
import type { StandbyFolder } from './standby-place.ts'
import { throwIfAborted } from '../transfer.ts'

/** What to promote. */
export interface PromoteOptions {
  /** The archive that the standby followed. The caller closes it. Absent where it followed a home. */
  readonly archive?: Archive
  /** The home that the standby followed; default: the one that its label names. */
  readonly of?: string
  /** That home is lost with its machine: go on with what the standby has. Default: false. */
  readonly lost?: boolean
  /** The folder of the standby; a process that runs it is asked to let go. */
  readonly home: string
  /** What the new home calls the archive, as its shipper will: log is kept until that has it. Default: `archive`. */
  readonly archiveName?: string
  /** Stops a promotion that has not ended the old timeline yet. */
  readonly signal?: AbortSignal
  readonly fileSystem?: FileSystem
}

/** What a promotion came to; JSON-safe. */
export interface PromoteReport {
  readonly home: string
  readonly environmentId: string
  /** The new timeline, and the one that it continues. */
  readonly timeline: number
  readonly parent: { readonly timeline: number; readonly forkLsn: Lsn }
  /** Records that were still to be applied when the promotion began. */
  readonly records: number
  /** True when an earlier call had finished already. */
  readonly alreadyDone: boolean
  readonly ms: number
}

/**
 * Makes a standby the database, on a new timeline: takes the archive over, applies everything that it holds, ends the timeline that
 * was followed. The old primary is refused by the archive from then on. Where a home was followed, its lock is taken in place of the
 * archive, and its own folder refuses. Dying on the way, the same call goes on.
 *
 * @throws RECOVERY_STANDBY_MISSING, ENGINE_HOME_LOCKED while another promotion runs, or a standby that cannot be asked to let go
 * @throws RECOVERY_PRIMARY_RUNS, RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED of a home that was followed
 * @throws ARCHIVE_TIMELINE_ENDED when another standby was promoted, ARCHIVE_FENCED when another shipper or promotion came in between
 * @throws RECOVERY_STANDBY_BEHIND when retention let go the timeline that the standby followed
 * @throws RECOVERY_LOG_GAP, RECOVERY_STANDBY_BACKUP_AHEAD, RECOVERY_BULK_LOAD, RECOVERY_LOG_DAMAGED when what is archived cannot be applied to its end
 *
 * @example
 * const { timeline } = await promote({ archive, home: './standby' })
 * const db = new TimberLevel('./standby')
 */
export function promote(options: PromoteOptions): Promise<PromoteReport> {
  const { archive, of, lost = false } = options
  const { signal = new AbortController().signal, fileSystem = nodeFileSystem } = options
  const home = resolve(options.home)
  return atBoundary(signal, async () => {
    const archiveName = checkedName(options.archiveName)
    const beganAt = performance.now()
    if (archive === undefined) {
      const place = { of: of === undefined ? undefined : resolve(of), isLost: lost }
      const done = await promoteFromHome({ home, ...place, signal, fileSystem })
      return { home, ...done, ms: performance.now() - beganAt }
    }
    if (of !== undefined || lost) throw ofArchiveError()
    if ((await readStandbyLabel(home, fileSystem)) === undefined) {
      return { ...(await finishedBefore(home, archive, fileSystem)), ms: performance.now() - beganAt }
    }
    const { environmentId } = archive.identity
    const folder = await takeFolder(home, { environmentId, rejoin: false, fileSystem })
    try {
      const done = await promoteFolder(folder, { archive, archiveName, signal })
      return { home, environmentId, ...done, alreadyDone: false, ms: performance.now() - beganAt }
    } finally {
      await folder.release()
    }
  })
}

type Done = Pick<PromoteReport, 'timeline' | 'parent' | 'records'>

async function promoteFolder(
  folder: StandbyFolder,
  options: Pick<Promotion, 'archive' | 'archiveName' | 'signal'>,
): Promise<Done> {
  const { archive, signal } = options
  const { state } = await openStandbyData(folder, {
    source: archiveSource(archive),
    pinned: undefined,
    anew: false,
    signal,
  })
  try {
    const before = await state.applied()
    const promotion = await beginPromotion({ ...options, folder, state })
    const ended = await settle(promotion)
    const parent = { timeline: promotion.timeline, forkLsn: ended.lsn }
    const { timeline, feed } = promotion
    const segmentNumber = lastSegmentNumber(await feed.outlook(ended.lsn), folder) + 1
    const { archiveName } = options
    await becomeHome({ folder, state, timeline, ended, segmentNumber, archiveName })
    return { timeline: ended.successor, parent, records: ended.lsn - before.lsn }
  } finally {
    await state.close()
  }
}

interface Promotion {
  readonly folder: StandbyFolder
  readonly archive: Archive
  readonly archiveName: string
  readonly state: StandbyState
  readonly signal: AbortSignal
  readonly feed: StandbyFeed
  /** The one that is continued: what the standby has followed, and no other that may have begun since. */
  readonly timeline: number
  readonly ownerId: string
}

/** Applies what is there before the old primary is stopped: that is then short, and what cannot be applied stops nobody. */
async function beginPromotion(parts: Omit<Promotion, 'feed' | 'timeline' | 'ownerId'>): Promise<Promotion> {
  const { folder, signal } = parts
  const { timeline = 1, phase, ownerId = randomBytes(16).toString('hex') } = folder.label
  const feed = new StandbyFeed({ ...parts, pinned: timeline })
  const promotion = { ...parts, feed, timeline, ownerId }
  if (phase === 'promote') return promotion
  await refuseLetGo(promotion)
  await applyThrough(promotion, ({ endLsn }) => endLsn)
  throwIfAborted(signal)
  // Before the claim: after a crash this id knows its own claim, and its own event, again.
  await folder.relabel({ phase: 'promote', ownerId })
  return promotion
}

/** Ends the timeline exactly where the state is: after the last record that is archived. */
async function settle(promotion: Promotion): Promise<TimelineEnd> {
  const { archive, timeline, ownerId } = promotion
  const before = (await archive.journal.refresh()).timeline(timeline)?.ended
  if (before?.ownerId === ownerId) {
    await applyThrough(promotion, () => before.lsn)
    return before
  }
  const description = `promotion on ${hostname()} pid ${process.pid}`
  const epoch = await takeOverTimeline(archive, { ownerId, description, timeline })
  const lsn = await applyThrough(promotion, ({ endLsn }) => endLsn)
  return endTimeline(archive, { epoch, ownerId, timeline, lsn })
}

/** The home went on elsewhere, and retention let go all that this one followed: nobody can claim that any more. */
async function refuseLetGo({ archive, timeline }: Promotion): Promise<void> {
  const { retiredTimelines = [] } = await archive.catalogue()
  if (!retiredTimelines.includes(timeline)) return
  throw recoveryError('RECOVERY_STANDBY_BEHIND', 'retention let go the timeline that the standby followed', {
    details: { timeline },
  })
}

/**
 * @throws RECOVERY_LOG_GAP when log is missing on the way: a promotion leaves out nothing that was archived
 * @throws RECOVERY_STANDBY_BACKUP_AHEAD when a backup has what is missing, RECOVERY_STANDBY_DIVERGED when what was applied does not
 * count
 */
async function applyThrough(
  { feed, state, signal }: Promotion,
  end: (outlook: Outlook) => Lsn,
): Promise<Lsn> {
  const { lsn: appliedLsn } = await state.applied()
  let holeAfterLsn = -1
  for (let looks = 1; ; looks++) {
    const outlook = await feed.outlook(appliedLsn)
    const throughLsn = end(outlook)
    if (throughLsn < appliedLsn) {
      throw recoveryError('RECOVERY_STANDBY_DIVERGED', 'the standby has more than the archive', {
        details: { appliedLsn, archivedLsn: throughLsn },
      })
    }
    const reachLsn = reachFrom(outlook.coverage, appliedLsn)
    if (reachLsn >= throughLsn) {
      await feed.apply(outlook, { appliedLsn, throughLsn, signal })
      return throughLsn
    }
    // Pieces that come while they are listed leave holes of the listing alone, each time at another place.
    if (reachLsn !== holeAfterLsn) looks = 1
    holeAfterLsn = reachLsn
    if (looks < GAP_LOOKS_MAX) continue
    throw blockedError(blockageAt(outlook, reachLsn), 'RECOVERY_LOG_GAP')
  }
}

/** What was never shipped, but lies in a backup, is no loss: the standby can begin with that. */
function blockageAt({ blocked, coverage }: Outlook, reachLsn: Lsn): Blockage {
  const isAhead = coverage.bases.some(({ lsn }) => lsn > reachLsn)
  // v8 ignore next -- without a backup it is log before the fork of a line that has nothing yet
  return blocked ?? { afterLsn: reachLsn, by: isAhead ? 'backup' : 'missing' }
}

function ofArchiveError(): Error {
  const message = 'a standby is promoted out of an archive, or of a home, which alone can be lost'
  return recoveryError('RECOVERY_OPTION_INVALID', message)
}

/** Checked before anything is done: after the event a promotion must not stop for a word. @throws RECOVERY_OPTION_INVALID */
function checkedName(archiveName: string = 'archive'): string {
  if (/^[A-Za-z0-9_-]{1,64}$/.test(archiveName)) return archiveName
  throw recoveryError('RECOVERY_OPTION_INVALID', 'archiveName is not 1 to 64 letters, digits, _ and -', {
    details: { archiveName },
  })
}

/** Numbers go on, so that the newest segment has the highest number in whatever folder they meet. */
function lastSegmentNumber({ history }: Outlook, { label }: StandbyFolder): number {
  const used = history.spans.map(({ segmentNumber = 0 }) => segmentNumber)
  // v8 ignore next -- a label has it from the first base on
  return used.reduce((a, b) => Math.max(a, b), label.segmentNumber ?? 0)
}

/** A home without a label may be what an earlier call has made. @throws RECOVERY_STANDBY_MISSING */
async function finishedBefore(
  home: string,
  archive: Archive,
  fileSystem: FileSystem,
): Promise<Omit<PromoteReport, 'ms'>> {
  const { environmentId } = archive.identity
  const isHome = (await fileSystem.status(join(home, 'timberline.json'))) !== undefined
  const {
    timeline,
    parent,
    environmentId: found,
  } = isHome
    ? await readHomeIdentity(home, fileSystem)
    : { timeline: 0, parent: undefined, environmentId: '' }
  const before =
    parent === undefined ? undefined : (await archive.journal.refresh()).timeline(parent.timeline)
  if (parent === undefined || found !== environmentId || before?.ended?.successor !== timeline) {
    throw recoveryError('RECOVERY_STANDBY_MISSING', 'the folder is no standby', { details: { home } })
  }
  // The call that removed the label may have died before that was durable.
  await fileSystem.syncDirectory(home)
  return { home, environmentId, timeline, parent, records: 0, alreadyDone: true }
}
