/**
 * The log as a stream of events. A subscriber first reads the log itself, then goes over to the commits as they happen. The
 * seam: a tap gathers new commits in memory from the moment at which a pass over the log is given its end, so what the pass
 * does not show, the tap has, and nothing is shown twice. Only what is durable is shown.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { LogRecord } from '@timberline/wal'
import { Observable } from 'rxjs'
import { isBulkLoad } from '../records/bulk-load-mark.ts'
import type { PlacedCommit } from './commit-queue.ts'
import { codeOf, engineError } from '../errors.ts'
import { decodeTransaction } from '../records/transaction-codec.ts'
import type { Operation } from '../records/transaction-codec.ts'

/** A transaction that is durable in the log and readable in the database. */
export interface CommittedTransaction {
  readonly lsn: number
  /** Microseconds since 1970; strictly increasing. */
  readonly committedAtUs: number
  /** Keys and values as bytes, sublevel prefixes included. */
  readonly operations: readonly Operation[]
  readonly meta?: unknown
}

/** Reads records of the log; ends at `throughLsn`. */
export type LogReading = (range: {
  readonly fromLsn: number
  readonly throughLsn: number
  readonly signal: AbortSignal
}) => AsyncIterable<readonly LogRecord[]>

/** Beyond this many gathered commits a pass over the log is cheaper than the memory. */
const TAP_COMMITS_MAX = 10_000
/** How long closing waits for subscribers that still read the past; who needs longer is told that it has not seen all. */
const CLOSE_MS_MAX = 1000

/** Data was loaded beside the log: nobody can be shown what. */
interface Break {
  readonly lsn: number
  readonly isBreak: true
}

type Shown = CommittedTransaction | Break
type Sink = (commits: readonly Shown[]) => void

/** Hands commits to subscribers. Costs a comparison for each applied group while there are none. */
export class CommitFeed {
  readonly #read: LogReading | undefined
  readonly #sinks = new Set<Sink>()
  readonly #ends = new Set<() => void>()
  /** Subscribers that still read the past. */
  readonly #serving = new Set<Promise<void>>()
  /** Applied, but not durable yet: written with `sync: false`. */
  #held: PlacedCommit[] = []
  #durableLsn: number
  #publishedLsn: number
  #isClosed = false

  /** @param read - absent when the log keeps nothing */
  constructor(lsn: number, read: LogReading | undefined) {
    this.#durableLsn = lsn
    this.#publishedLsn = lsn
    this.#read = read
  }

