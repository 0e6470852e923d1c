// Who may read what is stored, and what this process can read: FORMAT.md#encryption. Writing needs recipients alone, so that a
// host that ships its log holds nothing that opens it.
import type { ArchiveStore } from '../stores/archive-store.ts'
import { KEY_PREFIX, protectedIdentityName } from '../layout.ts'
import { archiveError } from '../errors.ts'
import {
  AGE_MAGIC,
  type AgeKeys,
  isRecipient,
  newIdentity,
  openAge,
  recipientOf,
  sealAge,
  sealAgeByPassphrase,
} from './age-file.ts'
import { parseIdentityFile } from './identity-file.ts'
import { isStoreError } from './object-codec.ts'
import { objectDamaged } from './object-envelope.ts'
import { following, takeHead } from './stream-head.ts'

/** What the journal says of recipients. */
export interface RecipientBook {
  /** Those of the last minute; none in a clear archive. */
  current(): Promise<readonly string[]>
  /** All sets that ever were, read anew. */
  all(): Promise<readonly (readonly string[])[]>
}

/** The most that one archive can be encrypted to: each costs about 100 bytes in each object. */
export const RECIPIENTS_COUNT_MAX = 32
/** A header ends within this, or is none: it is held in memory before anything is known of it. */
const AGE_HEADER_BYTES_MAX = 64 * 1024
const AGE_HEADER_END = /\n--- [^\n]*\n/
const PROTECTED_BYTES_MAX = 64 * 1024

/** Encrypts to the recipients of an archive, and opens what one of the given identities can. */
export class Keyring {
  readonly #store: ArchiveStore
  readonly #book: RecipientBook
  readonly #keys: AgeKeys
  #identities: Promise<readonly string[]> | undefined

  constructor(store: ArchiveStore, book: RecipientBook, keys: AgeKeys) {
    this.#store = store
    this.#book = book
    this.#keys = keys
  }

  /** Makes stored bytes of an object's bytes: encrypted in an encrypted archive, the same in a clear one. */
  async sealer(): Promise<((content: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>) | undefined> {
    const recipients = await this.#book.current()
    return recipients.length === 0 ? undefined : (content) => sealAge(content, recipients)
  }

  /**
   * An object's bytes from stored ones, encrypted or not.
   *
   * @throws ARCHIVE_KEY_MISSING, ARCHIVE_KEY_WRONG, ARCHIVE_OBJECT_DAMAGED
   */
  async *open(name: string, stored: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = stored[Symbol.asyncIterator]()
    try {
      const { head, taken } = await takeHead(iterator, AGE_MAGIC.length)
      if (!head.equals(AGE_MAGIC)) {
        // In one, as it came: whoever looks at the next head would have to put it together again.
        yield* following([taken], iterator)
        return
      }
      yield* await this.#decrypted(name, following([await throughHeader(name, taken, iterator)], iterator))
    } catch (error) {
      throw isStoreError(error) ? error : objectDamaged(name, 'it cannot be decrypted', error)
    } finally {
      await iterator.return?.()
    }
  }

  /**
   * Stores a new identity that the passphrase opens, and with it those that the present passphrase does, so that after a change
   * one passphrase opens all. Resolves with its recipient, which is none of the archive yet.
   */
  async addProtectedIdentity(passphrase: string): Promise<string> {
    const before = await this.#protectedIdentities()
    const identity = await newIdentity()
    const recipient = await recipientOf(identity)
    const text = `# public key: ${recipient}\n${[identity, ...before].join('\n')}\n`
    await this.#store.put(protectedIdentityName(recipient), await sealAgeByPassphrase(text, passphrase))
    return recipient
  }

  async #decrypted(name: string, file: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
    const identities = await this.#unlocked()
    if (identities.length === 0) {
      throw archiveError('ARCHIVE_KEY_MISSING', 'an object is encrypted, and no identity was given', {
        details: { name },
      })
    }
    const content = await openAge(file, { identities })
    if (content !== undefined) return content
    if (await this.#fitsAlways(identities))
      throw objectDamaged(name, 'its encryption header opens for nobody')
    throw archiveError('ARCHIVE_KEY_WRONG', 'no identity opens an object', {
      details: { name, identities: identities.length },
    })
  }

  /** Whether the identities open all that was ever written: what they do not open then is damaged, not somebody else's. */
  async #fitsAlways(identities: readonly string[]): Promise<boolean> {
    const own = new Set(await Promise.all(identities.map(recipientOf)))
    const sets = await this.#book.all()
    return sets.length > 0 && sets.every((set) => set.some((recipient) => own.has(recipient)))
  }

