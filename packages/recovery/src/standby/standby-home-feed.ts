// The log of a home, record by record, as it grows. What is applied is durable in the home; what the standby has made durable itself is
// confirmed, so that the home may let it go.
import {
  type AppliedPosition,
  type HomeIdentity,
  homeLayout,
  replayInto,
  type StandbyState,
} from '@timberline/engine'
import {
  Doorbell,
  type LogRecord,
  LogTail,
  type Lsn,
  TimberlineError,
  writeConfirmation,
} from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { type FollowedHome, identityOf } from './followed-home.ts'
import { withoutBulkLoads } from '../delta/range-replay.ts'
import type { StandbyFolder } from './standby-place.ts'
import type { Feed, FeedParts, StandbyStep } from './standby-source.ts'

/** A burst of commits is read as one, in milliseconds after the first. */
const GATHER_MS = 20
/** The bell is answered by looks of the standby's own; this only bounds how long nobody listens, in milliseconds. */
const POLL_MS = 600_000

/** Brings a state forward out of the log of a home. */
export class HomeFeed implements Feed {
  readonly #followed: FollowedHome
  readonly #folder: StandbyFolder
  readonly #state: StandbyState
  readonly #logDirectory: string
  readonly #bell: Doorbell
  #news: Promise<void> | undefined
  #tail: LogTail | undefined
  #segmentNumber: number | undefined

  constructor(parts: FeedParts & { readonly followed: FollowedHome }) {
    this.#followed = parts.followed
    this.#folder = parts.folder
    this.#state = parts.state
    this.#logDirectory = homeLayout(parts.followed.home).logDirectory
    this.#bell = new Doorbell(parts.followed.fileSystem, this.#logDirectory, undefined)
  }

  async step(signal: AbortSignal): Promise<StandbyStep> {
    await this.#goOver(await identityOf(this.#followed))
    return this.apply(signal)
  }

  /** Applies all that the log holds now. @throws RECOVERY_STANDBY_BEHIND, RECOVERY_STANDBY_DIVERGED, RECOVERY_BULK_LOAD, WAL_CORRUPT */
  async apply(signal: AbortSignal): Promise<StandbyStep> {
    const before = await this.#state.applied()
    try {
      const tail = await this.#tailAfter(before)
      await replayInto(this.#state.target, withoutBulkLoads(this.#groups(tail, before)), { signal })
      const { lsn } = await this.#state.applied()
      // Nothing to read: the time to ask whether what stands there is a frame being written, or damage.
      if (lsn === before.lsn) await tail.judge()
      // v8 ignore next -- a log without a segment tells nothing
      if ((tail.nextLsn ?? Infinity) <= lsn) throw this.#diverged(lsn)
      await this.#settle(tail, lsn)
      const outlook = { timeline: this.#folder.timeline, knownLsn: lsn }
      return { outlook, appliedLsn: lsn, records: lsn - before.lsn }
    } catch (error) {
      // Where it stands in the file is not known any more; the state knows where to go on.
      await this.#leaveTail()
      throw error
    }
  }

  news(): Promise<void> {
    this.#news ??= this.#bell.wait(POLL_MS, GATHER_MS).then(() => {
      this.#news = undefined
    })
    return this.#news
  }

  async close(): Promise<void> {
    this.#bell.close()
    await this.#leaveTail()
  }

  /** A home that was recovered, or that was promoted in the place of the one before, goes on along a line of its own. */
  async #goOver({ timeline, parent }: HomeIdentity): Promise<void> {
    if (timeline === this.#folder.timeline) return
    const { lsn } = await this.#state.applied()
    if (parent?.timeline !== this.#folder.timeline || lsn > parent.forkLsn) throw this.#diverged(lsn)
    await this.#leaveTail()
    // Told before a record of the new line is in, so that after a crash the label's line leads through whatever is.
    await this.#folder.relabel({ timeline })
    await this.#confirm({ segmentNumber: 0, lsn: 0 })
  }

  /** Begins with the record that the state stands on, where the log has it still: it must be the same. */
  async #tailAfter({ lsn }: AppliedPosition): Promise<LogTail> {
    if (this.#tail !== undefined) return this.#tail
    const { fileSystem } = this.#followed
    for (const fromLsn of [Math.max(1, lsn), lsn + 1]) {
      const tail = new LogTail({ directory: this.#logDirectory, fromLsn, fileSystem })
      try {
        await tail.locate()
        this.#tail = tail
        return tail
      } catch (error) {
        await tail.close()
        // v8 ignore next -- damage is passed on
        if (!isGap(error)) throw error
      }
    }
    throw recoveryError('RECOVERY_STANDBY_BEHIND', 'log that is needed next is not in the home', {
      details: { of: this.#followed.home, missingFromLsn: lsn + 1 },
    })
  }

  async *#groups(tail: LogTail, before: AppliedPosition): AsyncGenerator<LogRecord[]> {
    for (;;) {
      const { groups, ended } = await tail.look()
      for (const group of groups) {
        const own = group.find(({ lsn }) => lsn === before.lsn)
        if (own !== undefined && own.committedAtUs !== before.committedAtUs) throw this.#diverged(before.lsn)
        const next = group.filter(({ lsn }) => lsn > before.lsn)
        if (next.length > 0) yield next
      }
      if (ended) return
    }
  }

  /** Once a segment has been left behind, what it brought is made durable, and the home need not keep it. */
  async #settle(tail: LogTail, lsn: Lsn): Promise<void> {
    const { segmentNumber } = tail
    if (segmentNumber === undefined || segmentNumber === this.#segmentNumber) return
    const isNext = this.#segmentNumber !== undefined
    this.#segmentNumber = segmentNumber
    // A promoted home numbers its segments from above it, also where the old one is lost.
    await this.#folder.relabel({ segmentNumber })
    if (!isNext) return
    await this.#state.flush()
    await this.#confirm({ segmentNumber: segmentNumber - 1, lsn })
  }

  async #confirm(place: { readonly segmentNumber: number; readonly lsn: Lsn }): Promise<void> {
    const { of } = this.#folder.label
    // v8 ignore next -- the source has given it a name
    if (of === undefined) return
    const { timeline } = this.#folder
    await writeConfirmation(this.#logDirectory, of.name, { ...place, timeline }, this.#followed.fileSystem)
  }

  async #leaveTail(): Promise<void> {
    const tail = this.#tail
    this.#tail = undefined
    this.#segmentNumber = undefined
    await tail?.close()
  }

  #diverged(appliedLsn: Lsn): Error {
    const { home: of } = this.#followed
    return recoveryError(
      'RECOVERY_STANDBY_DIVERGED',
      'the home does not lead through what the standby has applied',
      {
        details: { of, timeline: this.#folder.timeline, appliedLsn },
      },
    )
  }
}

function isGap(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'WAL_GAP'
}
