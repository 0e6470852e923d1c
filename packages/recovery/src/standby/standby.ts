// A recovery that does not end: a base, then the archive's records as they come. The folder is a cache of the archive, and all that is
// kept beside the state is its label.
import { resolve } from 'node:path'
import {
  type ControlServer,
  openStandbyControl,
  type ReadOnlyLevel,
  type StandbyState,
  type StateDigest,
  stateDigest,
} from '@timberline/engine'
import { type Lsn, nodeFileSystem, systemCode, TimberlineError } from '@timberline/wal'
import { atBoundary, recoveryError } from '../errors.ts'
import { openStandbyData } from './standby-base.ts'
import { GAP_LOOKS_MAX } from './standby-feed.ts'
import {
  checkedPollMs,
  openStandbySource,
  type StandbyOptions,
  type StandbyStatus,
} from './standby-options.ts'
import { blockedError } from './standby-outlook.ts'
import { openStandbyFolder, type StandbyFolder } from './standby-place.ts'
import type { Feed, StandbySource, StandbyStep } from './standby-source.ts'

/**
 * Opens a standby: restores the newest backup where the folder is new, goes on from what it holds otherwise, and follows the
 * archive until it is closed.
 *
 * @throws RECOVERY_NO_BASE, RECOVERY_STANDBY_IS_HOME, RECOVERY_TARGET_NOT_EMPTY, RECOVERY_ENVIRONMENT_MISMATCH, ENGINE_HOME_LOCKED,
 * RECOVERY_OPTION_INVALID, RECOVERY_STANDBY_DIVERGED
 *
 * @example
 * const standby = await openStandby({ archive, home: './standby' })
 * await standby.caughtUp()
 * await standby.level.get('a', { keyEncoding: 'utf8', valueEncoding: 'json' })
 * await standby.close()
 */
export async function openStandby(options: StandbyOptions): Promise<Standby> {
  const pollMs = checkedPollMs(options.pollMs)
  const { signal, timeline: pinned, rejoin = false, anew = false } = options
  const { fileSystem = nodeFileSystem } = options
  const stop = new AbortController()
  const forward = (): void => stop.abort(signal?.reason)
  signal?.addEventListener('abort', forward, { once: true })
  if (signal?.aborted === true) forward()
  return atBoundary(stop.signal, async () => {
    const source = await openStandbySource(options, fileSystem)
    const { environmentId } = source
    const folder = await openStandbyFolder(resolve(options.home), { environmentId, rejoin, fileSystem })
    try {
      await giveUpPromotion(folder, source)
      await source.begin(folder)
      const { state, isNew } = await openStandbyData(folder, { source, pinned, anew, signal: stop.signal })
      const position = await state.applied()
      const { timeline } = folder
      options.onEvent?.({ type: 'standby.began', timeline, lsn: position.lsn, isNew })
      let standby: Standby | undefined
      const control = await openStandbyControl(folder.layout, {
        // v8 ignore next -- nobody can have asked before
        status: () => standby?.status() ?? {},
        leave: () => {
          options.onEvent?.({ type: 'standby.left' })
          stop.abort()
        },
      })
      const feed = source.follow({ folder, state, pinned })
      const parts = { folder, state, feed, control, stop, ...position }
      standby = new Standby({ options: { ...options, pollMs }, ...parts })
      return standby
    } catch (error) {
      await folder.release()
      throw error
    }
  })
}

/** One that has ended no timeline can be left: the folder follows on, over to whoever was promoted. */
async function giveUpPromotion(folder: StandbyFolder, source: StandbySource): Promise<void> {
  const { phase, ownerId } = folder.label
  if (phase !== 'promote') return
  const ended = await source.endOf(folder.timeline)
  if (ended?.ownerId === ownerId) {
    throw recoveryError('RECOVERY_PROMOTION_UNFINISHED', 'the folder was promoted, but is no home yet', {
      details: { home: folder.layout.home, timeline: ended?.successor },
    })
  }
  await folder.relabel({ phase: 'follow', ownerId: undefined })
}

