// What became of one key: every transaction that changed it, oldest first, out of a home's log or of an archive. The value before a
// change is known only from the change before it, in what is read: where log is missing, or data was loaded beside it, it is unknown.
import { join } from 'node:path'
import type { Archive } from '@timberline/archive'
import { decodeTransaction, homeLayout, isBulkLoad, readHomeIdentity } from '@timberline/engine'
import { listSegments, type LogRecord, type Lsn, nodeFileSystem, readLog } from '@timberline/wal'
import { spansThrough } from '../history/coverage.ts'
import { recoveryError } from '../errors.ts'
import { newestTimeline } from '../history/history.ts'
import { LogReader } from '../source/log-reader.ts'
import { openSource } from '../source/open-source.ts'
import { pathsOf } from '../plan/restorability.ts'
import { makeScratch } from '../scratch.ts'

/** Whose past to read. */
export interface KeyHistoryOptions {
  /** A home, as far back as its log reaches, or an archive. */
  readonly from: { readonly home: string } | { readonly archive: Archive }
  /** The whole key, as bytes. */
  readonly key: Buffer
  /** Of an archive: the timeline to follow, through its ancestors. Default: the newest. */
  readonly timeline?: number
  readonly signal?: AbortSignal
}

/** A step in the life of a key. */
export type KeyEvent =
  | {
      readonly type: 'changed'
      readonly lsn: Lsn
      readonly committedAtUs: number
      readonly meta?: unknown
      /** `unknown` where nothing that was read tells it. */
      readonly before: Buffer | 'absent' | 'unknown'
      readonly after: Buffer | 'absent'
    }
  /** Records that cannot be read; the key may have changed in them. */
  | { readonly type: 'hole'; readonly fromLsn: Lsn; readonly throughLsn: Lsn }
  /** Data was loaded beside the log; the key may be among it. */
  | { readonly type: 'loaded'; readonly lsn: Lsn; readonly committedAtUs: number }

type Part = readonly LogRecord[] | { readonly fromLsn: Lsn; readonly throughLsn: Lsn }

/**
 * All that happened to a key, oldest first.
 *
 * @throws RECOVERY_TIMELINE_UNKNOWN, RECOVERY_LOG_DAMAGED, those of the log and of the store
 */
export async function* keyHistory(options: KeyHistoryOptions): AsyncGenerator<KeyEvent> {
  const { from, key } = options
  const parts = 'home' in from ? partsOfHome(from.home, options) : partsOfArchive(from.archive, options)
  let value: Buffer | 'absent' | 'unknown' = 'unknown'
  for await (const part of parts) {
    if ('fromLsn' in part) {
      value = 'unknown'
      yield { type: 'hole', ...part }
      continue
    }
    for (const record of part) {
      const { lsn, committedAtUs } = record
      if (isBulkLoad(record)) {
        value = 'unknown'
        yield { type: 'loaded', lsn, committedAtUs }
      }
      if (record.kind !== 'entry') continue
      const { operations, meta } = decodeTransaction(record.payload)
      const last = operations.findLast((operation) => operation.key.equals(key))
      if (last === undefined) continue
      // Copied: a view would keep the whole group in memory.
      const after: Buffer | 'absent' = last.type === 'put' ? Buffer.from(last.value) : 'absent'
      const change = { type: 'changed', lsn, committedAtUs, before: value, after } as const
      value = after
      yield meta === undefined ? change : { ...change, meta }
    }
  }
}

async function* partsOfHome(home: string, { signal }: KeyHistoryOptions): AsyncGenerator<Part> {
  await readHomeIdentity(home)
  const directory = homeLayout(home).logDirectory
  const [first] = await listSegments(directory)
  // v8 ignore next -- a home has a log
  if (first === undefined) return
  if (first.firstLsn > 1) yield { fromLsn: 1, throughLsn: first.firstLsn - 1 }
  yield* readLog({ directory, fromLsn: first.firstLsn, signal })
}

async function* partsOfArchive(archive: Archive, options: KeyHistoryOptions): AsyncGenerator<Part> {
  const source = await openSource({ archive }, nodeFileSystem)
  const history = await source.history()
  const timeline = options.timeline ?? newestTimeline(history)
  const path = pathsOf(history).find((each) => each.timeline === timeline)
  if (path === undefined) {
    throw recoveryError('RECOVERY_TIMELINE_UNKNOWN', 'the archive has no such timeline', {
      details: { timeline },
    })
  }
  const scratch = await makeScratch()
  const spool = join(scratch.home, 'spool')
  await nodeFileSystem.makeDirectory(spool)
  const reader = new LogReader(source, {
    directory: spool,
    fileSystem: nodeFileSystem,
    signal: options.signal,
  })
  const { runs, knownThroughLsn } = path.coverage
  let next: Lsn = 1
  try {
    for (const run of runs) {
      if (run.fromLsn > next) yield { fromLsn: next, throughLsn: run.fromLsn - 1 }
      yield* reader.read(spansThrough(path.coverage, run))
      next = run.throughLsn + 1
    }
    if (knownThroughLsn >= next) yield { fromLsn: next, throughLsn: knownThroughLsn }
  } finally {
    await reader.close()
    await scratch.remove()
  }
}
