/**
 * Commits wait, for a bounded time; reads go on. States: free → asked (checkpoints come to rest, where that is wanted) → shut (no
 * commit begins any more; the time runs) → told (who asked knows the LSN). Each state but the first can end by itself: the time
 * passes, who asked is gone, the database closes. Whoever resumes a pause that had ended by itself must hear so, because what was
 * done meanwhile was not done in a pause. One at a time: of two that overlap, the first to resume would break the other.
 */
import { randomUUID } from 'node:crypto'
import type { CheckpointRest } from '../checkpoint/checkpoint-rest.ts'
import { engineError } from '../errors.ts'

/** What commits wait for: a copy of the home, or a mark over several databases. */
export type PausePurpose = 'quiesce' | 'barrier'

/** How a pause ended. */
export type PauseEnd = 'resumed' | 'expired' | 'disconnected' | 'closed' | 'failed'

/** A pause, as the status of a home shows it; JSON-safe. */
export interface PauseInfo {
  /** Names this pause to `resume`. */
  readonly id: string
  readonly purpose: PausePurpose
  /** The last record before the pause; absent while it is still being reached. */
  readonly lsn?: number | undefined
  /** Since when commits wait, and when they go on by themselves; microseconds since 1970. */
  readonly sinceUs: number
  readonly untilUs: number
}

/** A pause that was resumed. */
export interface PauseReport {
  readonly id: string
  readonly lsn: number
  readonly pausedMs: number
}

/** Told by a database that pauses. */
export type PauseEvent =
  | {
      readonly type: 'commits.paused'
      readonly purpose: PausePurpose
      readonly lsn: number
      readonly untilUs: number
    }
  | {
      readonly type: 'commits.resumed'
      readonly purpose: PausePurpose
      readonly ended: PauseEnd
      readonly pausedMs: number
    }

/** How to pause. */
export interface PauseRequest {
  readonly purpose: PausePurpose
  /** Default: a random one. */
  readonly id?: string | undefined
  /** In milliseconds, from 1 to {@link PAUSE_MS_MAX}. */
  readonly maxMs: number
  /** Ends the pause when it is aborted: who asked is gone. */
  readonly signal?: AbortSignal | undefined
  /** Lets checkpoints come to rest first, and keeps them at rest. */
  readonly rest?: (() => CheckpointRest) | undefined
  /** Called once no commit begins any more; resolves with the last LSN when all before it is durable and applied. */
  readonly settle: () => Promise<number>
}

/** What commits may wait for a pause by default, in milliseconds. */
export const PAUSE_MS_DEFAULT = 60_000
/** The longest pause, in milliseconds: an hour. */
export const PAUSE_MS_MAX = 3_600_000

interface Ended {
  readonly id: string
  readonly ended: PauseEnd
  readonly atMs: number
}

/** Pauses commits of one open home. */
export class CommitPause {
  readonly #release: () => void
  readonly #onEvent: ((event: PauseEvent) => void) | undefined
  #running: RunningPause | undefined
  /** The last one that ended. */
  #last: Ended | undefined
  #isClosed = false

  /** @param release - lets waiting commits go */
  constructor(release: () => void, onEvent: ((event: PauseEvent) => void) | undefined) {
    this.#release = release
    this.#onEvent = onEvent
  }

  /** Whether commits must wait; asked for each commit. */
  get isShut(): boolean {
    return this.#running?.isShut === true
  }

  /** The pause that is under way. */
  get info(): PauseInfo | undefined {
    return this.#running?.info
  }

  /**
   * Pauses commits; resolves once all before is settled.
   *
   * @throws ENGINE_QUIESCED when commits are paused already, ENGINE_QUIESCE_ENDED when it ended before it was settled,
   * ENGINE_OPTION_INVALID, ENGINE_CLOSED
   */
  async begin(request: PauseRequest): Promise<PauseInfo> {
    const { maxMs, signal, rest, settle } = request
    this.refuse()
    if (this.#isClosed) throw engineError('ENGINE_CLOSED', 'the database is closing')
    if (!Number.isSafeInteger(maxMs) || maxMs < 1 || maxMs > PAUSE_MS_MAX) {
      throw engineError('ENGINE_OPTION_INVALID', 'the length of the pause is out of bounds', {
        details: { maxMs, least: 1, most: PAUSE_MS_MAX },
      })
    }
    const pause = new RunningPause(request)
    this.#running = pause
    const abandon = (): void => this.#end(pause, 'disconnected')
    signal?.addEventListener('abort', abandon)
    void pause.ended.then(() => signal?.removeEventListener('abort', abandon))
    try {
      if (signal?.aborted === true) abandon()
      await pause.unlessEnded(pause.rest(rest?.()))
      pause.shut(() => this.#end(pause, 'expired'))
      pause.lsn = await pause.unlessEnded(settle())
    } catch (error) {
      this.#end(pause, 'failed')
      throw error
    }
    const { info } = pause
    this.#onEvent?.({
      type: 'commits.paused',
      purpose: info.purpose,
      lsn: pause.lsn,
      untilUs: info.untilUs,
    })
    return info
  }

