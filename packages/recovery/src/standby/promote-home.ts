// A promotion without an archive: of a standby that follows a home. Here the lock of that home decides. Who holds it knows that nobody
// writes, can read the log to its end, and ends the timeline by one file in the old home, which every later open meets.
import { randomBytes } from 'node:crypto'
import {
  type HomeEnd,
  type HomeIdentity,
  type HomeLock,
  homeLayout,
  lockHome,
  readHomeEnd,
  readHomeIdentity,
  type StandbyState,
  writeHomeEnd,
} from '@timberline/engine'
import { type FileSystem, parseSegmentName } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { awayError, type FollowedHome } from './followed-home.ts'
import { becomeHome } from './promoted-home.ts'
import { openStandbyData } from './standby-base.ts'
import { HomeFeed } from './standby-home-feed.ts'
import { sourceOf } from './standby-home.ts'
import { readStandbyLabel } from './standby-label.ts'
import { isLocked, takeFolder } from './standby-leave.ts'
import type { StandbyFolder } from './standby-place.ts'
import { throwIfAborted } from '../transfer.ts'

/** What to promote, and which home it followed. */
export interface HomePromotion {
  readonly home: string
  /** Absolute; absent: the one that the label names. */
  readonly of: string | undefined
  /** The followed home is gone for good. */
  readonly isLost: boolean
  readonly signal: AbortSignal
  readonly fileSystem: FileSystem
}

/** What it came to. */
export interface PromotedHome {
  readonly environmentId: string
  readonly timeline: number
  readonly parent: { readonly timeline: number; readonly forkLsn: number }
  readonly records: number
  readonly alreadyDone: boolean
}

/**
 * @throws RECOVERY_PRIMARY_RUNS, RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED, RECOVERY_STANDBY_MISSING, RECOVERY_STANDBY_DIVERGED,
 * RECOVERY_STANDBY_BEHIND, RECOVERY_BULK_LOAD, WAL_CORRUPT
 */
export async function promoteFromHome(promotion: HomePromotion): Promise<PromotedHome> {
  const { home, fileSystem } = promotion
  const label = await readStandbyLabel(home, fileSystem)
  const of = promotion.of ?? label?.of?.home
  if (label === undefined) return finishedBefore(promotion, of)
  if (of === undefined) {
    throw recoveryError('RECOVERY_OPTION_INVALID', 'the standby follows an archive, which has to be named', {
      details: { home },
    })
  }
  const old = await lockOld({ home: of, fileSystem }, promotion.isLost)
  try {
    const environmentId = old?.identity.environmentId ?? label.environmentId
    const folder = await takeFolder(home, { environmentId, rejoin: false, fileSystem })
    try {
      return await promoteFolder(folder, { ...promotion, old: old?.identity, of })
    } finally {
      await folder.release()
    }
  } finally {
    await old?.lock.release()
  }
}

interface OldHome {
  readonly lock: HomeLock
  readonly identity: HomeIdentity
}

/** Nobody writes while the lock is held; `undefined` for a home that is lost. */
async function lockOld({ home, fileSystem }: FollowedHome, isLost: boolean): Promise<OldHome | undefined> {
  // The lock would make the folder.
  if ((await fileSystem.status(homeLayout(home).identityPath)) === undefined) {
    if (isLost) return undefined
    throw awayError(home)
  }
  const lock = await lockHome(home).catch((cause: unknown) => {
    // v8 ignore next -- what the system refuses is passed on
    if (!isLocked(cause)) throw cause
    throw recoveryError('RECOVERY_PRIMARY_RUNS', 'the home that is followed is open', {
      details: { of: home },
      cause,
    })
  })
  try {
    return { lock, identity: await readHomeIdentity(home, fileSystem) }
  } catch (error) {
    await lock.release()
    throw error
  }
}

interface Work extends HomePromotion {
  readonly of: string
  readonly old: HomeIdentity | undefined
}

