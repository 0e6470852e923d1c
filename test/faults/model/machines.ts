/**
 * The machines of the simulated world. A machine is a disk; a process on it is a view of that disk with operations of its own
 * that can be made to fail or to stop. Killing a process stops its view and leaves the disk as it is, unsynced bytes
 * included; a power loss takes the disk through `CrashFileSystem.crash`.
 */
import type { Shipper } from '@timberline/archive'
import type { TimberMemoryLevel } from '@timberline/engine'
import type { CrashFileSystem, FaultFileSystem } from '@timberline/wal/testing'
import type { Entry } from './history-model.ts'

export type Place = 'home' | 'copy'

/** A database that is open, and the view that its process has of the disk. */
export interface EngineProcess {
  readonly files: FaultFileSystem
  readonly db: TimberMemoryLevel
}

/** A running shipper; it reads one disk and writes to another. */
export interface ShipProcess {
  readonly log: FaultFileSystem
  readonly store: FaultFileSystem
  readonly shipper: Shipper
  readonly stop: AbortController
  /** The epoch it claimed, once it began. */
  epoch: number | undefined
  /** Set when it ended. */
  end: { readonly error: unknown } | undefined
}

/** A computer with a home on its disk. */
export interface Machine {
  readonly place: Place
  disk: CrashFileSystem
  /** What stands in its log, readable or not yet reopened. */
  records: readonly Entry[]
  engine: EngineProcess | undefined
  readonly shippers: (ShipProcess | undefined)[]
  /** Through this LSN everything was acknowledged, durable or not: the end of a process takes none of it. */
  writtenLsn: number
  /** Through this LSN everything was acknowledged as durable: a power loss takes none of it. */
  durableLsn: number
  /** Whether only a power loss, or also less, lies between the model and the disk. */
  unsettled: 'no' | 'process' | 'power'
  /** Opened to the end at least once: before that there may be no log to ship. */
  wasOpen: boolean
}

export function newMachine(place: Place, disk: CrashFileSystem, records: readonly Entry[]): Machine {
  return {
    place,
    disk,
    records,
    engine: undefined,
    shippers: [undefined, undefined],
    writtenLsn: 0,
    durableLsn: 0,
    unsettled: 'process',
    wasOpen: records.length > 0,
  }
}

/** Where the home is on a machine's disk, and the archive on its own. */
export const HOME = '/db'
export const LOG = '/db/log'
export const ARCHIVE = '/archive'

/** Whether a fault struck the process, so that errors are to be expected from then on. */
export function hasFaulted(...views: readonly FaultFileSystem[]): boolean {
  return views.some(({ injected }) => injected.length > 0)
}
