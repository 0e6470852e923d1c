// The way back of a confirmation: the writer says in the log folder up to where somebody waits for an archive, and a shipper,
// mostly in another process, hurries until it is there. It is a hint and nothing more: never synced, and whoever cannot read it
// ships at its usual pace. That the file is there says that somebody may wait at any moment.
import { join } from 'node:path'
import { readFileWhole, removeIfPresent } from './atomic-file.ts'
import { Doorbell } from './doorbell.ts'
import { systemCode, TimberlineError } from './errors.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { nodeFileSystem } from './node-file-system.ts'
import type { Lsn } from './record.ts'

const NAME = 'wanted.json'
const WANTED_BYTES_MAX = 1024
const LSN_DIGITS = 16

/** The writer's side; one for a log folder. */
export interface WantedFile {
  /** Says that somebody waits until an archive holds everything through this record; one call at a time. */
  write(lsn: Lsn): Promise<void>
  /** Nobody waits any more: removes the file. */
  close(): Promise<void>
}

/** How to follow what is wanted. */
export interface FollowWantedOptions {
  readonly directory: string
  /** Milliseconds to wait after a ring, asked anew each time. */
  readonly gatherMs: () => number
  readonly fileSystem?: FileSystem | undefined
  /** Ends the follower, quietly. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds after which the file is looked at though nothing rang; default 1,000. */
  readonly pollMs?: number | undefined
}

/** Puts the file into a log folder, or takes over the one that a dead process left. Nothing is wanted at first. */
export async function openWanted(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<WantedFile> {
  const path = join(directory, NAME)
  const handle = await openOrCreate(path, fileSystem)
  // In place, and always of one length: a reader finds an old number, a new one, or at worst one of digits of both.
  const write = (lsn: Lsn): Promise<void> =>
    handle.write(Buffer.from(`{"lsn":${String(lsn).padStart(LSN_DIGITS)}}\n`), 0)
  try {
    await write(0)
  } catch (error) {
    await handle.close()
    throw error
  }
  return {
    write,
    close: async () => {
      await handle.close()
      await removeIfPresent(path, fileSystem)
    },
  }
}

/** The last record that somebody waits for, 0 when none is named or legible; `undefined` when nobody can wait. */
export async function readWanted(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Lsn | undefined> {
  try {
    const text = (await readFileWhole(join(directory, NAME), fileSystem, WANTED_BYTES_MAX)).toString()
    return lsnOf(JSON.parse(text))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    // Caught while it was written, cut short by a power loss, or not ours: a hint that is lost must not end the shipping.
    /* v8 ignore else -- a disk that refuses to be read is met by whoever reads the log as well */
    if (error instanceof SyntaxError || isTooLarge(error)) return 0
    throw error
  }
}

/** What is wanted now and whenever it changes, as {@link readWanted} tells it. */
export async function* followWanted(options: FollowWantedOptions): AsyncGenerator<Lsn | undefined> {
  const { directory, gatherMs, fileSystem = nodeFileSystem, signal, pollMs = 1000 } = options
  const doorbell = new Doorbell(fileSystem, directory, signal)
  let told: Lsn | undefined
  let isFirst = true
  try {
    while (signal?.aborted !== true) {
      const wanted = await readWanted(directory, fileSystem)
      if (isFirst || wanted !== told) yield wanted
      isFirst = false
      told = wanted
      await doorbell.wait(pollMs, gatherMs())
    }
  } finally {
    doorbell.close()
  }
}

async function openOrCreate(path: string, fileSystem: FileSystem): Promise<FileHandle> {
  try {
    return await fileSystem.open(path, 'create')
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return fileSystem.open(path, 'write')
    throw error
  }
}

function isTooLarge(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'WAL_INVALID'
}

function lsnOf(value: unknown): Lsn {
  const lsn: unknown = typeof value === 'object' && value !== null && 'lsn' in value ? value.lsn : 0
  return typeof lsn === 'number' && Number.isSafeInteger(lsn) && lsn > 0 ? lsn : 0
}
