import { walError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { LogWalker } from './log-walker.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { LogRecord, Lsn } from '../records/record.ts'

/** What to read of a log. */
export interface ReadOptions {
  readonly directory: string
  /** The first record wanted. */
  readonly fromLsn: Lsn
  /** The last record wanted; default: to the end. The end may come before it without an error. */
  readonly throughLsn?: Lsn | undefined
  readonly fileSystem?: FileSystem | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The records of a log in order, one array a group of commits, across segments, to the present end; a torn tail is the end.
 * Safe beside a writer. What it returns last may not be durable yet: {@link followLog} returns only what is.
 *
 * @throws WAL_GAP when `fromLsn` is not in the log (one beyond the last record is an empty read)
 * @throws WAL_CORRUPT, WAL_FOREIGN, WAL_FORMAT, WAL_ABORTED
 */
export async function* readLog(options: ReadOptions): AsyncGenerator<LogRecord[]> {
  const { directory, fromLsn, throughLsn = Number.MAX_SAFE_INTEGER, fileSystem = nodeFileSystem } = options
  const walker = new LogWalker({ directory, fileSystem, durable: false })
  try {
    if (!(await walker.locate(fromLsn))) {
      throw walError('WAL_GAP', 'the folder has no segment', { details: { directory, lsn: fromLsn } })
    }
    for (;;) {
      refuseIfAborted(options.signal)
      const step = await walker.step()
      if (step.type === 'group') {
        const records = within(step.records, fromLsn, throughLsn)
        if (records.length > 0) yield records
        if (nextLsnOf(walker) > throughLsn) return
      } else if (step.type === 'end' && (await walker.judge())) {
        if (nextLsnOf(walker) >= fromLsn) return
        throw walError('WAL_GAP', 'the log ends before the wanted lsn', {
          details: { directory, lsn: fromLsn, nextLsn: walker.nextLsn },
        })
      }
    }
  } finally {
    await walker.close()
  }
}

/** The part of a group that lies in a range of LSNs; the array itself when all of it does. */
export function within(records: LogRecord[], fromLsn: Lsn, throughLsn: Lsn): LogRecord[] {
  // v8 ignore next -- no group is empty
  const first = records[0]?.lsn ?? 0
  if (first >= fromLsn && first + records.length - 1 <= throughLsn) return records
  return records.filter(({ lsn }) => lsn >= fromLsn && lsn <= throughLsn)
}

function nextLsnOf(walker: LogWalker): Lsn {
  // v8 ignore next -- a walker that has located its segment knows
  return walker.nextLsn ?? 1
}

function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw walError('WAL_ABORTED', 'reading the log was aborted', { cause: signal.reason })
}
