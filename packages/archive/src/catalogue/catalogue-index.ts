// A cache of the journal in a local folder: may be deleted at any time and is then filled anew.
import { Level } from 'level'
import { journalName } from '../layout.ts'
import { decodeJournalEntry, encodeJournalEntry, type JournalEntry } from './catalogue-event.ts'
import type { ArchiveIdentity } from './catalogue.ts'

const OWNER_KEY = 'archive'

/** The entries of one archive's journal that were read before. */
export class CatalogueIndex {
  readonly #level: Level<string, Uint8Array>
  readonly #environmentId: string

  constructor(level: Level<string, Uint8Array>, environmentId: string) {
    this.#level = level
    this.#environmentId = environmentId
  }

  /** The entries kept, in order from the first, up to the first that is not whole. */
  async *entries(): AsyncGenerator<JournalEntry> {
    let sequence = 1
    // Journal names sort after OWNER_KEY and by number.
    for await (const [key, content] of this.#level.iterator({ gt: OWNER_KEY })) {
      if (key !== journalName(sequence)) return
      const entry = await this.#decode(content, sequence)
      if (entry === undefined) return
      yield entry
      sequence++
    }
  }

  /** Keeps entries that follow those kept. */
  async add(entries: readonly JournalEntry[]): Promise<void> {
    await this.#level.batch(
      entries.map((entry) => ({
        type: 'put' as const,
        key: journalName(entry.sequence),
        value: encodeJournalEntry(entry),
      })),
    )
  }

  async close(): Promise<void> {
    await this.#level.close()
  }

  /** A damaged entry of a cache is not an error: it is dropped with all after it, and fetched again. */
  async #decode(content: Uint8Array, sequence: number): Promise<JournalEntry | undefined> {
    try {
      return decodeJournalEntry(content, { sequence, environmentId: this.#environmentId })
    } catch {
      await this.#level.clear({ gte: journalName(sequence) })
      return undefined
    }
  }
}

/** Opens the index of an archive in a folder of its own; what another archive left there is dropped. */
export async function openCatalogueIndex(
  directory: string,
  identity: ArchiveIdentity,
): Promise<CatalogueIndex> {
  const level = new Level<string, Uint8Array>(directory, { keyEncoding: 'utf8', valueEncoding: 'view' })
  await level.open()
  const owner = Buffer.from(`${identity.environmentId} ${identity.createdAtUs}`)
  const found = await level.get(OWNER_KEY)
  if (found === undefined || !owner.equals(found)) {
    await level.clear()
    await level.put(OWNER_KEY, owner)
  }
  return new CatalogueIndex(level, identity.environmentId)
}
