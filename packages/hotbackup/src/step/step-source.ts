// What a step-by-step copy reads: an explicit snapshot, so that no writer can disturb it, and of a Timberline database its log.
import type { AbstractSnapshot } from 'abstract-level'
import { decodeTransaction, homeLayout, isBulkLoad, type Operation, TimberLevel } from '@timberline/engine'
import { type Hold, listSegments, nodeFileSystem, placeHold, readLog } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'
import { type AnyLevel, asBuffers } from './any-level.ts'
import { PAGE_BYTES } from './step-options.ts'

/** Length and checksum framing counts, so that pages measure what is moved. */
const ENTRY_BYTES = 8
const ENTRIES_AT_A_TIME = 256
const READ_AHEAD_BYTES = 256 * 1024
const BUFFERS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

export type Entry = readonly [key: Buffer, value: Buffer]

/** The bytes of an entry that its page holds. */
export function entryBytes([key, value]: Entry): number {
  return ENTRY_BYTES + key.length + value.length
}

/** Pages of so many bytes. */
export function pagesOf(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES)
}

/** A source, at the moment that it was begun on. */
export interface StepSource {
  /** Of all entries. */
  readonly bytes: number
  /** The state that the snapshot shows, of a Timberline database. */
  readonly lsn: number | undefined
  /** The next entries, as many as make up so many bytes; fewer only at the end. */
  next(bytes: number): Promise<readonly Entry[]>
  /** What was committed since, group by group, and the state that this leads to. */
  tail(): Promise<{ readonly lsn: number; readonly groups: AsyncIterable<readonly Operation[]> }>
  close(): Promise<void>
}

/** Takes a snapshot and measures it; the source must be open. @throws HOTBACKUP_OPTIONS */
export async function beginSource(level: AnyLevel, asOf: 'start' | 'end' | undefined): Promise<StepSource> {
  if (level.supports.explicitSnapshots !== true) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'the source has no snapshots to copy from')
  }
  const home = level instanceof TimberLevel ? level : undefined
  if (asOf === 'end' && home === undefined) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'only a Timberline database can be copied as of the end')
  }
  // The hold comes first: whatever the snapshot does not show lies in segments from here on.
  const hold = home === undefined || asOf === 'start' ? undefined : await holdLog(home)
  const snapshot = level.snapshot()
  const parts = { level, snapshot, hold, home }
  try {
    return new SnapshotSource(parts, await measure(level, snapshot), home?.snapshotLsn(snapshot))
  } catch (error) {
    await snapshot.close()
    await hold?.release()
    throw error
  }
}

class SnapshotSource implements StepSource {
  readonly bytes: number
  readonly lsn: number | undefined
  readonly #parts: {
    readonly snapshot: AbstractSnapshot
    readonly hold: Hold | undefined
    readonly home: TimberLevel<unknown, unknown> | undefined
  }
  readonly #iterator: { nextv(count: number): Promise<[Buffer, Buffer][]>; close(): Promise<void> }
  /** Read and not taken yet, the next one last. */
  #read: Entry[] = []
  #isClosed = false

  constructor(
    parts: {
      readonly level: AnyLevel
      readonly snapshot: AbstractSnapshot
      readonly hold: Hold | undefined
      readonly home: TimberLevel<unknown, unknown> | undefined
    },
    bytes: number,
    lsn: number | undefined,
  ) {
    this.#parts = parts
    this.bytes = bytes
    this.lsn = lsn
    this.#iterator = read(parts.level, parts.snapshot)
  }

  async next(bytes: number): Promise<readonly Entry[]> {
    const taken: Entry[] = []
    for (let left = bytes; left > 0;) {
      if (this.#read.length === 0) this.#read = (await this.#iterator.nextv(ENTRIES_AT_A_TIME)).reverse()
      const entry = this.#read.pop()
      if (entry === undefined) break
      taken.push(entry)
      left -= entryBytes(entry)
    }
    return taken
  }

  async tail(): Promise<{ lsn: number; groups: AsyncIterable<readonly Operation[]> }> {
    const { home } = this.#parts
    const fromLsn = (this.lsn ?? 0) + 1
    if (home === undefined) throw new TypeError('only a Timberline database has a log')
    const now = home.snapshot()
    const throughLsn = home.snapshotLsn(now)
    await now.close()
    return { lsn: throughLsn, groups: operationsOf(home, fromLsn, throughLsn) }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#iterator.close()
    await this.#parts.snapshot.close()
    await this.#parts.hold?.release()
  }
}

async function* operationsOf(
  { location }: TimberLevel<unknown, unknown>,
  fromLsn: number,
  throughLsn: number,
): AsyncGenerator<readonly Operation[]> {
  if (fromLsn > throughLsn) return
  const { logDirectory } = homeLayout(location)
  for await (const records of readLog({ directory: logDirectory, fromLsn, throughLsn })) {
    for (const record of records) {
      if (record.kind === 'entry') yield decodeTransaction(record.payload).operations
      else if (isBulkLoad(record)) throw loadedMeanwhile(record.lsn)
    }
  }
}

function loadedMeanwhile(lsn: number): Error {
  return hotbackupError('HOTBACKUP_BULK_LOAD', 'data was loaded beside the log while the copy was made', {
    details: { lsn },
  })
}

async function holdLog({ location }: TimberLevel<unknown, unknown>): Promise<Hold> {
  const { logDirectory } = homeLayout(location)
  const active = (await listSegments(logDirectory, nodeFileSystem)).at(-1)?.header.segmentNumber
  return placeHold(logDirectory, { purpose: 'step-by-step copy', fromSegment: active })
}

async function measure(level: AnyLevel, snapshot: AbstractSnapshot): Promise<number> {
  const iterator = read(level, snapshot)
  let bytes = 0
  try {
    for (;;) {
      const entries = await iterator.nextv(ENTRIES_AT_A_TIME)
      if (entries.length === 0) return bytes
      for (const entry of entries) bytes += entryBytes(entry)
    }
  } finally {
    await iterator.close()
  }
}

function read(
  level: AnyLevel,
  snapshot: AbstractSnapshot,
): { nextv(count: number): Promise<[Buffer, Buffer][]>; close(): Promise<void> } {
  return asBuffers(level).iterator({
    ...BUFFERS,
    snapshot,
    highWaterMarkBytes: READ_AHEAD_BYTES,
  } as object)
}
