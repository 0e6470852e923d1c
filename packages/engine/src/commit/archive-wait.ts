/**
 * Holds back the promises of commits until archives hold them too: recovery point zero. A commit comes here when it is durable
 * in the home and readable; nothing that happens here can undo it, so every way out that is not "archived" says that it stands.
 *
 * The word of an archive is a file in the log folder, written by a shipper in any process after the archive has read the records
 * back: a quick one where it finds that somebody may wait, a confirmation otherwise. The folder's watch is the bell and a slow poll stands in for it; neither runs while nothing is waited for.
 * The other way, `wanted.json` tells the shipper up to where somebody waits, so that it hurries.
 *
 *   waiting → archived   enough confirmations reach the commit
 *   waiting → late       its time has passed: the policy applies, and `late` lasts until the archives hold that commit
 *   waiting → closing    the database closes: the policy applies at once
 */
import { setTimeout as pause } from 'node:timers/promises'
import { Doorbell, openWanted } from '@timberline/wal'
import type { FileSystem, RecordPlace, WantedFile } from '@timberline/wal'
import type { ArchivedPolicy } from './archived-options.ts'
import { openArchiveQuorum } from './archive-quorum.ts'
import type { ArchiveQuorum } from './archive-quorum.ts'
import type { ArchiveEvent } from './archive-event.ts'
import { engineError } from '../errors.ts'

/** What commits wait for, and where its word comes in. */
export interface ArchiveWaitOptions {
  readonly logDirectory: string
  readonly fileSystem: FileSystem
  readonly timeline: number
  /** The end of the log as it was opened. */
  readonly lastLsn: number
  readonly policy: ArchivedPolicy
  readonly onEvent?: ((event: ArchiveEvent) => void) | undefined
}

/** How the waiting stands; JSON-safe. */
export interface ArchiveWaitStatus {
  /** Commits that are durable here and wait for archives. */
  readonly waitingCount: number
  /** Every record up to this one is held by enough archives, as last read. */
  readonly archivedLsn: number
  /** A commit was late, and the archives do not hold it yet. */
  readonly isLate: boolean
  /** Commits that resolved without the archives, by `whenLate: 'accept'`. */
  readonly acceptedCount: number
  /** Why the confirmations cannot be read. */
  readonly failure?: string
}

interface Waiting {
  readonly place: RecordPlace
  readonly beganAtMs: number
  readonly resolve: (place: RecordPlace) => void
  readonly reject: (error: Error) => void
}

/** After a ring, in milliseconds: the writer's own commits ring as well. */
const GATHER_MS = 2
/** The look when nothing rang, in milliseconds. */
const POLL_MS = 250

/** @throws WAL_CONFIRMATION_DAMAGED */
export async function openArchiveWait(options: ArchiveWaitOptions): Promise<ArchiveWait> {
  const { logDirectory, fileSystem, timeline, lastLsn, policy } = options
  const { archives, atLeast } = policy
  const scope = { logDirectory, fileSystem, timeline, archives, atLeast }
  const quorum = await openArchiveQuorum(scope, lastLsn)
  try {
    return new ArchiveWait(
      options,
      quorum,
      await openWanted({ directory: logDirectory, timeline }, fileSystem),
    )
  } catch (error) {
    await quorum.close()
    throw error
  }
}

/** Commits that wait for archives. */
export class ArchiveWait {
  readonly #options: ArchiveWaitOptions
  readonly #quorum: ArchiveQuorum
  readonly #wanted: WantedFile
  #waiting: Waiting[] = []
  #archivedLsn = 0
  #lateLsn: number | undefined
  #acceptedCount = 0
  #wantedLsn = 0
  #telling: Promise<void> | undefined
  #watching: Promise<void> | undefined
  #endPause = new AbortController()
  #timer: NodeJS.Timeout | undefined
  /** Why the last look failed; the next one may not. */
  #failure: unknown
  #isClosed = false

  /** Use `openArchiveWait`. */
  constructor(options: ArchiveWaitOptions, quorum: ArchiveQuorum, wanted: WantedFile) {
    this.#options = options
    this.#quorum = quorum
    this.#wanted = wanted
  }

