import { Doorbell } from './doorbell.ts'
import type { FileSystem } from './file-system.ts'
import { within } from './log-reader.ts'
import { LogWalker } from './log-walker.ts'
import { nodeFileSystem } from './node-file-system.ts'
import type { LogRecord, Lsn } from './record.ts'

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

/** How much payload is gathered before it is synced and handed on, in bytes. */
const BATCH_BYTES_MAX = 1024 * 1024

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
  const walker = new LogWalker({ directory, fileSystem, durable: true })
  try {
    let located = false
    while (signal?.aborted !== true) {
      located ||= await walker.locate(fromLsn)
      const batch = located ? await gather(walker, fromLsn) : { groups: [], ended: true }
      for (const group of batch.groups) {
        if (isAborted(signal)) return
        yield group
      }
      if (!batch.ended) continue
      const rang = await doorbell.wait(options.pollMs ?? 250, options.gatherMs ?? 5)
      // Silence and nothing to read: the time to ask whether what stands there is a frame being written, or damage.
      if (!rang && located) await walker.judge()
    }
  } finally {
    doorbell.close()
    await walker.close()
  }
}

/** Reads until the end or the bound, and makes what was read durable. */
async function gather(walker: LogWalker, fromLsn: Lsn): Promise<{ groups: LogRecord[][]; ended: boolean }> {
  const groups: LogRecord[][] = []
  let bytes = 0
  let lastLsn = 0
  let ended = false
  while (!ended && bytes < BATCH_BYTES_MAX) {
    const step = await walker.step()
    if (step.type === 'end') ended = true
    if (step.type !== 'group') continue
    const records = within(step.records, fromLsn, Number.MAX_SAFE_INTEGER)
    if (records.length === 0) continue
    bytes += step.header.payloadBytes
    // v8 ignore next -- it is not empty, as was asked above
    lastLsn = records.at(-1)?.lsn ?? lastLsn
    groups.push(records)
    // What was written since the file was read waits for the next look: a busy writer is always one frame ahead.
    ended ||= walker.reader?.seesMore !== true
  }
  const durableLsn = walker.reader?.tally.durableLsn ?? lastLsn
  // Later frames state what was durable before them; only beyond that must the file be synced before the records go out.
  if (lastLsn > durableLsn) await walker.sync()
  return { groups, ended }
}

/** In a function of its own, because the compiler thinks that a signal cannot abort between two looks. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true
}
