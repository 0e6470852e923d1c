// One look at a time: what the archive has more than the state goes in, in order, through the same replay as in any recovery.
import type { Archive } from '@timberline/archive'
import { replayInto, type StandbyState } from '@timberline/engine'
import { invariant, type Lsn } from '@timberline/wal'
import { spansThrough } from '../history/coverage.ts'
import type { Span } from '../history/history.ts'
import { LogReader } from '../source/log-reader.ts'
import { PieceSpool } from '../source/piece-spool.ts'
import { withoutBulkLoads } from '../delta/range-replay.ts'
import { lookAhead, type LookMemory, type Outlook } from './standby-outlook.ts'
import type { StandbyFolder } from './standby-place.ts'
import type { Feed, FeedParts, StandbyStep } from './standby-source.ts'

/** A hole may be one of the listing alone, when pieces came or were merged meanwhile: so many looks in a row must find it there. */
export const GAP_LOOKS_MAX = 3

/** Brings a state forward out of an archive. */
export class StandbyFeed implements Feed {
  readonly #archive: Archive
  readonly #folder: StandbyFolder
  readonly #state: StandbyState
  readonly #spool: PieceSpool
  readonly #pinned: number | undefined
  readonly #memory: LookMemory = {}
  #isClean = false
  #newest: Span | undefined

  constructor(parts: FeedParts & { readonly archive: Archive }) {
    this.#archive = parts.archive
    this.#folder = parts.folder
    this.#state = parts.state
    this.#pinned = parts.pinned
    this.#spool = new PieceSpool(parts.archive)
  }

  /** Looks once, and applies what can be applied. */
  async step(signal: AbortSignal): Promise<StandbyStep> {
    const { lsn: appliedLsn } = await this.#state.applied()
    const { timeline } = this.#folder.label
    const outlook = await this.outlook(appliedLsn)
    // Told before a record of the new line is in, so that after a crash the label's line leads through whatever is.
    if (outlook.timeline !== timeline) await this.#folder.relabel({ timeline: outlook.timeline })
    return this.apply(outlook, { appliedLsn, throughLsn: outlook.reachLsn, signal })
  }

  /** It holds nothing open. */
  close(): Promise<void> {
    return Promise.resolve()
  }

  /** What the archive offers after a record. */
  outlook(appliedLsn: Lsn): Promise<Outlook> {
    const { timeline } = this.#folder.label
    return lookAhead(this.#archive, { timeline, appliedLsn, pinned: this.#pinned }, this.#memory)
  }

  /** Applies the records after `appliedLsn` through `throughLsn`, which the outlook covers. */
  async apply(
    outlook: Outlook,
    part: { readonly appliedLsn: Lsn; readonly throughLsn: Lsn; readonly signal: AbortSignal },
  ): Promise<StandbyStep> {
    const { appliedLsn, throughLsn, signal } = part
    if (throughLsn <= appliedLsn) return { outlook, appliedLsn, records: 0 }
    const { fileSystem, spoolDirectory: directory } = this.#folder
    if (!this.#isClean) await this.#spool.reset({ directory, fileSystem })
    this.#isClean = false
    const source = {
      environmentId: this.#archive.identity.environmentId,
      fetchSpan: this.#spool.fetch.bind(this.#spool),
    }
    const reader = new LogReader(source, { directory, fileSystem, signal })
    const spans = spansThrough(outlook.coverage, { fromLsn: appliedLsn + 1, throughLsn })
    try {
      const groups = withoutBulkLoads(reader.read(spans))
      await replayInto(this.#state.target, groups, { throughLsn, signal })
    } finally {
      await reader.close()
    }
    const { lsn } = await this.#state.applied()
    invariant(lsn === throughLsn, `record ${throughLsn} is the last one applied`)
    await this.#tidy(spans.at(-1)?.span)
    this.#isClean = true
    return { outlook, appliedLsn: lsn, records: lsn - appliedLsn }
  }

  /** Once a segment has been left behind, what it brought is made durable: a restart then needs only the newest segment again. */
  async #tidy(newest: Span | undefined): Promise<void> {
    const { fileSystem, spoolDirectory: directory } = this.#folder
    const isNext = this.#newest !== undefined && this.#newest.segmentNumber !== newest?.segmentNumber
    this.#newest = newest
    await this.#spool.tidy(newest, { directory, fileSystem })
    if (isNext) await this.#state.flush()
  }
}
