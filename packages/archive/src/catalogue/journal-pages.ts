// FORMAT.md#pages. A page repeats what the journal says, so that an archive is opened with one request for many events. Model: a
// page may be missing, damaged, or of another copy of the archive. It is used only when it is whole and ends with the very
// entry that the journal has there; whatever no page tells is read from the journal.
import { TimberlineError } from '@timberline/wal'
import type { ArchiveStore } from '../stores/archive-store.ts'
import type { ObjectShelf } from '../objects/object-shelf.ts'
import { archiveError } from '../errors.ts'
import { decodeJournalEntry, type JournalEntry } from './catalogue-event.ts'
import { journalName, PAGE_PREFIX, pageName, parsePageName } from '../layout.ts'

/** Entries of a page that this release writes. */
export const PAGE_ENTRY_COUNT: number = 128
const PAGE_BYTES_MAX = 64 * 1024 * 1024
/** Pages and entries fetched at the same time. */
const FETCH_COUNT_MAX = 8
/** An entry is JSON printed with indentation: only its last brace begins a line. */
const ENTRY_END = Buffer.from('\n}\n')

/** Consecutive entries in one object, both ends included. */
export interface JournalPage {
  readonly fromSequence: number
  readonly throughSequence: number
  readonly name: string
}

/** What pages are made from and kept in. */
export interface JournalPagesOptions {
  readonly store: ArchiveStore
  readonly shelf: ObjectShelf
  readonly environmentId: string
}

/** The pages of one archive's journal. */
export class JournalPages {
  readonly #options: JournalPagesOptions
  /** The newest entries as their objects hold them: the next page is mostly made of these, without a request. */
  readonly #recent = new Map<number, Buffer>()
  #pagedThrough = 0

  constructor(options: JournalPagesOptions) {
    this.#options = options
  }

  /** All pages there are, ascending by their first entry. */
  async list(): Promise<readonly JournalPage[]> {
    const pages: JournalPage[] = []
    for await (const { name } of this.#options.store.list(PAGE_PREFIX)) {
      const page = parsePageName(name)
      if (page !== undefined) pages.push(page)
    }
    return pages
  }

  /** Entries after `sequence` by pages, in order; some may be left out between, for the journal to tell. */
  async *entriesAfter(sequence: number): AsyncGenerator<readonly JournalEntry[]> {
    const pages = await this.list()
    this.#pagedThrough = endOfChain(pages)
    const later = pages.filter(({ throughSequence }) => throughSequence > sequence)
    // A page and the entry that it ends with are two requests.
    const count = FETCH_COUNT_MAX / 2
    for (let at = 0; at < later.length; at += count) {
      const read = await Promise.all(later.slice(at, at + count).map((page) => this.#trusted(page)))
      for (const entries of read) if (entries.length > 0) yield entries
    }
  }

  /** The entries of a page. @throws ARCHIVE_OBJECT_DAMAGED, ARCHIVE_JOURNAL_DAMAGED, ARCHIVE_OBJECT_MISSING */
  async entries(page: JournalPage): Promise<readonly JournalEntry[]> {
    const { shelf, environmentId } = this.#options
    return decodeJournalPage(await shelf.get(page.name, PAGE_BYTES_MAX), { ...page, environmentId })
  }

  /** Keeps the bytes of an entry that was read or written, for the page that it will be in. */
  remember(sequence: number, content: Buffer): void {
    this.#recent.set(sequence, content)
    this.#recent.delete(sequence - PAGE_ENTRY_COUNT)
  }

  /**
   * Writes the next page once the journal has all of its entries. A page is a convenience and the event is durable by then:
   * whatever goes wrong is left to the next append, which tries again.
   */
  async extend(sequence: number): Promise<void> {
    const fromSequence = this.#pagedThrough + 1
    const throughSequence = this.#pagedThrough + PAGE_ENTRY_COUNT
    if (sequence < throughSequence) return
    try {
      await this.#write({ fromSequence, throughSequence, name: pageName(fromSequence, throughSequence) })
      this.#pagedThrough = throughSequence
    } catch {
      // Nothing to tell: a reader without the page reads the journal.
    }
  }

  async #write({ fromSequence, throughSequence, name }: JournalPage): Promise<void> {
    const { store, shelf } = this.#options
    if ((await store.status(name)) !== undefined) return
    const contents: Buffer[] = []
    for (let from = fromSequence; from <= throughSequence; from += FETCH_COUNT_MAX) {
      const count = Math.min(FETCH_COUNT_MAX, throughSequence - from + 1)
      const fetched = Array.from({ length: count }, (_, index) => this.#contentOf(from + index))
      contents.push(...(await Promise.all(fetched)))
    }
    // Not read back: a damaged page is passed over by readers and found by `verify`.
    await shelf.put(name, Buffer.concat(contents), { verify: false })
  }

  async #contentOf(sequence: number): Promise<Buffer> {
    return this.#recent.get(sequence) ?? (await this.#options.store.get(journalName(sequence)))
  }

  /** The entries of a page that may be used; none when it may not. */
  async #trusted(page: JournalPage): Promise<readonly JournalEntry[]> {
    const { store, environmentId } = this.#options
    const sequence = page.throughSequence
    try {
      const [entries, content] = await Promise.all([this.entries(page), store.get(journalName(sequence))])
      // Writers draw their ids at random: two histories that meet in one entry are one history up to it.
      const { writerId } = decodeJournalEntry(content, { sequence, environmentId })
      return entries.at(-1)?.writerId === writerId ? entries : []
    } catch (error) {
      if (error instanceof TimberlineError && error.kind !== 'unavailable') return []
      throw error
    }
  }
}

/** The entries of a page's content. @throws ARCHIVE_JOURNAL_DAMAGED when they are not exactly those that its name says */
export function decodeJournalPage(
  content: Buffer,
  { fromSequence, throughSequence, environmentId }: Omit<JournalPage, 'name'> & { environmentId: string },
): readonly JournalEntry[] {
  const entries: JournalEntry[] = []
  let position = 0
  for (let sequence = fromSequence; sequence <= throughSequence; sequence++) {
    const found = content.indexOf(ENTRY_END, position)
    const end = found < 0 ? content.length : found + ENTRY_END.length
    entries.push(decodeJournalEntry(content.subarray(position, end), { sequence, environmentId }))
    position = end
  }
  if (position === content.length) return entries
  throw archiveError('ARCHIVE_JOURNAL_DAMAGED', 'a page of the journal is longer than its name says', {
    details: { fromSequence, throughSequence },
  })
}

/** How far pages lead from the first entry on without leaving one out. */
function endOfChain(pages: readonly JournalPage[]): number {
  return pages.reduce(
    (end, page) => (page.fromSequence <= end + 1 ? Math.max(end, page.throughSequence) : end),
    0,
  )
}