  /**
   * Ends the pause of that id, or whichever there is.
   *
   * @throws ENGINE_QUIESCE_ENDED when it had ended by itself, ENGINE_NOT_QUIESCED when there is none
   */
  resume(id?: string): PauseReport {
    const pause = this.#running
    if (pause?.lsn !== undefined && (id === undefined || pause.info.id === id)) {
      const report = { id: pause.info.id, lsn: pause.lsn, pausedMs: pause.pausedMs }
      this.#end(pause, 'resumed')
      return report
    }
    const last = this.#last
    if (last !== undefined && (id === last.id || (id === undefined && last.ended !== 'resumed'))) {
      // Who gives no id hears it once: the next one to ask has another pause in mind.
      if (id === undefined) this.#last = undefined
      throw endedError(last)
    }
    throw engineError('ENGINE_NOT_QUIESCED', 'no pause is there to end', { details: { id } })
  }

  /** Whether the pause of that id goes on, unbroken since it was told. */
  isRunning(id: string): boolean {
    return this.#running?.lsn !== undefined && this.#running.info.id === id
  }

  /** @throws ENGINE_QUIESCE_ENDED, ENGINE_NOT_QUIESCED unless the pause of that id goes on, unbroken since it began */
  require(id: string): void {
    if (!this.isRunning(id)) this.resume(id)
  }

  /** Resolves when no pause is under way any more. */
  async ended(): Promise<void> {
    while (this.#running !== undefined) await this.#running.ended
  }

  /** @throws ENGINE_QUIESCED while commits are paused */
  refuse(): void {
    const info = this.#running?.info
    if (info === undefined) return
    throw engineError('ENGINE_QUIESCED', 'commits of the home are paused', {
      details: { purpose: info.purpose, id: info.id, until: isoOf(info.untilUs / 1000) },
    })
  }

  /** Commits go on; no other pause begins. */
  close(): void {
    this.#isClosed = true
    if (this.#running !== undefined) this.#end(this.#running, 'closed')
  }

  #end(pause: RunningPause, ended: PauseEnd): void {
    if (this.#running !== pause) return
    this.#running = undefined
    const last = { id: pause.info.id, ended, atMs: Date.now() }
    this.#last = last
    pause.end(endedError(last))
    this.#release()
    if (!pause.isShut) return
    const { purpose } = pause.info
    this.#onEvent?.({ type: 'commits.resumed', purpose, ended, pausedMs: pause.pausedMs })
  }
}

class RunningPause {
  lsn: number | undefined
  isShut = false
  /** Rejects never; resolves when the pause has ended. */
  readonly ended: Promise<Error>
  readonly #id: string
  readonly #request: PauseRequest
  #tellEnd: (error: Error) => void = () => undefined
  #rest: CheckpointRest | undefined
  #timer: NodeJS.Timeout | undefined
  #error: Error | undefined
  #sinceMs = Date.now()
  #beganAtMs = performance.now()

  constructor(request: PauseRequest) {
    this.#request = request
    this.#id = request.id ?? randomUUID()
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve
    })
  }

  get info(): PauseInfo {
    const { purpose, maxMs } = this.#request
    const sinceUs = this.#sinceMs * 1000
    return { id: this.#id, purpose, lsn: this.lsn, sinceUs, untilUs: sinceUs + maxMs * 1000 }
  }

  get pausedMs(): number {
    return Math.round(performance.now() - this.#beganAtMs)
  }

  /** What the work comes to; rejects as soon as the pause has ended. */
  async unlessEnded<Result>(work: Promise<Result>): Promise<Result> {
    const fail = this.ended.then((error) => {
      throw error
    })
    const result = await Promise.race([work, fail])
    // Both may have come at once.
    if (this.#error !== undefined) throw this.#error
    return result
  }

  async rest(rest: CheckpointRest | undefined): Promise<void> {
    this.#rest = rest
    if (this.#error !== undefined) rest?.end()
    await rest?.begun
  }

  shut(onExpired: () => void): void {
    this.isShut = true
    this.#sinceMs = Date.now()
    this.#beganAtMs = performance.now()
    // Not unreferenced: commits that wait must not be lost to a process that ends for want of anything to do.
    this.#timer = setTimeout(onExpired, this.#request.maxMs)
  }

  end(error: Error): void {
    this.#error = error
    clearTimeout(this.#timer)
    this.#rest?.end()
    this.#tellEnd(error)
  }
}

const words: Record<PauseEnd, string> = {
  resumed: 'it was resumed',
  expired: 'its time had passed',
  disconnected: 'the process that had asked for it was gone',
  closed: 'the database was closed',
  failed: 'it could not be begun',
}

function endedError({ id, ended, atMs }: Ended): Error {
  return engineError(
    'ENGINE_QUIESCE_ENDED',
    `the pause had ended by itself at ${isoOf(atMs)}, because ${words[ended]}: what was copied meanwhile may not be consistent`,
    { details: { id, ended, endedAtUs: atMs * 1000 } },
  )
}

function isoOf(atMs: number): string {
  return new Date(atMs).toISOString()
}
