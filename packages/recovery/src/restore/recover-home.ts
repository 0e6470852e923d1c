import { join } from 'node:path'
import { homeLayout, lockHome, type OpenReport, readHomeIdentity } from '@timberline/engine'
import { nodeFileSystem, parseSegmentName } from '@timberline/wal'
import { atBoundary, recoveryError } from '../errors.ts'
import { openOnce } from './open-once.ts'
import { throwIfAborted } from '../transfer.ts'

/** How to recover a home where it lies. */
export interface RecoverHomeOptions {
  /** Do not trust `data/` at all: rebuild it from the newest checkpoint and the log. Default: false. */
  readonly catastrophic?: boolean
  readonly signal?: AbortSignal
}

/** What recovering a home in place found and did. */
export interface RecoverHomeReport {
  readonly home: string
  readonly environmentId: string
  readonly timeline: number
  readonly catastrophic: boolean
  /** What opening the home found and did. */
  readonly opened: OpenReport
  readonly ms: number
}

/** Where the data files wait until the rebuild has succeeded; then they go. */
const asideName = 'data.aside'

/**
 * Recovers a home after a crash, as opening it would, and reports what was done. Missing log is named, never skipped.
 *
 * @throws RECOVERY_LOG_LOST when there is no log at all, ENGINE_HOME_MISSING for a mistyped path, ENGINE_HOME_LOCKED while somebody has it open, ENGINE_LOG_GAP,
 * ENGINE_LOG_LOST
 */
export function recoverHome(home: string, options: RecoverHomeOptions = {}): Promise<RecoverHomeReport> {
  return atBoundary(options.signal, () => recoverWhereItLies(home, options))
}

async function recoverWhereItLies(home: string, options: RecoverHomeOptions): Promise<RecoverHomeReport> {
  const beganAt = performance.now()
  const { catastrophic = false } = options
  const { environmentId, timeline } = await readHomeIdentity(home)
  throwIfAborted(options.signal)
  await requireLog(home)
  const aside = catastrophic ? await setDataAside(home) : undefined
  try {
    const opened = await openOnce(home)
    await aside?.discard()
    return { home, environmentId, timeline, catastrophic, opened, ms: performance.now() - beganAt }
  } catch (error) {
    // The data files may be all that is left: a rebuild that failed must not have cost them.
    await aside?.putBack()
    throw error
  }
}

/**
 * A home whose log is gone can still open, as old as its data files or as empty as on its first day: that is no recovery.
 *
 * @throws RECOVERY_LOG_LOST
 */
async function requireLog(home: string): Promise<void> {
  const { logDirectory } = homeLayout(home)
  const names =
    (await nodeFileSystem.status(logDirectory)) === undefined ? [] : await nodeFileSystem.list(logDirectory)
  if (names.some((name) => parseSegmentName(name) !== undefined)) return
  throw recoveryError('RECOVERY_LOG_LOST', 'the home has no log', { details: { logDirectory } })
}

interface Aside {
  discard(): Promise<void>
  putBack(): Promise<void>
}

/** Moves `data/` away under the lock; opening then finds none, and rebuilds it. Dying in between leads to the same. */
async function setDataAside(home: string): Promise<Aside> {
  const { dataDirectory } = homeLayout(home)
  const asideDirectory = join(home, asideName)
  await underLock(home, async () => {
    if ((await nodeFileSystem.status(dataDirectory)) === undefined) return
    await nodeFileSystem.removeTree(asideDirectory)
    await nodeFileSystem.rename(dataDirectory, asideDirectory)
    await nodeFileSystem.syncDirectory(home)
  })
  return {
    discard: () => nodeFileSystem.removeTree(asideDirectory),
    putBack: () =>
      underLock(home, async () => {
        if ((await nodeFileSystem.status(asideDirectory)) === undefined) return
        await nodeFileSystem.removeTree(dataDirectory)
        await nodeFileSystem.rename(asideDirectory, dataDirectory)
        await nodeFileSystem.syncDirectory(home)
      }),
  }
}

async function underLock(home: string, work: () => Promise<void>): Promise<void> {
  const lock = await lockHome(home)
  try {
    await work()
  } finally {
    await lock.release()
  }
}
