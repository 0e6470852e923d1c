/** What all kinds of backup share: where from, how far, how long, and the manifest at the end. */
import { join } from 'node:path'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { BACKUP_LABEL, RECOVERY_LABEL, homeLayout, readHomeIdentity } from '@timberline/engine'
import type { CheckpointManifest, HomeIdentity, HomeLayout, StateDigest } from '@timberline/engine'
import { copyLimit } from './pace/copy-limit.ts'
import { copyMeter } from './copy-meter.ts'
import type { CopyMeter } from './copy-meter.ts'
import { hotbackupError } from './errors.ts'
import type { BackupStyle, RestartReason } from './events.ts'
import type { FileRange } from './sink/file-source.ts'
import type { DurableLog } from './log-copy.ts'
import { nameOf } from './options.ts'
import type { BackupResult, CompletedOptions } from './options.ts'
import type { Owner, SealedLog } from './owner.ts'
import { scratchDigest } from './scratch-digest.ts'
import type { BackupSink } from './sink/sink.ts'

/** One backup under way. */
export interface BackupRun {
  readonly options: CompletedOptions
  readonly style: BackupStyle
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly meter: CopyMeter
  readonly startedAtMs: number
  readonly watch: Stopwatch
  /** Why it was begun anew, each time. */
  readonly restarts: readonly RestartReason[]
  /** Absent when it is not asked: of a home that nobody may open, and while a backup is only sized. */
  readonly owner?: Owner
}

/** What was copied, when all of it is. */
export interface CopiedSet {
  readonly checkpoint: CheckpointManifest
  readonly files: readonly BackupFile[]
  readonly log: DurableLog
  readonly sealed: SealedLog | undefined
  readonly digest: StateDigest | undefined
  readonly tries: number
  /** Label of the earlier backup that an incremental one was made against. */
  readonly base?: string | undefined
}

/** What is to be copied, what is not, and files to measure a rate by. */
export interface BackupSize {
  readonly dataBytes: number
  readonly logBytes: number
  readonly reusedBytes: number
  readonly files: readonly FileRange[]
}

type Phase = keyof BackupResult['phasesMs']

/** Adds up the time spent in each phase. */
export interface Stopwatch {
  readonly phasesMs: BackupResult['phasesMs']
  readonly ms: number
  time<Result>(phase: Phase, work: () => Promise<Result>): Promise<Result>
}

const TOOL = '@timberline/hotbackup 0.1.0'

/**
 * Looks at the home and begins.
 *
 * @throws ENGINE_HOME_MISSING for a path that is no home; HOTBACKUP_HOME_LABELLED for a backup or an unfinished recovery
 */
export async function beginRun(options: CompletedOptions, style: BackupStyle): Promise<BackupRun> {
  const layout = homeLayout(options.home)
  const identity = await readHomeIdentity(options.home, options.fileSystem)
  for (const label of [BACKUP_LABEL, RECOVERY_LABEL]) {
    if ((await options.fileSystem.status(join(options.home, label))) === undefined) continue
    throw hotbackupError('HOTBACKUP_HOME_LABELLED', `the home holds a ${label} and is no database yet`, {
      details: { home: options.home },
    })
  }
  const startedAtMs = Date.now()
  const run = {
    options,
    style,
    layout,
    identity,
    meter: copyMeter(options, copyLimit(options)),
    startedAtMs,
    restarts: [],
    watch: stopwatch(),
  }
  const { target } = options
  options.onEvent({
    type: 'backup.begun',
    home: options.home,
    target: nameOf(target),
    kind: style,
  })
  return run
}

/** The digest of what was copied, or `undefined` when it was not asked for. */
export async function digestOf(
  run: BackupRun,
  copy: { checkpoint: CheckpointManifest; tablesDirectory: string; logDirectory: string; scratch: string },
  endLsn: number,
): Promise<StateDigest | undefined> {
  if (!run.options.digest) return undefined
  const { fileSystem, signal, onEvent } = run.options
  const beginMs = performance.now()
  const digest = await run.watch.time('digest', () => scratchDigest({ ...copy, endLsn, fileSystem, signal }))
  onEvent({ type: 'digest.computed', lsn: digest.lsn, hex: digest.hex, ms: performance.now() - beginMs })
  return digest
}

/** Writes the manifest, by which the backup appears, and tells the result. */
export async function completeRun(
  run: BackupRun,
  sink: Pick<BackupSink, 'complete' | 'label' | 'target' | 'volumes'>,
  set: CopiedSet,
): Promise<BackupResult> {
  // The last moment at which nothing has happened yet: from here on the backup stands or an error says why not.
  run.options.signal?.throwIfAborted()
  const writers = await run.owner?.writers()
  run.options.signal?.throwIfAborted()
  const manifest = manifestOf(run, set, sink.label)
  const leftBehind = await sink.complete(manifest)
  for (const path of leftBehind) {
    run.options.onEvent({ type: 'leftover.kept', path, reason: 'it could not be removed' })
  }
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  const { ms, phasesMs } = run.watch
  run.options.onEvent({ type: 'backup.ended', lsn: manifest.endLsn, bytes, ms })
  const copiedBytes = run.meter.bytesCopied
  return {
    manifest,
    target: sink.target,
    bytes,
    copiedBytes,
    reusedBytes: run.meter.bytesReused,
    lsn: manifest.endLsn,
    ms,
    phasesMs,
    tries: set.tries,
    restarts: run.restarts,
    heldBackMs: run.meter.context.limit.waitedMs,
    leftBehind,
    ...(writers === undefined ? {} : { writers }),
    ...(sink.volumes === undefined ? {} : { volumes: sink.volumes }),
  }
}

/** The description of a set. */
export function manifestOf(run: BackupRun, set: CopiedSet, label: string): BackupManifest {
  const { checkpoint, log } = set
  return {
    format: 1,
    label,
    environmentId: run.identity.environmentId,
    timeline: run.identity.timeline,
    kind: set.base === undefined ? 'full' : 'incremental',
    ...(set.base === undefined ? {} : { base: set.base }),
    asOf: run.options.asOf,
    ...(set.sealed === undefined ? {} : { sealed: set.sealed }),
    checkpoint: {
      lsn: checkpoint.lsn,
      committedAtUs: checkpoint.committedAtUs,
      segmentNumber: checkpoint.segmentNumber,
      manifestName: checkpoint.manifestName,
      manifestBase64: checkpoint.manifestBase64,
      current: checkpoint.current,
    },
    beginLsn: checkpoint.lsn + 1,
    endLsn: log.endLsn,
    endCommittedAtUs: log.endCommittedAtUs ?? checkpoint.committedAtUs,
    files: set.files.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    ...(set.digest === undefined ? {} : { digest: set.digest }),
    startedAtUs: run.startedAtMs * 1000,
    endedAtUs: Date.now() * 1000,
    tool: TOOL,
  }
}

function stopwatch(): Stopwatch {
  const beginMs = performance.now()
  const phasesMs = { pin: 0, data: 0, log: 0, digest: 0 }
  return {
    phasesMs,
    get ms() {
      return performance.now() - beginMs
    },
    async time(phase, work) {
      const phaseBeginMs = performance.now()
      try {
        return await work()
      } finally {
        phasesMs[phase] += performance.now() - phaseBeginMs
      }
    },
  }
}
