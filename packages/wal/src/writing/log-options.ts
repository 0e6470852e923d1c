import { wallClock } from '../records/commit-clock.ts'
import { walError, type TimberlineError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import { RECORD_BYTES_LIMIT, type LogIdentity, type Lsn } from '../records/record.ts'
import { SEGMENT_NUMBER_MAX } from '../segments/segment-name.ts'

/** What a flush has reached. */
export interface Flushed {
  /** All records up to here are in the file. */
  readonly writtenLsn: Lsn
  /** All records up to here survive power loss. */
  readonly durableLsn: Lsn
}

/** How to open a log. */
export interface OpenLogOptions {
  /** The folder; made when missing. */
  readonly directory: string
  /** Whose log it is; segments of another are refused. */
  readonly identity: LogIdentity
  /** Default: the real one. */
  readonly fileSystem?: FileSystem | undefined
  /** A segment is sealed before it grows beyond this; default 64 MiB, from 4 KiB to 4 GiB. */
  readonly segmentBytesMax?: number | undefined
  /** A segment is sealed this long after its first record, in milliseconds; default 3,600,000; 0 is never. */
  readonly segmentAgeMsMax?: number | undefined
  /** The largest payload; default 64 MiB, at most 256 MiB. */
  readonly recordBytesMax?: number | undefined
  /** LSN of the first record when the folder has no segment; default 1. */
  readonly nextLsn?: Lsn | undefined
  /** Number of the first segment when the folder has none; default 1. */
  readonly nextSegmentNumber?: number | undefined
  /** Commit times begin after this, in microseconds; for a log that continues another in a new folder. Default 0. */
  readonly afterCommittedAtUs?: number | undefined
  /** Zeros written ahead in the background, so that a commit costs one device flush; default 1 MiB; 0 is off. */
  readonly preallocateBytes?: number | undefined
  /** A clock in microseconds since 1970; default: the wall clock. */
  readonly now?: (() => number) | undefined
  /**
   * Called synchronously after each group, before promises are resolved; it must be quick. Where the device is synced on the
   * calling thread it is also called before that, with `durableLsn` still behind `writtenLsn`: work handed to another thread
   * then runs beside the sync, and its completion cannot be seen before the sync is over.
   */
  readonly onFlushed?: ((flushed: Flushed) => void) | undefined
  /**
   * Called synchronously when the device begins to flush a group on another thread, with `durableLsn` behind `writtenLsn`; `onFlushed`
   * or `onFailed` follows. The calling thread goes on meanwhile: what is taken up now must be kept from readers until then.
   */
  readonly onFlushing?: ((flushed: Flushed) => void) | undefined
  /** Called once when the log stops after a failed write or sync, before promises are rejected. */
  readonly onFailed?: ((error: TimberlineError) => void) | undefined
}

/** Options with every default filled in. */
export interface LogSettings {
  readonly directory: string
  readonly identity: LogIdentity
  readonly fileSystem: FileSystem
  readonly segmentBytesMax: number
  readonly segmentAgeMsMax: number
  readonly recordBytesMax: number
  readonly nextLsn: Lsn
  readonly nextSegmentNumber: number
  readonly afterCommittedAtUs: number
  readonly preallocateBytes: number
  readonly now: () => number
  readonly onFlushed: ((flushed: Flushed) => void) | undefined
  readonly onFlushing: ((flushed: Flushed) => void) | undefined
  readonly onFailed: ((error: TimberlineError) => void) | undefined
}

type NumberOption =
  | 'segmentBytesMax'
  | 'segmentAgeMsMax'
  | 'recordBytesMax'
  | 'nextLsn'
  | 'nextSegmentNumber'
  | 'afterCommittedAtUs'
  | 'preallocateBytes'

const MIB = 1024 * 1024

const DEFAULTS: Readonly<Record<NumberOption, number>> = Object.freeze({
  segmentBytesMax: 64 * MIB,
  segmentAgeMsMax: 3_600_000,
  recordBytesMax: 64 * MIB,
  nextLsn: 1,
  nextSegmentNumber: 1,
  afterCommittedAtUs: 0,
  preallocateBytes: MIB,
})

const BOUNDS: Readonly<Record<NumberOption, readonly [number, number]>> = {
  segmentBytesMax: [4096, 4096 * MIB],
  segmentAgeMsMax: [0, 2 ** 31 - 1],
  recordBytesMax: [1, RECORD_BYTES_LIMIT],
  nextLsn: [1, Number.MAX_SAFE_INTEGER],
  nextSegmentNumber: [1, SEGMENT_NUMBER_MAX],
  afterCommittedAtUs: [0, Number.MAX_SAFE_INTEGER],
  preallocateBytes: [0, 1024 * MIB],
}

/** Fills in defaults and refuses what is out of bounds (`WAL_INVALID`). */
export function completeOptions(options: OpenLogOptions): LogSettings {
  checkLogIdentity(options.identity)
  const numbers = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as NumberOption[]) {
    const value = options[name] ?? DEFAULTS[name]
    const [least, most] = BOUNDS[name]
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      throw walError('WAL_INVALID', `${name} is out of bounds`, { details: { [name]: value, least, most } })
    }
    numbers[name] = value
  }
  return {
    ...numbers,
    directory: options.directory,
    identity: options.identity,
    fileSystem: options.fileSystem ?? nodeFileSystem,
    now: options.now ?? wallClock(),
    onFlushed: options.onFlushed,
    onFlushing: options.onFlushing,
    onFailed: options.onFailed,
  }
}

function checkLogIdentity(identity: LogIdentity): void {
  if (
    /^[0-9a-f]{32}$/.test(identity.environmentId) &&
    Number.isInteger(identity.timeline) &&
    identity.timeline >= 1
  ) {
    return
  }
  throw walError('WAL_INVALID', 'the identity of the log is malformed', { details: { ...identity } })
}
