import { setTimeout as sleep } from 'node:timers/promises'
import type { Archive } from '@timberline/archive'
import { controlCall, type HomeIdentity, readHomeIdentity, type StateDigest } from '@timberline/engine'
import { invariant, type Lsn } from '@timberline/wal'
import { planRecovery } from '../plan/catalogue-history.ts'
import { recoveryError } from '../errors.ts'
import type { RecoveryGap } from '../plan/plan.ts'
import type { RecoveryProgress } from '../restore/progress.ts'
import { gapError, recover } from '../restore/recover.ts'
import { makeScratch } from '../scratch.ts'
import { throwIfAborted } from '../transfer.ts'

/** What to compare. */
export interface VerifyAgainstOptions {
  readonly archive: Archive
  /** The home of the live database. */
  readonly home: string
  /** Where to restore: a folder of its own is made there, and removed. Default: the system's temporary folder. */
  readonly scratch?: string
  /** How long the archive may take to hold the LSN, in milliseconds. Default: 60,000. */
  readonly archiveTimeoutMs?: number
  /** How long the live database may take to compute its digest, in milliseconds. Default: 600,000. */
  readonly digestTimeoutMs?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RecoveryProgress) => void
}

/** The live database and a restore from its archive, at one LSN. */
export interface VerifyAgainstReport {
  readonly equal: boolean
  readonly lsn: Lsn
  readonly live: StateDigest
  readonly restored: StateDigest
  /** The backup that the restore started from, and how many records were replayed. */
  readonly base: string
  readonly records: number
  /** How long the archive took to hold the LSN. */
  readonly waitedMs: number
  readonly ms: number
}

const pollMs = 200
const defaults = { archiveTimeoutMs: 60_000, digestTimeoutMs: 600_000 } as const

/**
 * Proves that a restore from the archive would be the live database: takes the live digest at one LSN, while writers go on;
 * waits until the archive holds that LSN; restores it aside; compares.
 *
 * @throws ENGINE_NOT_RUNNING when nobody has the home open, RECOVERY_NOT_THE_SAME, RECOVERY_ARCHIVE_BEHIND,
 * RECOVERY_NO_BASE
 */
export async function verifyAgainst(options: VerifyAgainstOptions): Promise<VerifyAgainstReport> {
  const beganAt = performance.now()
  const { archive, home, signal, onProgress } = options
  const identity = await readHomeIdentity(home)
  refuseOther(archive, identity)
  const live = await liveDigest(home, options.digestTimeoutMs ?? defaults.digestTimeoutMs)
  const askedAt = performance.now()
  await waitForArchive(options, identity, live.lsn)
  const waitedMs = performance.now() - askedAt
  const scratch = await makeScratch(options.scratch)
  try {
    const report = await recover({
      from: { archive },
      home: scratch.home,
      target: { type: 'lsn', lsn: live.lsn, edge: 'through' },
      timeline: identity.timeline,
      scratch: true,
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    })
    const { digest: restored, base, records } = report
    invariant(restored !== undefined, 'a recovery computes a digest unless told otherwise')
    const equal = restored.hex === live.hex && restored.entries === live.entries
    const ms = performance.now() - beganAt
    return { equal, lsn: live.lsn, live, restored, base: base.label, records, waitedMs, ms }
  } finally {
    await scratch.remove()
  }
}

function refuseOther({ identity, store }: Archive, home: HomeIdentity): void {
  if (identity.environmentId === home.environmentId) return
  throw recoveryError('RECOVERY_NOT_THE_SAME', 'home and archive are of different environments', {
    details: {
      archive: store.url,
      environmentId: identity.environmentId,
      homeEnvironmentId: home.environmentId,
    },
  })
}

async function liveDigest(home: string, timeoutMs: number): Promise<StateDigest> {
  const result = await controlCall(home, { type: 'digest' }, { timeoutMs })
  if (isDigest(result)) return result
  throw recoveryError('RECOVERY_NOT_THE_SAME', 'the owner of the home answered with no digest', {
    details: { home, answer: JSON.stringify(result) },
  })
}

function isDigest(value: unknown): value is StateDigest {
  return (
    typeof value === 'object' &&
    value !== null &&
    'hex' in value &&
    typeof value.hex === 'string' &&
    'lsn' in value &&
    typeof value.lsn === 'number' &&
    'entries' in value
  )
}

/** Pieces come every second; a hole may be one that a segment is just about to fill, so that it is waited for too. */
async function waitForArchive(
  options: VerifyAgainstOptions,
  { timeline }: HomeIdentity,
  lsn: Lsn,
): Promise<void> {
  const { archive, signal, archiveTimeoutMs = defaults.archiveTimeoutMs } = options
  const deadline = performance.now() + archiveTimeoutMs
  for (;;) {
    throwIfAborted(signal)
    const plan = planRecovery(await archive.catalogue(), { type: 'lsn', lsn, edge: 'through' }, { timeline })
    if (plan.possible) return
    if (plan.code === 'RECOVERY_NO_BASE') throw gapError(plan)
    if (performance.now() > deadline) throw behind(plan, lsn)
    await sleep(pollMs)
  }
}

function behind(gap: RecoveryGap, lsn: Lsn): Error {
  return recoveryError('RECOVERY_ARCHIVE_BEHIND', 'the archive does not hold the live database yet', {
    details: { lsn, reachableLsn: gap.before?.lsn },
    cause: gapError(gap),
  })
}
