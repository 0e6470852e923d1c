// The log of a plan, record by record, out of whatever it was fetched from. What the plan promised is checked here: every
// LSN once, in order, with increasing commit times. A source that ends early is damage, never the end of history.
import { decodeSegment, type FileSystem, type LogRecord, type Lsn, removeIfPresent } from '@timberline/wal'
import type { PathSpan } from '../history/coverage.ts'
import { recoveryError } from '../errors.ts'
import type { Span } from '../history/history.ts'
import { ReadAhead } from './read-ahead.ts'
import type { LocalSegment, RecoverySource } from './source.ts'
import { throwIfAborted } from '../transfer.ts'

/** The part of a source that a reader of its log needs. */
export type LogSource = Pick<RecoverySource, 'environmentId' | 'fetchSpan'>

/** Fetches spans once, keeps the copies until they are let go, and reads their records. */
export class LogReader {
  readonly #source: LogSource
  readonly #directory: string
  readonly #fileSystem: FileSystem
  readonly #signal: AbortSignal | undefined
  readonly #fetched = new Map<Span, Promise<readonly LocalSegment[]>>()

  constructor(
    source: LogSource,
    options: {
      /** Where copies go; must exist. */
      readonly directory: string
      readonly fileSystem: FileSystem
      readonly signal?: AbortSignal | undefined
    },
  ) {
    this.#source = source
    this.#directory = options.directory
    this.#fileSystem = options.fileSystem
    this.#signal = options.signal
  }

  /**
   * All records of `spans` in order. The next span is fetched while one is read; a span's copy goes when it has been read,
   * unless `keep` says it is needed again.
   *
   * @throws RECOVERY_LOG_DAMAGED
   */
  async *read(
    spans: readonly PathSpan[],
    options: { readonly keep?: Span | undefined } = {},
  ): AsyncGenerator<LogRecord[]> {
    let last: LogRecord | undefined
    for (const [index, part] of spans.entries()) {
      const ahead = spans[index + 1]
      await this.#fetch(part.span)
      // Failing early would hide records that can still be read.
      if (ahead !== undefined) this.fetchAhead(ahead.span)
      try {
        for await (const group of this.#readSpan(part)) {
          checkOrder(group, { last, part })
          last = group.at(-1)
          yield group
        }
      } finally {
        // Who has what he wanted asks for no more, and ends this here.
        if (part.span !== options.keep && part.span !== ahead?.span) await this.#letGo(part.span)
      }
    }
  }

  /** Begins to fetch a span that will be read first. A failure is met when its turn comes. */
  fetchAhead(span: Span): void {
    this.#fetch(span).catch(() => undefined)
  }

  /** The first record of a span's part. */
  async first(part: PathSpan): Promise<LogRecord> {
    for await (const group of this.#readSpan({ ...part, throughLsn: part.fromLsn })) {
      const [record] = group
      /* v8 ignore else -- no group is empty */
      if (record !== undefined) return record
    }
    throw damaged(part, 'the log does not hold a promised record', part.fromLsn)
  }

  /** Waits for fetches that still run; afterwards the folder of copies may go. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#fetched.values())
  }

  async *#readSpan(part: PathSpan): AsyncGenerator<LogRecord[]> {
    const expect = { environmentId: this.#source.environmentId, timeline: part.span.timeline }
    let next = part.fromLsn
    for (const segment of await this.#fetch(part.span)) {
      if (next > part.throughLsn) return
      const handle = await this.#fileSystem.open(segment.path, 'read')
      try {
        const { bytes } = await handle.status()
        const source = new ReadAhead(handle, { bytes, path: segment.path })
        try {
          for await (const group of decodeSegment(source, { expect, last: segment.last })) {
            throwIfAborted(this.#signal)
            const wanted = group.filter(({ lsn }) => lsn >= next && lsn <= part.throughLsn)
            if (wanted.length > 0) yield wanted
            // v8 ignore next -- no group is empty
            next = Math.max(next, (group.at(-1)?.lsn ?? 0) + 1)
            if (next > part.throughLsn) break
          }
        } finally {
          await source.settled()
        }
      } finally {
        await handle.close()
      }
    }
    if (next <= part.throughLsn) throw damaged(part, 'the log ends before a promised record', next)
  }

  #fetch(span: Span): Promise<readonly LocalSegment[]> {
    const known = this.#fetched.get(span)
    if (known !== undefined) return known
    const options = { fileSystem: this.#fileSystem, signal: this.#signal, isTemporary: true }
    const fetching = this.#source.fetchSpan(span, this.#directory, options)
    this.#fetched.set(span, fetching)
    return fetching
  }

  async #letGo(span: Span): Promise<void> {
    const segments = await this.#fetch(span)
    this.#fetched.delete(span)
    for (const segment of segments) if (segment.isCopy) await removeIfPresent(segment.path, this.#fileSystem)
  }
}

function checkOrder(
  group: readonly LogRecord[],
  { last, part }: { last: LogRecord | undefined; part: PathSpan },
): void {
  let before = last
  for (const record of group) {
    const expected = before === undefined ? part.fromLsn : before.lsn + 1
    if (record.lsn !== expected) throw damaged(part, 'the records do not follow each other', record.lsn)
    if (before !== undefined && record.committedAtUs <= before.committedAtUs) {
      throw damaged(part, 'commit times go back', record.lsn)
    }
    before = record
  }
}

function damaged({ span }: PathSpan, message: string, lsn: Lsn): Error {
  return recoveryError('RECOVERY_LOG_DAMAGED', message, {
    details: { lsn, timeline: span.timeline, segmentNumber: span.segmentNumber, origin: span.origin.type },
  })
}