  get status(): ArchiveWaitStatus {
    return {
      waitingCount: this.#waiting.length,
      archivedLsn: this.#archivedLsn,
      isLate: this.#lateLsn !== undefined,
      acceptedCount: this.#acceptedCount,
      ...(this.#failure instanceof Error ? { failure: this.#failure.message } : {}),
    }
  }

  /** Resolves once enough archives hold a commit that is durable here. @throws ENGINE_NOT_ARCHIVED */
  through(place: RecordPlace): Promise<RecordPlace> {
    if (place.lsn <= this.#archivedLsn) return Promise.resolve(place)
    return new Promise((resolve, reject) => {
      const waiting = { place, beganAtMs: performance.now(), resolve, reject }
      if (this.#isClosed) return this.#giveUp(waiting, 'closing')
      if (this.#lateLsn !== undefined && this.#options.policy.whenLate === 'accept') {
        return this.#giveUp(waiting, 'late')
      }
      this.#waiting.push(waiting)
      this.#wantedLsn = Math.max(this.#wantedLsn, place.lsn)
      this.#telling ??= this.#tell().finally(() => (this.#telling = undefined))
      this.#armTimer()
      this.#watch()
    })
  }

  /** Ends all waiting. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#disarmTimer()
    this.#endPause.abort()
    for (const waiting of this.#waiting.splice(0)) this.#giveUp(waiting, 'closing')
    await this.#watching
    await this.#telling
    await this.#wanted.close()
    await this.#quorum.close()
  }

  get #isNeeded(): boolean {
    return !this.#isClosed && (this.#waiting.length > 0 || this.#lateLsn !== undefined)
  }

  /** One write at a time, which takes all who came meanwhile. */
  async #tell(): Promise<void> {
    for (let told = 0; told < this.#wantedLsn && !this.#isClosed;) {
      told = this.#wantedLsn
      // Without it the shipper does not hurry; whoever then waits too long hears why.
      await this.#wanted.write(told).catch((error: unknown) => (this.#failure = error))
    }
  }

  #watch(): void {
    if (this.#watching !== undefined || !this.#isNeeded) return
    this.#endPause = new AbortController()
    this.#watching = this.#lookWhileNeeded(this.#endPause.signal)
      .catch((error: unknown) => {
        // The folder cannot be watched. Those who wait are told why when their time has passed.
        this.#failure = error
        return pause(POLL_MS)
      })
      .finally(() => {
        this.#watching = undefined
        // Somebody may have come after the last look.
        this.#watch()
      })
  }

  async #lookWhileNeeded(signal: AbortSignal): Promise<void> {
    const { fileSystem, logDirectory } = this.#options
    const bell = new Doorbell(fileSystem, logDirectory, signal)
    try {
      // The bell hangs before the first look, so that no word between the two is missed.
      while (this.#isNeeded && !signal.aborted) {
        await this.#look()
        if (this.#isNeeded) await bell.wait(POLL_MS, GATHER_MS)
      }
    } finally {
      bell.close()
    }
  }

  async #look(): Promise<void> {
    try {
      const lsn = await this.#quorum.read()
      this.#failure = undefined
      if (lsn > this.#archivedLsn) this.#archived(lsn)
    } catch (error) {
      this.#failure = error
    }
  }

  #archived(lsn: number): void {
    this.#archivedLsn = lsn
    const held = this.#waiting.filter(({ place }) => place.lsn <= lsn)
    this.#waiting = this.#waiting.filter(({ place }) => place.lsn > lsn)
    for (const { place, resolve } of held) resolve(place)
    if (this.#waiting.length === 0) this.#disarmTimer()
    if (this.#lateLsn === undefined || this.#lateLsn > lsn) return
    this.#lateLsn = undefined
    this.#options.onEvent?.({ type: 'archive.caughtUp', archivedLsn: lsn })
  }

  #armTimer(): void {
    if (this.#timer !== undefined || this.#waiting.length === 0) return
    // All wait equally long, so the first who came is the first whose time has passed.
    const deadlineMs = (this.#waiting[0]?.beganAtMs ?? 0) + this.#options.policy.timeoutMs
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#expire()
      },
      Math.max(1, Math.ceil(deadlineMs - performance.now())),
    )
  }

  #disarmTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #expire(): void {
    const { policy, onEvent } = this.#options
    const begunBeforeMs = performance.now() - policy.timeoutMs
    const late = this.#waiting.filter(({ beganAtMs }) => beganAtMs <= begunBeforeMs)
    const [first] = late
    if (first !== undefined && this.#lateLsn === undefined) {
      const { lsn } = first.place
      this.#lateLsn = lsn
      const waitedMs = performance.now() - first.beganAtMs
      const { whenLate } = policy
      onEvent?.({ type: 'archive.late', lsn, waitedMs, archivedLsn: this.#archivedLsn, whenLate })
    }
    const isAccepted = this.#lateLsn !== undefined && policy.whenLate === 'accept'
    const ended = isAccepted ? this.#waiting : late
    this.#waiting = isAccepted ? [] : this.#waiting.filter((waiting) => !late.includes(waiting))
    for (const waiting of ended) this.#giveUp(waiting, 'late')
    this.#armTimer()
  }

  /** The commit stands; only the archives lack it. */
  #giveUp({ place, beganAtMs, resolve, reject }: Waiting, reason: 'late' | 'closing'): void {
    const { archives, atLeast, whenLate } = this.#options.policy
    if (whenLate === 'accept') {
      this.#acceptedCount += 1
      resolve(place)
      return
    }
    const what =
      reason === 'late'
        ? 'the commit is durable in the home and stands, but archives did not confirm it in time'
        : 'the commit is durable in the home and stands, but the database closed before archives confirmed it'
    reject(
      engineError('ENGINE_NOT_ARCHIVED', what, {
        details: {
          reason,
          lsn: place.lsn,
          waitedMs: Math.round(performance.now() - beganAtMs),
          archivedLsn: this.#archivedLsn,
          archives: archives.join(', '),
          atLeast,
        },
        cause: this.#failure,
      }),
    )
  }
}