  #unlocked(): Promise<readonly string[]> {
    if (this.#identities !== undefined) return this.#identities
    const unlocking = this.#unlock()
    this.#identities = unlocking
    // What failed is tried again by the next reader.
    unlocking.catch(() => (this.#identities = undefined))
    return unlocking
  }

  async #unlock(): Promise<readonly string[]> {
    const { identities = [], passphrase } = this.#keys
    const found = await this.#protectedIdentities()
    if (passphrase === undefined || identities.length + found.length > 0) return [...identities, ...found]
    throw archiveError('ARCHIVE_KEY_MISSING', 'the archive keeps no identity under a passphrase', {
      details: { url: this.#store.url },
    })
  }

  /** Those that the passphrase opens, each once; none when there is no passphrase or nothing under one. */
  async #protectedIdentities(): Promise<readonly string[]> {
    const { passphrase } = this.#keys
    if (passphrase === undefined) return []
    const found = new Set<string>()
    let count = 0
    for await (const { name } of this.#store.list(KEY_PREFIX)) {
      count++
      const content = await openProtected(name, await this.#protectedBytes(name), passphrase)
      for (const identity of content === undefined ? [] : parseIdentityFile(content)) found.add(identity)
    }
    if (count === 0 || found.size > 0) return [...found]
    throw archiveError('ARCHIVE_KEY_WRONG', 'the passphrase opens no identity of the archive', {
      details: { url: this.#store.url },
    })
  }

  #protectedBytes(name: string): Promise<Buffer> {
    return this.#store.get(name, { bytesMax: PROTECTED_BYTES_MAX })
  }
}

/** Nobody's recipients and nobody's keys. */
export function clearKeyring(store: ArchiveStore): Keyring {
  const none = (): Promise<readonly never[]> => Promise.resolve([])
  return new Keyring(store, { current: none, all: none }, {})
}

/** Recipients, each once. @throws ARCHIVE_KEY_INVALID unless there are 1 to 32 and each is one */
export function checkedRecipients(recipients: readonly string[]): readonly string[] {
  const each = [...new Set(recipients)]
  const foreign = each.find((recipient) => !isRecipient(recipient))
  if (foreign !== undefined) {
    throw archiveError('ARCHIVE_KEY_INVALID', 'this is no recipient of age', {
      // A slip may hand over the secret half: never shown.
      details: { recipient: foreign.startsWith('age1') ? foreign : '(not shown)' },
    })
  }
  if (each.length >= 1 && each.length <= RECIPIENTS_COUNT_MAX) return each
  throw archiveError('ARCHIVE_KEY_INVALID', 'an archive is encrypted to 1 to 32 recipients', {
    details: { count: each.length },
  })
}

/** The text of a protected identity; `undefined` when the passphrase is another one. */
async function openProtected(name: string, file: Buffer, passphrase: string): Promise<string | undefined> {
  try {
    const content = await openAge(following([file], ended()), { passphrase })
    if (content === undefined) return undefined
    const chunks: Uint8Array[] = []
    for await (const chunk of content) chunks.push(chunk)
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    throw objectDamaged(name, 'it cannot be decrypted', error)
  }
}

/** The stream as far as the header of its age file ends, at least. @throws ARCHIVE_OBJECT_DAMAGED */
async function throughHeader(
  name: string,
  begun: Buffer,
  iterator: AsyncIterator<Uint8Array>,
): Promise<Buffer> {
  let taken = begun
  while (!AGE_HEADER_END.test(taken.toString('latin1', 0, AGE_HEADER_BYTES_MAX))) {
    const next = taken.length < AGE_HEADER_BYTES_MAX ? await iterator.next() : undefined
    if (next === undefined || next.done === true) {
      throw objectDamaged(name, 'its encryption header does not end')
    }
    taken = Buffer.concat([taken, next.value])
  }
  return taken
}

function ended(): AsyncIterator<Uint8Array> {
  return { next: () => Promise.resolve({ done: true, value: undefined }) }
}