interface StandbyParts {
  readonly options: StandbyOptions & { readonly pollMs: number }
  readonly folder: StandbyFolder
  readonly state: StandbyState
  readonly feed: Feed
  readonly control: ControlServer
  readonly stop: AbortController
  readonly lsn: Lsn
  readonly committedAtUs: number
}

interface Waiter {
  readonly lsn: Lsn | undefined
  /** Looks before this one began too early to answer. */
  readonly fromLook: number
  resolve(): void
  reject(error: unknown): void
}

/** A standby that follows. */
export class Standby {
  /** Resolves when it was closed, rejects with the error that ended it. */
  readonly done: Promise<void>
  readonly #options: StandbyOptions & { readonly pollMs: number }
  readonly #folder: StandbyFolder
  readonly #state: StandbyState
  readonly #feed: Feed
  readonly #control: ControlServer
  readonly #stop: AbortController
  readonly #waiters = new Set<Waiter>()
  #hurry: () => void = () => undefined
  #isHurried = false
  #position: { readonly lsn: Lsn; readonly committedAtUs: number }
  #asOfUs: number
  #knownLsn: Lsn
  #begunLooks = 0
  #looks = 0
  #failures = 0
  #failure: unknown
  #closing: Promise<void> | undefined

  /** Use `openStandby`. */
  constructor(parts: StandbyParts) {
    const { options, folder, state, feed, control, stop, lsn, committedAtUs } = parts
    this.#options = options
    this.#folder = folder
    this.#state = state
    this.#control = control
    this.#stop = stop
    this.#position = { lsn, committedAtUs }
    this.#asOfUs = committedAtUs
    this.#knownLsn = lsn
    this.#feed = feed
    stop.signal.addEventListener('abort', () => this.#hurry(), { once: true })
    this.done = this.#run()
    // A caller may look at `done` much later; the error is not lost by that.
    this.done.catch(() => undefined)
  }

  /**
   * The state as a Level database to read: keys and values are bytes unless a call names an encoding. It moves on while it is read; an
   * iterator or an explicit snapshot shows the state after exactly one record, and `lsnOf` tells which.
   */
  get level(): ReadOnlyLevel<Buffer, Buffer> {
    return this.#state.level
  }

  /** The LSN whose state a snapshot of `level` shows. */
  lsnOf(snapshot: ReturnType<ReadOnlyLevel['snapshot']>): Lsn {
    return this.#state.appliedAt(snapshot).lsn
  }

  /** The digest of the state at the LSN that it names; equal to the primary's at that LSN. */
  async digest(): Promise<StateDigest> {
    const snapshot = this.level.snapshot()
    try {
      return await stateDigest(this.level, this.lsnOf(snapshot), { snapshot })
    } finally {
      await snapshot.close()
    }
  }

  /** How things stand now. */
  status(): StandbyStatus {
    const { now = nowUs } = this.#options
    const { layout, label, timeline, aside } = this.#folder
    const { message } = this.#failure instanceof Error ? this.#failure : { message: undefined }
    return {
      home: layout.home,
      environmentId: label.environmentId,
      timeline,
      ...this.#position,
      knownLsn: Math.max(this.#knownLsn, this.#position.lsn),
      asOfUs: this.#asOfUs,
      lagMs: Math.max(0, now() - this.#asOfUs) / 1000,
      looks: this.#looks,
      ...(aside === undefined ? {} : { aside }),
      ...(message === undefined ? {} : { failure: message }),
    }
  }

  /**
   * Looks without waiting for the pause; resolves when record `lsn` is in, or without `lsn`, all that the archive holds now.
   *
   * @throws the error that ends the standby, RECOVERY_STANDBY_CLOSED
   */
  async caughtUp(lsn?: Lsn): Promise<StandbyStatus> {
    if (lsn === undefined || this.#position.lsn < lsn) {
      await new Promise<void>((done, reject) => {
        const waiter: Waiter = { lsn, fromLook: this.#begunLooks + 1, resolve: done, reject }
        if (this.#closing !== undefined || this.#stop.signal.aborted) return reject(closedError())
        this.#waiters.add(waiter)
        this.#isHurried = true
        this.#hurry()
      })
    }
    return this.status()
  }

  /** Ends it: what is in is made durable, so that the next start goes on from there. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort()
    await this.done.catch(() => undefined)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    try {
      await atBoundary(signal, () => this.#follow(signal))
    } catch (error) {
      if (signal.aborted && isAborted(error)) return
      this.#failure = error
      throw error
    } finally {
      this.#closing = this.#release()
      await this.#closing
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    // A turn of the loop, so that whoever opened it can ask before the first look.
    await Promise.resolve()
    while (!signal.aborted) {
      await this.#look(signal)
      await this.#pause()
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { now = nowUs } = this.#options
    const beganAtUs = now()
    this.#isHurried = false
    const look = ++this.#begunLooks
    try {
      const step = await this.#feed.step(signal)
      await this.#took(step, beganAtUs)
    } catch (error) {
      if (signal.aborted) throw error
      this.#position = await this.#state.applied()
      this.#failing(error)
    }
    this.#answer(look)
  }

  async #took({ outlook, records }: StandbyStep, beganAtUs: number): Promise<void> {
    this.#position = await this.#state.applied()
    const { lsn, committedAtUs } = this.#position
    this.#knownLsn = outlook.knownLsn
    const isWhole = lsn >= outlook.knownLsn
    this.#asOfUs = isWhole ? beganAtUs : Math.max(this.#asOfUs, committedAtUs)
    if (records > 0) {
      const { timeline } = outlook
      this.#options.onEvent?.({ type: 'standby.applied', timeline, lsn, records })
    }
    // A hole at another place than before is another one.
    if (records > 0) this.#failures = 0
    const { blocked } = outlook
    if (blocked !== undefined && lsn >= blocked.afterLsn)
      throw blockedError(blocked, 'RECOVERY_STANDBY_BEHIND')
    this.#looks += 1
    this.#failures = 0
    this.#failure = undefined
  }

  /** What may pass is tried again at the next look; everything else ends the standby. */
  #failing(error: unknown): void {
    this.#failures += 1
    const mayPass = isTransient(error) || (isGap(error) && this.#failures < GAP_LOOKS_MAX)
    if (!mayPass) throw error
    this.#failure = error
    this.#options.onEvent?.({ type: 'standby.retried', tries: this.#failures, error })
    // Whether a hole is one is found out at once.
    if (isGap(error)) this.#isHurried = true
  }

  #answer(look: number): void {
    for (const waiter of this.#waiters) {
      const isThere =
        waiter.lsn === undefined
          ? look >= waiter.fromLook && this.#failure === undefined
          : this.#position.lsn >= waiter.lsn
      if (!isThere) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  #pause(): Promise<void> {
    if (this.#isHurried || this.#stop.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollMs)
      this.#hurry = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#feed.news?.().then(this.#hurry, this.#hurry)
    })
  }

  async #release(): Promise<void> {
    try {
      // Without it the next start would fetch and apply the newest segment again; nothing worse.
      await this.#state.flush().catch(() => undefined)
      await this.#feed.close()
      await this.#state.close()
      await this.#folder.fileSystem.removeTree(this.#folder.spoolDirectory)
    } finally {
      await this.#control.close()
      await this.#folder.release()
      for (const waiter of this.#waiters) waiter.reject(this.#failure ?? closedError())
      this.#waiters.clear()
    }
  }
}

function isTransient(error: unknown): boolean {
  if (error instanceof TimberlineError) return error.kind === 'unavailable'
  return /^E[A-Z0-9]+$/.test(systemCode(error) ?? '')
}

function isGap(error: unknown): boolean {
  return error instanceof TimberlineError && error.kind === 'gap' && error.code !== 'RECOVERY_BULK_LOAD'
}

function isAborted(error: unknown): boolean {
  return error instanceof TimberlineError && error.kind === 'aborted'
}

function closedError(): Error {
  return recoveryError('RECOVERY_STANDBY_CLOSED', 'the standby is closed')
}

function nowUs(): number {
  return Date.now() * 1000
}
