import type { Archive, BackupManifest } from '@timberline/archive'
import type { WriterReport } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from './errors.ts'
import { guardedListener } from './events.ts'
import type { HotbackupListener, RestartReason } from './events.ts'
import { checkVolumesTarget } from './volumes-target.ts'
import type { VolumesReport, VolumesTarget } from './volumes-target.ts'

/** A folder, an archive, or a series of volumes. */
export type BackupTarget = string | { readonly archive: Archive } | { readonly volumes: VolumesTarget }

/** The moment whose state a backup holds. */
export type BackupMoment = 'start' | 'end'

/** What to back up, where to, and how. */
export interface HotbackupOptions {
  /** Folder of the database. */
  readonly home: string
  /**
   * A folder that becomes the backup (absent, empty, or an older backup of the same database, which is replaced once the
   * new one stands), an archive that receives it under a label of its own, or a series of volumes, to which each later call
   * adds what is new.
   */
  readonly target: BackupTarget
  /** Add only the log written since to the backup in the target folder. Default false. */
  readonly update?: boolean
  /**
   * With `update`: run recovery on the backup as it is updated, so that its data files reach its end and nothing is left to replay.
   * It can then be recovered to its end only. Default false.
   */
  readonly recover?: boolean
  /**
   * Do not copy tables that an earlier backup has: in a folder they become hard links to its files, in an archive the manifest
   * names its objects. The earlier backup is `base`, or else the one in the target folder, or the newest in the archive; without
   * one, everything is copied. Not with `update`. Default false.
   */
  readonly incremental?: boolean
  /** Folder of the earlier backup, for a target that is a folder; makes the backup incremental. */
  readonly base?: string
  /**
   * Which moment the backup holds: `end` = all that is durable when the data files are copied, `start` = exactly what is durable
   * when they have been pinned, which is the first thing done after the checkpoint that may be asked for. Not with `update`, whose
   * log is listed once, when it begins. Default `end`.
   */
  readonly asOf?: BackupMoment
  /** Ask the owner for a checkpoint first, so that the backup carries less log. Default false. */
  readonly checkpoint?: boolean
  /** Record the digest of the state at the end, by opening the copy in a scratch folder. Default true. */
  readonly digest?: boolean
  /**
   * Upper limit of the copy in 10^6 bytes a second, more than 0. Default none: then a copy beside commits flushes for a sixth of the time at
   * most, so that a writer keeps most of its rate. `Infinity`: as fast as the disk takes it, and commits wait behind the copy.
   */
  readonly maxMbPerS?: number
  /**
   * Upper limit of the copy while there are commits in the home, in 10^6 bytes a second, more than 0. It is lifted a second after the
   * last commit, and holds again with the next; an owner that does not tell is taken for a writer. Default none: the command sets one.
   */
  readonly maxMbPerSBesideWriters?: number
  /** Aborts the backup; nothing is left behind. */
  readonly signal?: AbortSignal
  readonly onEvent?: HotbackupListener
  /** Default: the operating system's. */
  readonly fileSystem?: FileSystem
}

/** What a backup that stands tells of itself. */
export interface BackupResult {
  readonly manifest: BackupManifest
  /** The folder, or the archive's address followed by the label. */
  readonly target: string
  /** Bytes of all files of the set. */
  readonly bytes: number
  /** Bytes that were read from the home; less than `bytes` after an update and in an incremental backup. */
  readonly copiedBytes: number
  /** Bytes of the set that an earlier backup has already, and that were linked or named instead of copied. */
  readonly reusedBytes: number
  /** State of the database in the backup: everything up to and including this LSN. */
  readonly lsn: number
  readonly ms: number
  /** Where the time went. */
  readonly phasesMs: {
    readonly pin: number
    readonly data: number
    readonly log: number
    readonly digest: number
  }
  /** How often the checkpoint was replaced by a newer one while it was pinned, plus one. */
  readonly tries: number
  /** Why it began anew, each time, 3 at most; empty unless something overtook it. */
  readonly restarts: readonly RestartReason[]
  /** How long the copy waited for its limits, in milliseconds. */
  readonly heldBackMs: number
  /** Folders that could not be removed afterwards; the next backup removes them. */
  readonly leftBehind: readonly string[]
  /**
   * What the commits of the database waited while the backup was made, from its beginning until it was about to appear; absent when
   * nobody had the home open, or nobody answered.
   */
  readonly writers?: WriterReport
  /** What this call added to its series of volumes. */
  readonly volumes?: VolumesReport
}

