import { Doorbell } from './doorbell.ts'
import type { FileSystem } from '../files/file-system.ts'
import { LogTail } from './log-tail.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { LogRecord, Lsn } from '../records/record.ts'

/** How to follow a log. */
export interface FollowOptions {
  readonly directory: string
  /** The first record wanted; it may lie in the future. */
  readonly fromLsn: Lsn
  readonly fileSystem?: FileSystem | undefined
  /** Ends the follower, quietly. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds after which the folder is looked at though nothing rang; default 250. */
  readonly pollMs?: number | undefined
  /** Milliseconds to wait after a ring, so that a burst is read as one; default 5. */
  readonly gatherMs?: number | undefined
}

/**
 * The records of a log from an LSN on and then live, from this or another process; ends only with `signal` or an error. It
 * returns nothing that is not durable: the file is synced through the follower's own handle before its last groups are
 * returned. It lives on through the owner's crash, the cut of a torn tail, reopening and rolling.
 *
 * @throws WAL_GAP, WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT
 */
export async function* followLog(options: FollowOptions): AsyncGenerator<LogRecord[]> {
  const { directory, fromLsn, fileSystem = nodeFileSystem, signal } = options
  const doorbell = new Doorbell(fileSystem, directory, signal)
  const tail = new LogTail({ directory, fromLsn, fileSystem })
  try {
    while (signal?.aborted !== true) {
      const { groups, ended } = await tail.look()
      for (const group of groups) {
        if (isAborted(signal)) return
        yield group
      }
      if (!ended) continue
      const rang = await doorbell.wait(options.pollMs ?? 250, options.gatherMs ?? 5)
      // Silence and nothing to read: the time to ask whether what stands there is a frame being written, or damage.
      if (!rang) await tail.judge()
    }
  } finally {
    doorbell.close()
    await tail.close()
  }
}

/** In a function of its own, because the compiler thinks that a signal cannot abort between two looks. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
