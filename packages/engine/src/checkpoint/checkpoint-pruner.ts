import { join } from 'node:path'
import { liveHolds, parseSegmentName, readConfirmations } from '@timberline/wal'
import type { FileSystem, Log } from '@timberline/wal'
import type { CheckpointEvent } from './checkpoint-event.ts'
import type { CheckpointManifest } from './checkpoint-manifest.ts'
import { removableBelow } from './checkpoint-policy.ts'
import type { CheckpointPolicy } from './checkpoint-policy.ts'
import { LimitAlarm } from './limit-alarm.ts'
import { type LogPart, type LogReach, reachOf } from './log-limit.ts'

/** What a pruner reads the time from; replaceable in tests. */
export interface PrunerClock {
  /** Milliseconds since 1970, by which ages of files are told. */
  readonly wallMs: () => number
  /** Milliseconds of a clock that never goes back. */
  readonly steadyMs: () => number
}

const CLOCK: PrunerClock = { wallMs: () => Date.now(), steadyMs: () => performance.now() }

/** What a pruner works on. */
export interface LogPrunerOptions {
  readonly directory: string
  readonly log: Pick<Log, 'activeSegment' | 'removeSegmentsBelow'>
  readonly policy: CheckpointPolicy
  readonly fileSystem: FileSystem
  readonly onEvent: (event: CheckpointEvent) => void
  readonly clock?: PrunerClock | undefined
}

/**
 * Removes log segments that are below the checkpoint, confirmed by every configured archive and held by nobody; and acts
 * when the log reaches a limit all the same.
 */
export class LogPruner {
  /** Bytes in the log folder: measured after each pruning, counted in between. */
  logBytes = 0
  readonly #options: LogPrunerOptions
  readonly #clock: PrunerClock
  readonly #alarm: LimitAlarm
  #parts: readonly LogPart[] = []
  #gate: { readonly promise: Promise<void>; readonly open: () => void } | undefined

  constructor(options: LogPrunerOptions) {
    this.#options = options
    this.#clock = options.clock ?? CLOCK
    this.#alarm = new LimitAlarm(options.policy)
  }

  /** Whether the log is above its limit in bytes. */
  get isOver(): boolean {
    const { logBytesMax } = this.#options.policy
    return logBytesMax > 0 && this.logBytes > logBytesMax
  }

  /** Whether commits wait. */
  get stalled(): boolean {
    return this.#gate !== undefined
  }

  /** The archives of which it was announced that the log comes near a limit because of them. */
  get fillingFor(): readonly string[] {
    return this.#alarm.announced
  }

  /** What commits wait for. */
  get gate(): Promise<void> | undefined {
    return this.#gate?.promise
  }

  /** Whether segments are left that are needed only by archives or holds, which may have moved on. */
  wantsPruning(checkpoint: CheckpointManifest): boolean {
    return (this.#parts[0]?.segmentNumber ?? 0) < checkpoint.segmentNumber
  }

  /** Lets the waiting commits go. */
  open(): void {
    this.#gate?.open()
    this.#gate = undefined
  }

  /** Removes what may go now; then, above a limit, does what the policy says, if that was announced before. */
  async prune(checkpoint: CheckpointManifest): Promise<readonly string[]> {
    const { directory, fileSystem, log, onEvent, policy } = this.#options
    const confirmations = await readConfirmations(directory, fileSystem)
    const names = await log.removeSegmentsBelow(removableBelow(checkpoint, confirmations))
    if (names.length > 0) onEvent({ type: 'log.pruned', names })
    await this.measure()
    const nowMs = this.#clock.wallMs()
    const reach = reachOf({ parts: this.#parts, checkpoint, confirmations, nowMs }, policy)
    // Judged before it is announced: what is new at this look is acted on at the next.
    const due = this.#alarm.due(reach, this.#clock.steadyMs())
    this.#announce(reach)
    if (reach.excesses.length === 0) this.#resume()
    if (due.length === 0) return names
    if (policy.logFullPolicy === 'stall') {
      await this.#stall(reach)
      return names
    }
    const archives = [...new Set(due.flatMap((excess) => excess.archives))]
    const released = await log.removeSegmentsBelow(Math.max(...due.map(({ releaseBelow }) => releaseBelow)))
    if (released.length > 0) onEvent({ type: 'log.released', names: released, archives })
    await this.measure()
    return [...names, ...released]
  }

  /** Looks at the files of the log. */
  async measure(): Promise<void> {
    const { directory, fileSystem } = this.#options
    const parts: LogPart[] = []
    for (const name of await fileSystem.list(directory)) {
      const segmentNumber = parseSegmentName(name)
      if (segmentNumber === undefined) continue
      const status = await fileSystem.status(join(directory, name))
      if (status === undefined) continue
      parts.push({ segmentNumber, bytes: status.bytes, writtenAtMs: status.modifiedAtMs })
    }
    this.#parts = parts.toSorted((a, b) => a.segmentNumber - b.segmentNumber)
    this.logBytes = parts.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Early enough to mend the archive before the policy acts. */
  #announce(reach: LogReach): void {
    const { onEvent, policy } = this.#options
    const archives = this.#alarm.announce(reach, this.#clock.steadyMs())
    if (archives.length === 0) return
    const { logBytes, logAgeMs } = reach
    const { logBytesMax, logAgeMsMax, logFullPolicy } = policy
    onEvent({ type: 'log.filling', logBytes, logBytesMax, logAgeMs, logAgeMsMax, logFullPolicy, archives })
  }

  async #stall({ logBytes, logAgeMs, behind: archives }: LogReach): Promise<void> {
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
      logBytes,
      logBytesMax: policy.logBytesMax,
      logAgeMs,
      logAgeMsMax: policy.logAgeMsMax,
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
