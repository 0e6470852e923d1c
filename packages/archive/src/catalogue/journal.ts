// FORMAT.md#journal. The next free sequence number is the only place where writers meet: the store lets one of them have it.
import { randomBytes } from 'node:crypto'
import type { ArchiveStore } from '../stores/archive-store.ts'
import { CatalogueFold } from './catalogue-fold.ts'
import {
  decodeJournalEntry,
  encodeJournalEntry,
  type CatalogueEvent,
  type JournalEntry,
} from './catalogue-event.ts'
import type { CatalogueIndex } from './catalogue-index.ts'
import { archiveError, hasCode } from '../errors.ts'
import { JournalPages } from './journal-pages.ts'
import { JOURNAL_PREFIX, journalName, parseJournalName } from '../layout.ts'
import type { ObjectShelf } from '../objects/object-shelf.ts'

/** Entries fetched at the same time. */
const FETCH_COUNT_MAX = 8
/** Other writers may take the next number so often in a row before an append gives up for now. */
const APPEND_TRIES_MAX = 1000
const RECENT_MS_MAX = 60_000
const ENTRY_BYTES_MAX = 64 * 1024 * 1024

export interface JournalOptions {
  readonly store: ArchiveStore
  /** Keeps the pages. */
  readonly shelf: ObjectShelf
  readonly environmentId: string
  readonly now: () => number
  /** A local copy of the entries; events never change, so only new ones are fetched. */
  readonly index?: CatalogueIndex | undefined
}

/** Decides on the present state which event comes next; `undefined` when nothing is to be said any more. */
export type Decide = (fold: CatalogueFold) => CatalogueEvent | undefined

/** The journal of one archive, with the fold of all that was read so far. */
export class Journal {
  readonly fold: CatalogueFold = new CatalogueFold()
  /** What is told again, so that opening needs few requests. */
  readonly pages: JournalPages
  readonly #options: JournalOptions
  readonly #writerId = randomBytes(16).toString('hex')
  #turn: Promise<unknown> = Promise.resolve()
  #isLoaded = false
  /** When the last reading of all began. */
  #readMs = -Infinity

  constructor(options: JournalOptions) {
    this.#options = options
    this.pages = new JournalPages(options)
  }

  /** Folds what others have appended. */
  refresh(): Promise<CatalogueFold> {
    return this.#inTurn(() => this.#refresh())
  }

  /** The fold as of the last minute: for what others may learn a little later, and is asked with each object. */
  recent(): Promise<CatalogueFold> {
    const isRecent = performance.now() - this.#readMs < RECENT_MS_MAX
    return isRecent ? Promise.resolve(this.fold) : this.refresh()
  }

  /**
   * Appends the event that `decide` returns on the newest state; it is asked again when another writer was faster, so
   * that a decision never stands on a state that has passed. Resolves with the sequence number, once durable.
   */
  append(decide: Decide): Promise<number> {
    return this.#inTurn(async () => {
      await this.#refresh()
      for (let tries = 0; tries < APPEND_TRIES_MAX; tries++) {
        const event = decide(this.fold)
        if (event === undefined) return this.fold.sequence
        this.#refuse(event)
        const { environmentId, now, store } = this.#options
        const sequence = this.fold.sequence + 1
        const entry: JournalEntry = {
          format: 1,
          sequence,
          environmentId,
          writerId: this.#writerId,
          atUs: now(),
          event,
        }
        const content = encodeJournalEntry(entry)
        try {
          await store.put(journalName(sequence), content)
          this.pages.remember(sequence, content)
          await this.#take([entry])
          await this.pages.extend(sequence)
          return sequence
        } catch (error) {
          if (!hasCode(error, 'ARCHIVE_CONFLICT')) throw error
        }
        await this.#catchUp()
      }
      throw archiveError('ARCHIVE_STORE_FAILED', 'other writers kept taking the next place in the journal')
    })
  }

  #refuse(event: CatalogueEvent): void {
    const problem = this.fold.problem(event)
    if (problem === undefined) return
    const code = this.fold.isFenced(event) ? 'ARCHIVE_FENCED' : 'ARCHIVE_CONFLICT'
    const owner = this.fold.owner?.description
    throw archiveError(code, `the journal cannot take an event, ${problem}`, {
      details: { type: event.type, owner },
    })
  }

  /** All entries, in order, from the store alone. */
  async *entries(): AsyncGenerator<JournalEntry> {
    const last = await this.#lastSequence(0)
    for (let sequence = 1; sequence <= last; sequence++) yield await this.#fetch(sequence)
  }

  async #refresh(): Promise<CatalogueFold> {
    const begunMs = performance.now()
    if (!this.#isLoaded) {
      for await (const entry of this.#options.index?.entries() ?? []) this.#applyNew(entry)
      for await (const entries of this.pages.entriesAfter(this.fold.sequence)) {
        await this.#fetchThrough((entries[0]?.sequence ?? 1) - 1)
        await this.#take(entries)
      }
      // The listing also proves that no entry between is missing.
      await this.#fetchThrough(await this.#lastSequence(this.fold.sequence))
      this.#isLoaded = true
    }
    await this.#catchUp()
    this.#readMs = begunMs
    return this.fold
  }

  /** Asks for the next entry by name: no listing once loaded. */
  async #catchUp(): Promise<void> {
    for (;;) {
      const next = this.fold.sequence + 1
      if ((await this.#options.store.status(journalName(next))) === undefined) return
      await this.#fetchThrough(next)
    }
  }

  async #lastSequence(after: number): Promise<number> {
    let last = after
    const startAfter = after === 0 ? undefined : journalName(after)
    for await (const { name } of this.#options.store.list(JOURNAL_PREFIX, { startAfter })) {
      const sequence = parseJournalName(name)
      if (sequence === undefined) continue
      if (sequence !== last + 1) {
        throw archiveError('ARCHIVE_JOURNAL_DAMAGED', 'an event is missing', {
          details: { sequence: last + 1 },
        })
      }
      last = sequence
    }
    return last
  }

  async #fetchThrough(last: number): Promise<void> {
    while (this.fold.sequence < last) {
      const from = this.fold.sequence + 1
      const count = Math.min(FETCH_COUNT_MAX, last - from + 1)
      await this.#take(
        await Promise.all(Array.from({ length: count }, (_, index) => this.#fetch(from + index))),
      )
    }
  }

  async #fetch(sequence: number): Promise<JournalEntry> {
    const { environmentId, store } = this.#options
    const content = await store.get(journalName(sequence), { bytesMax: ENTRY_BYTES_MAX }).catch(missing)
    this.pages.remember(sequence, content)
    return decodeJournalEntry(content, { sequence, environmentId })
  }

  async #take(entries: readonly JournalEntry[]): Promise<void> {
    for (const entry of entries) this.#applyNew(entry)
    await this.#options.index?.add(entries)
  }

  /** A page may begin before what is known, and a loading that failed half way begins anew. */
  #applyNew(entry: JournalEntry): void {
    if (entry.sequence > this.fold.sequence) this.fold.apply(entry)
  }

  /** One at a time: the fold and the next number belong together. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }
}

/** An entry is asked for when later ones are known: that there is no such object is a hole. */
function missing(error: unknown): never {
  if (!hasCode(error, 'ARCHIVE_OBJECT_MISSING')) throw error
  throw archiveError('ARCHIVE_JOURNAL_DAMAGED', 'an event is missing', {
    details: error.details,
    cause: error,
  })
}