async function promoteFolder(folder: StandbyFolder, work: Work): Promise<PromotedHome> {
  const { of, old, signal, fileSystem } = work
  const { environmentId } = folder.label
  const source = sourceOf({ home: of, fileSystem }, environmentId)
  const { state } = await openStandbyData(folder, { source, pinned: undefined, anew: false, signal })
  try {
    const before = await state.applied()
    const ended =
      old === undefined ? await endLost(folder, state) : await endOld(folder, state, { ...work, old })
    const parent = { timeline: folder.timeline, forkLsn: ended.lsn }
    const segmentNumber = 1 + (await lastSegmentNumber(folder, old === undefined ? undefined : of))
    const { timeline } = folder
    await becomeHome({ folder, state, timeline, ended, segmentNumber, archiveName: undefined })
    const records = ended.lsn - before.lsn
    return { environmentId, timeline: ended.successor, parent, records, alreadyDone: false }
  } finally {
    await state.close()
  }
}

/** Applies the old log to its end, and ends the timeline there; one that this promotion has ended is applied again and left so. */
async function endOld(
  folder: StandbyFolder,
  state: StandbyState,
  { of, old, home, signal, fileSystem }: Work & { readonly old: HomeIdentity },
): Promise<HomeEnd> {
  const end = await readHomeEnd(of, fileSystem)
  const { ownerId = randomBytes(16).toString('hex') } = folder.label
  const feed = new HomeFeed({ folder, state, pinned: undefined, followed: { home: of, fileSystem } })
  try {
    // Refused where another promotion has ended it; and where the home went on along another line.
    if (end?.ownerId !== ownerId) await feed.step(signal)
    while ((await feed.apply(signal)).records > 0) throwIfAborted(signal)
  } finally {
    await feed.close()
  }
  if (end !== undefined) return end
  throwIfAborted(signal)
  // Before the event: after a crash this id knows it again.
  await folder.relabel({ phase: 'promote', ownerId })
  const { lsn } = await state.applied()
  const { timeline } = old
  const endedAtUs = Date.now() * 1000
  const ended: HomeEnd = { format: 1, timeline, lsn, successor: timeline + 1, ownerId, endedAtUs, home }
  await writeHomeEnd(of, ended, fileSystem)
  return ended
}

/** What the standby has is all there is. Nobody can be told. */
async function endLost(
  folder: StandbyFolder,
  state: StandbyState,
): Promise<Pick<HomeEnd, 'lsn' | 'successor' | 'endedAtUs'>> {
  const { ownerId = randomBytes(16).toString('hex') } = folder.label
  await folder.relabel({ phase: 'promote', ownerId })
  const { lsn } = await state.applied()
  return { lsn, successor: folder.timeline + 1, endedAtUs: Date.now() * 1000 }
}

/** Numbers go on, so that the newest segment has the highest number in whatever folder they meet. */
async function lastSegmentNumber(
  { label, fileSystem }: StandbyFolder,
  of: string | undefined,
): Promise<number> {
  const names = of === undefined ? [] : await fileSystem.list(homeLayout(of).logDirectory)
  // v8 ignore next -- a label has it from the first base on
  return names.reduce((most, name) => Math.max(most, parseSegmentName(name) ?? 0), label.segmentNumber ?? 0)
}

/** A home without a label may be what an earlier call has made. @throws RECOVERY_STANDBY_MISSING */
async function finishedBefore(
  { home, fileSystem }: HomePromotion,
  of: string | undefined,
): Promise<PromotedHome> {
  const isHome = (await fileSystem.status(homeLayout(home).identityPath)) !== undefined
  const end = of === undefined ? undefined : await readHomeEnd(of, fileSystem)
  if (isHome && end !== undefined) {
    const { environmentId, timeline, parent } = await readHomeIdentity(home, fileSystem)
    if (parent?.timeline === end.timeline && parent.forkLsn === end.lsn && timeline === end.successor) {
      // The call that removed the label may have died before that was durable.
      await fileSystem.syncDirectory(home)
      return { environmentId, timeline, parent, records: 0, alreadyDone: true }
    }
  }
  throw recoveryError('RECOVERY_STANDBY_MISSING', 'the folder is no standby', { details: { home } })
}