  /** Commits from an LSN on, or from the next one on; completes when the database is closed and all were shown. */
  from(fromLsn: number | undefined): Observable<CommittedTransaction> {
    return new Observable((subscriber) => {
      const abort = new AbortController()
      const subscription = new Subscription(fromLsn ?? this.#publishedLsn + 1, (shown) => {
        if ('isBreak' in shown) subscriber.error(broken(shown))
        else subscriber.next(shown)
      })
      const end = (): void => {
        if (subscription.isLive) subscriber.complete()
        else subscriber.error(engineError('ENGINE_CLOSED', 'the database was closed before all was shown'))
      }
      this.#ends.add(end)
      subscriber.add(() => {
        abort.abort()
        this.#ends.delete(end)
        this.#sinks.delete(subscription.sink)
      })
      if (this.#isClosed) {
        end()
        return
      }
      const served = this.#serve(subscription, abort.signal).catch((error: unknown) => {
        if (!abort.signal.aborted) subscriber.error(error)
      })
      this.#serving.add(served)
      void served.finally(() => this.#serving.delete(served))
    })
  }

  /** Commits became readable. */
  applied(commits: readonly PlacedCommit[]): void {
    const last = commits.at(-1)
    if (last === undefined) return
    if (this.#held.length > 0 || last.lsn > this.#durableLsn) {
      this.#held.push(...commits)
      this.#publishHeld()
    } else this.#publish(commits, last.lsn)
  }

  /** Commits became durable. */
  durable(lsn: number): void {
    this.#durableLsn = lsn
    if (this.#held.length > 0) this.#publishHeld()
  }

  /** Lets those who still read the past come to its end, for a moment; then completes all subscribers. */
  async close(): Promise<void> {
    this.#isClosed = true
    const timer = new AbortController()
    const patience = wait(CLOSE_MS_MAX, undefined, { signal: timer.signal }).catch(() => undefined)
    await Promise.race([Promise.all(this.#serving), patience])
    timer.abort()
    for (const end of this.#ends) end()
  }

  #publishHeld(): void {
    const count = this.#held.findIndex(({ lsn }) => lsn > this.#durableLsn)
    const commits = count < 0 ? this.#held.splice(0) : this.#held.splice(0, count)
    const last = commits.at(-1)
    if (last !== undefined) this.#publish(commits, last.lsn)
  }

  #publish(commits: readonly PlacedCommit[], lastLsn: number): void {
    this.#publishedLsn = lastLsn
    if (this.#sinks.size === 0) return
    const shown = commits.flatMap(shownOf)
    for (const sink of this.#sinks) sink(shown)
  }

  async #serve(subscription: Subscription, signal: AbortSignal): Promise<void> {
    for (;;) {
      // From here on new commits are gathered; the pass below ends where they begin.
      subscription.gather()
      this.#sinks.add(subscription.sink)
      const throughLsn = this.#publishedLsn
      await this.#catchUp(subscription, throughLsn, signal)
      if (signal.aborted || subscription.goLive(throughLsn + 1)) return
      this.#sinks.delete(subscription.sink)
    }
  }

  async #catchUp(subscription: Subscription, throughLsn: number, signal: AbortSignal): Promise<void> {
    const fromLsn = subscription.nextLsn
    if (fromLsn > throughLsn) return
    try {
      if (this.#read === undefined) throw new RangeError('the log keeps nothing')
      for await (const records of this.#read({ fromLsn, throughLsn, signal })) {
        if (signal.aborted) return
        subscription.show(records.flatMap(shownOf))
      }
    } catch (cause) {
      if (codeOf(cause) !== 'WAL_GAP' && !(cause instanceof RangeError)) throw cause
      throw engineError('ENGINE_LSN_PRUNED', 'the log does not reach back to the lsn', {
        details: { lsn: fromLsn },
        cause,
      })
    }
  }
}

/** One subscriber's place in the log. */
class Subscription {
  nextLsn: number
  readonly #show: (shown: Shown) => void
  #gathered: (readonly Shown[])[] | undefined = []
  #count = 0
  #overflown = false

  constructor(nextLsn: number, show: (shown: Shown) => void) {
    this.nextLsn = nextLsn
    this.#show = show
  }

  readonly sink: Sink = (commits) => {
    if (this.#gathered === undefined) {
      this.show(commits)
      return
    }
    this.#count += commits.length
    if (this.#count <= TAP_COMMITS_MAX) this.#gathered.push(commits)
    else {
      this.#overflown = true
      this.#gathered = []
    }
  }

  /** Whether all the past has been shown. */
  get isLive(): boolean {
    return this.#gathered === undefined
  }

  gather(): void {
    this.#gathered = []
    this.#count = 0
    this.#overflown = false
  }

  /** Shows what was gathered and everything from now on; false when some of it had to be let go. */
  goLive(fromLsn: number): boolean {
    this.nextLsn = Math.max(this.nextLsn, fromLsn)
    if (this.#overflown) return false
    const gathered = this.#gathered ?? []
    this.#gathered = undefined
    for (const commits of gathered) this.show(commits)
    return true
  }

  show(commits: readonly Shown[]): void {
    for (const commit of commits) {
      if (commit.lsn < this.nextLsn) continue
      this.nextLsn = commit.lsn + 1
      this.#show(commit)
    }
  }
}

function shownOf(record: PlacedCommit | LogRecord): readonly Shown[] {
  const { kind, lsn, committedAtUs, payload } = record
  if (kind === 'entry') return [{ lsn, committedAtUs, ...decodeTransaction(payload) }]
  return isBulkLoad(record) ? [{ lsn, isBreak: true }] : []
}

function broken({ lsn }: Break): Error {
  return engineError('ENGINE_BULK_LOADED', 'data was loaded beside the log, which cannot show it', {
    details: { lsn },
  })
}
