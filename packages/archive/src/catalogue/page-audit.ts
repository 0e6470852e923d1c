// A page is believed by whoever opens the archive, so a verification holds each against the journal, entry by entry.
import { isDeepStrictEqual } from 'node:util'
import { archiveError } from '../errors.ts'
import type { JournalEntry } from './catalogue-event.ts'
import type { JournalPage, JournalPages } from './journal-pages.ts'

/** A page and what is wrong with it. */
export interface PageProblem {
  readonly name: string
  readonly error: unknown
}

interface Audited {
  readonly page: JournalPage
  /** From when the journal has come to its first entry. */
  entries: readonly JournalEntry[]
  isDone: boolean
}

/** Compares the pages of a journal with its entries while these are read in order. */
export class PageAudit {
  readonly #pages: JournalPages
  readonly #audited: Audited[]
  readonly #problems: PageProblem[] = []

  /** Use `begin`. */
  private constructor(pages: JournalPages, listed: readonly JournalPage[]) {
    this.#pages = pages
    this.#audited = listed.map((page) => ({ page, entries: [], isDone: false }))
  }

  /** Lists the pages; before the journal is read, so that each page's entries are there by then. */
  static async begin(pages: JournalPages): Promise<PageAudit> {
    return new PageAudit(pages, await pages.list())
  }

  /** The objects that were looked at. */
  get names(): readonly string[] {
    return this.#audited.map(({ page }) => page.name)
  }

  /** Compares the next entry of the journal. */
  async see(entry: JournalEntry): Promise<void> {
    for (const audited of this.#audited) {
      const { fromSequence, throughSequence } = audited.page
      if (fromSequence === entry.sequence) await this.#read(audited)
      if (audited.isDone || fromSequence > entry.sequence) continue
      const found = audited.entries[entry.sequence - fromSequence]
      if (!isDeepStrictEqual(found, entry)) this.#end(audited, disagreement(entry.sequence))
      else if (throughSequence === entry.sequence) this.#end(audited)
    }
  }

  /** What was found, once the journal has been read to its end. */
  problems(): readonly PageProblem[] {
    for (const audited of this.#audited) {
      if (!audited.isDone) this.#end(audited, disagreement(audited.page.throughSequence))
    }
    return this.#problems
  }

  async #read(audited: Audited): Promise<void> {
    try {
      audited.entries = await this.#pages.entries(audited.page)
    } catch (error) {
      this.#end(audited, error)
    }
  }

  #end(audited: Audited, error?: unknown): void {
    audited.isDone = true
    audited.entries = []
    if (error !== undefined) this.#problems.push({ name: audited.page.name, error })
  }
}

function disagreement(sequence: number): Error {
  return archiveError(
    'ARCHIVE_OBJECT_DAMAGED',
    'a page tells another event than the journal, and may be deleted',
    { details: { sequence } },
  )
}