/** Options with nothing left open. */
export interface CompletedOptions {
  readonly home: string
  readonly target: BackupTarget
  readonly update: boolean
  readonly recover: boolean
  readonly incremental: boolean
  readonly base: string | undefined
  readonly asOf: BackupMoment
  readonly checkpoint: boolean
  readonly digest: boolean
  readonly bytesPerS: number | undefined
  readonly bytesPerSBesideWriters: number | undefined
  /** Nothing was said of a rate: then a copy beside commits takes its share of the flushes only. */
  readonly sharesDisk: boolean
  readonly signal: AbortSignal | undefined
  readonly onEvent: HotbackupListener
  readonly fileSystem: FileSystem
}

const DEFAULTS = Object.freeze({
  update: false,
  recover: false,
  incremental: false,
  asOf: 'end' as const,
  checkpoint: false,
  digest: true,
})

/**
 * Checks options and fills in what was left out.
 *
 * @throws HOTBACKUP_OPTIONS, HOTBACKUP_UPDATE_ARCHIVE
 */
export function completeOptions(options: HotbackupOptions): CompletedOptions {
  const { asOf, base, target } = options
  if (options.home === '') throw hotbackupError('HOTBACKUP_OPTIONS', 'home is empty')
  if (target === '') throw hotbackupError('HOTBACKUP_OPTIONS', 'target is empty')
  if (typeof target !== 'string' && 'volumes' in target) {
    checkVolumesTarget(target.volumes)
    if (options.incremental === true) {
      throw hotbackupError(
        'HOTBACKUP_OPTIONS',
        'incremental is not for volumes: each later call adds only what is new',
      )
    }
    if (options.update === true)
      throw hotbackupError(
        'HOTBACKUP_OPTIONS',
        'update is not for volumes: each later call adds only what is new',
      )
  }
  if (options.update === true && typeof target !== 'string') {
    throw hotbackupError('HOTBACKUP_UPDATE_ARCHIVE', 'a backup in an archive cannot be updated')
  }
  if (options.recover === true && options.update !== true) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'recover goes with update')
  }
  if (options.update === true && asOf !== undefined) {
    throw hotbackupError(
      'HOTBACKUP_OPTIONS',
      'an update has no asOf: it ends with the log durable when it begins',
    )
  }
  if (base !== undefined && typeof target !== 'string') {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'base is for folders: in an archive the newest backup is it')
  }
  if (options.update === true && (options.incremental === true || base !== undefined)) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'an update copies no tables, so that it cannot be incremental')
  }
  return {
    home: options.home,
    target,
    update: options.update ?? DEFAULTS.update,
    recover: options.recover ?? DEFAULTS.recover,
    incremental: base !== undefined || (options.incremental ?? DEFAULTS.incremental),
    base,
    asOf: asOf ?? DEFAULTS.asOf,
    checkpoint: options.checkpoint ?? DEFAULTS.checkpoint,
    digest: options.digest ?? DEFAULTS.digest,
    bytesPerS: limitOf('maxMbPerS', options.maxMbPerS),
    bytesPerSBesideWriters: rateOf('maxMbPerSBesideWriters', options.maxMbPerSBesideWriters),
    sharesDisk: options.maxMbPerS === undefined,
    signal: options.signal,
    onEvent: guardedListener(options.onEvent),
    fileSystem: options.fileSystem ?? nodeFileSystem,
  }
}

/**
 * Bytes a second of an option in 10^6 of them.
 *
 * @throws HOTBACKUP_OPTIONS
 */
function rateOf(name: string, mbPerS: number | undefined): number | undefined {
  if (mbPerS === undefined) return undefined
  if (mbPerS > 0 && Number.isFinite(mbPerS)) return mbPerS * 1e6
  throw hotbackupError('HOTBACKUP_OPTIONS', `${name} must be more than 0`, { details: { [name]: mbPerS } })
}

/**
 * As `rateOf`; a rate without bound is no limit.
 *
 * @throws HOTBACKUP_OPTIONS
 */
export function limitOf(name: string, mbPerS: number | undefined): number | undefined {
  return mbPerS === Infinity ? undefined : rateOf(name, mbPerS)
}

/** A target for people: the folder, the archive's address, or the volumes' folders and prefix. */
export function nameOf(target: BackupTarget): string {
  if (typeof target === 'string') return target
  if ('archive' in target) return target.archive.store.url
  return `${target.volumes.dirs.join(',')} ${target.volumes.prefix}`
}
