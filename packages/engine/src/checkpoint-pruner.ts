import { join } from 'node:path'
import { liveHolds, parseSegmentName, readConfirmations } from '@timberline/wal'
import type { FileSystem, Log } from '@timberline/wal'
import type { CheckpointEvent } from './checkpoint-event.ts'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { archivesBehind, removableBelow } from './checkpoint-policy.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'

/** What a pruner works on. */
export interface LogPrunerOptions {
  readonly directory: string
  readonly log: Pick<Log, 'activeSegment' | 'removeSegmentsBelow'>
  readonly policy: CheckpointPolicy
  readonly fileSystem: FileSystem
  readonly onEvent: (event: CheckpointEvent) => void
}

/** The part of the log's limit at which its filling is announced. */
const FILLING_SHARE = 0.8

/**
 * Removes log segments that are below the checkpoint, confirmed by every configured archive and held by nobody; and acts
 * when the log reaches its limit all the same.
 */
export class LogPruner {
  /** Bytes in the log folder: measured after each pruning, counted in between. */
  logBytes = 0
  readonly #options: LogPrunerOptions
  #oldestSegment = 0
  #isAnnounced = false
  #gate: { readonly promise: Promise<void>; readonly open: () => void } | undefined

  constructor(options: LogPrunerOptions) {
    this.#options = options
  }

  /** Whether the log is above its limit. */
  get isOver(): boolean {
    const { logBytesMax } = this.#options.policy
    return logBytesMax > 0 && this.logBytes > logBytesMax
  }

  /** Whether commits wait. */
  get stalled(): boolean {
    return this.#gate !== undefined
  }

  /** What commits wait for. */
  get gate(): Promise<void> | undefined {
    return this.#gate?.promise
  }

  /** Whether segments are left that are needed only by archives or holds, which may have moved on. */
  wantsPruning(checkpoint: CheckpointManifest): boolean {
    return this.#oldestSegment < checkpoint.segmentNumber
  }

  /** Lets the waiting commits go. */
  open(): void {
    this.#gate?.open()
    this.#gate = undefined
  }

  /** Removes what may go now; then, above the limit, does what the policy says. */
  async prune(checkpoint: CheckpointManifest): Promise<readonly string[]> {
    const { directory, fileSystem, log, onEvent, policy } = this.#options
    const confirmations = await readConfirmations(directory, fileSystem)
    const names = await log.removeSegmentsBelow(removableBelow(checkpoint, confirmations))
    if (names.length > 0) onEvent({ type: 'log.pruned', names })
    await this.measure()
    const archives = archivesBehind(checkpoint, confirmations)
    this.#announce(archives)
    if (!this.isOver) {
      this.#resume()
      return names
    }
    if (policy.logFullPolicy === 'release' && archives.length > 0) {
      const released = await log.removeSegmentsBelow(checkpoint.segmentNumber)
      if (released.length > 0) onEvent({ type: 'log.released', names: released, archives })
      await this.measure()
      return [...names, ...released]
    }
    if (policy.logFullPolicy === 'stall') await this.#stall(archives)
    return names
  }

  /** Adds up the files of the log. */
  async measure(): Promise<void> {
    const { directory, fileSystem } = this.#options
    let bytes = 0
    let oldest = Number.MAX_SAFE_INTEGER
    for (const name of await fileSystem.list(directory)) {
      const number = parseSegmentName(name)
      if (number === undefined) continue
      bytes += (await fileSystem.status(join(directory, name)))?.bytes ?? 0
      oldest = Math.min(oldest, number)
    }
    this.logBytes = bytes
    this.#oldestSegment = oldest
  }

  /** Told once each time that the log comes near its limit: early enough to mend the archive before the policy acts. */
  #announce(archives: readonly string[]): void {
    const { onEvent, policy } = this.#options
    const { logBytesMax, logFullPolicy } = policy
    const isNear = logBytesMax > 0 && this.logBytes > logBytesMax * FILLING_SHARE && archives.length > 0
    if (isNear && !this.#isAnnounced) {
      onEvent({ type: 'log.filling', logBytes: this.logBytes, logBytesMax, logFullPolicy, archives })
    }
    this.#isAnnounced = isNear
  }

  async #stall(archives: readonly string[]): Promise<void> {
    const { directory, fileSystem, onEvent, policy } = this.#options
    const holds = (await liveHolds(directory, fileSystem)).map(
      ({ purpose, pid }) => `${purpose} (pid ${pid})`,
    )
    // Only what somebody else can end may stop commits: without such, the log is above its limit by what was just written.
    if (this.#gate !== undefined || (archives.length === 0 && holds.length === 0)) return
    let open = (): void => undefined
    const promise = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gate = { promise, open }
    onEvent({
      type: 'log.stalled',
      logBytes: this.logBytes,
      logBytesMax: policy.logBytesMax,
      archives,
      holds,
    })
  }

  #resume(): void {
    if (this.#gate === undefined) return
    this.open()
    this.#options.onEvent({ type: 'log.resumed', logBytes: this.logBytes })
  }
}
