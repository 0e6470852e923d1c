import type { AbstractSnapshot } from 'abstract-level'
import type { ClassicLevel } from 'classic-level'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { takeCheckpoint } from '../checkpoint/checkpoint-take.ts'
import type { TakeCheckpointOptions, TakenCheckpoint } from '../checkpoint/checkpoint-take.ts'
import { flushConfirmed } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { ReplayTarget } from './leveldb-raw.ts'
import { NativeClassic } from '../level/native-level.ts'
import { ReadOnlyLevel } from '../level/read-only-level.ts'
import { ReplayBatch } from './replay-batch.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { openPrepared, prepareData } from './state.ts'

/** A state that replay goes on filling while it is read: users see it through `level`, which refuses writes. */
export interface StandbyState {
  readonly level: ReadOnlyLevel<Buffer, Buffer>
  readonly target: ReplayTarget
  applied(): Promise<AppliedPosition>
  /** How far the log had been applied when the snapshot was taken. */
  appliedAt(snapshot: AbstractSnapshot): AppliedPosition
  /** Brings what LevelDB holds in memory into its tables, durably: the next open begins there. */
  flush(): Promise<void>
  checkpoint(options: Omit<TakeCheckpointOptions, 'level'>): Promise<TakenCheckpoint>
  /** Does not flush: what was not flushed comes out of the log again. */
  close(): Promise<void>
}

/**
 * Opens the LevelDB folder of a standby at its last flush. LevelDB's own log is removed first, as at every open: the archive is
 * the log.
 *
 * @throws ENGINE_CURRENT_DAMAGED, ENGINE_STATE_DAMAGED when LevelDB refuses the folder
 */
export async function openStandbyState(
  dataDirectory: string,
  options: { readonly fileSystem?: FileSystem } = {},
): Promise<StandbyState> {
  const { fileSystem = nodeFileSystem } = options
  // Before the database object exists: it would open by itself, and replay that log.
  await prepareData(dataDirectory, { createIfMissing: false, fileSystem })
  const level = new ReadOnlyLevel<Buffer, Buffer>(dataDirectory, {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    createIfMissing: false,
  })
  await openPrepared(level, { dataDirectory, fileSystem })
  const native = new NativeClassic(level as unknown as ClassicLevel<unknown, unknown>)
  return {
    level,
    target: {
      applied: () => native.applied(),
      operationBatch: () => new ReplayBatch(native.batch()),
    },
    applied: () => native.applied(),
    appliedAt: (snapshot) => native.appliedAt(snapshot),
    flush: async () => {
      const reader = new VersionReader(dataDirectory, fileSystem)
      await flushConfirmed(native, reader, { dataDirectory, fileSystem })
    },
    checkpoint: (taking) => takeCheckpoint({ ...taking, level: native }),
    close: () => level.close(),
  }
}
