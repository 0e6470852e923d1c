/**
 * The state at the end of a backup, from the copy itself: its tables are linked into a scratch folder, its
 * log is replayed there. The backup is never opened: LevelDB writes into whatever it opens.
 */
import { join } from 'node:path'
import { openState, replayInto, writeDataFromCheckpoint } from '@timberline/engine'
import type { CheckpointManifest, State, StateDigest } from '@timberline/engine'
import { readLog } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError, systemCodeOf } from './errors.ts'

export interface ScratchDigestOptions {
  readonly checkpoint: CheckpointManifest
  readonly tablesDirectory: string
  readonly logDirectory: string
  readonly endLsn: number
  /** A folder to be made and removed again, best on the file system of the tables. */
  readonly scratch: string
  /** Compare each table with the checksum that the checkpoint has of it. Default false. */
  readonly verify?: boolean
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
}

/** Systems without hard links, or with the tables on another file system than the scratch folder. */
const NO_LINKS = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'])

/** Computes the digest of checkpoint plus log through `endLsn`. */
export function scratchDigest(options: ScratchDigestOptions): Promise<StateDigest> {
  return inScratch(options, (state) => state.digest())
}

/** Works on the state of checkpoint plus log through `endLsn`, in a folder that is gone afterwards. */
export async function inScratch<Result>(
  options: ScratchDigestOptions,
  work: (state: State, dataDirectory: string) => Promise<Result>,
): Promise<Result> {
  try {
    const dataDirectory = await linkOrCopyData(options)
    const state = await openState(dataDirectory, { createIfMissing: false })
    try {
      await replay(state, options)
      return await work(state, dataDirectory)
    } finally {
      await state.close()
    }
  } finally {
    await options.fileSystem.removeTree(options.scratch)
  }
}

async function linkOrCopyData(options: ScratchDigestOptions): Promise<string> {
  const linked = join(options.scratch, 'data')
  const { checkpoint, tablesDirectory, verify = false } = options
  try {
    await writeDataFromCheckpoint(checkpoint, tablesDirectory, linked, { mode: 'link', verify })
    return linked
  } catch (error) {
    if (!NO_LINKS.has(systemCodeOf(error) ?? systemCodeOf(causeOf(error)) ?? '')) throw error
    const copied = join(options.scratch, 'data-copy')
    await writeDataFromCheckpoint(checkpoint, tablesDirectory, copied, { mode: 'copy', verify })
    return copied
  }
}

async function replay(state: State, options: ScratchDigestOptions): Promise<void> {
  const { endLsn, logDirectory, fileSystem, signal } = options
  const appliedLsn = await state.appliedLsn()
  if (appliedLsn < endLsn) {
    const groups = readLog({
      directory: logDirectory,
      fromLsn: appliedLsn + 1,
      throughLsn: endLsn,
      fileSystem,
      ...(signal === undefined ? {} : { signal }),
    })
    await replayInto(state.level, groups, { throughLsn: endLsn, ...(signal === undefined ? {} : { signal }) })
  }
  const reachedLsn = await state.appliedLsn()
  if (reachedLsn === endLsn) return
  throw hotbackupError('HOTBACKUP_COPY_DAMAGED', 'the copy does not replay to its end', {
    details: { reachedLsn, endLsn, logDirectory },
  })
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined
}
