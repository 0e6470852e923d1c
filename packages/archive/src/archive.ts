import { invariant } from '@timberline/wal'
import * as v from 'valibot'
import type { ArchiveStore } from './stores/archive-store.ts'
import type { BackupFile, BackupManifest } from './catalogue/backup-manifest.ts'
import type {
  ArchiveIdentity,
  BackupRef,
  Catalogue,
  DeltaRef,
  PieceRef,
  SegmentRef,
  TimelineInfo,
} from './catalogue/catalogue.ts'
import type { CatalogueEvent } from './catalogue/catalogue-event.ts'
import { type CatalogueIndex, openCatalogueIndex } from './catalogue/catalogue-index.ts'
import { decodeCheckedJson, encodeCheckedJson } from './objects/checked-json.ts'
import { archiveError, hasCode } from './errors.ts'
import { checkedRecipients, Keyring } from './objects/keyring.ts'
import type { GzipCodec } from './objects/gzip-codec.ts'
import { Journal } from './catalogue/journal.ts'
import { IDENTITY_NAME } from './layout.ts'
import { PieceListing } from './catalogue/piece-listing.ts'
import { nativeGzip } from './objects/native-gzip.ts'
import type { ObjectSource } from './objects/object-codec.ts'
import {
  ObjectShelf,
  type PutObjectOptions,
  type PutObjectResult,
  type ReadObjectOptions,
} from './objects/object-shelf.ts'
import {
  addBackup,
  type BackupEntry,
  type Fork,
  forkEvent,
  readBackup,
  readBase,
} from './catalogue/archive-entries.ts'
import { continuousPieces, isWithin, rangeOf } from './shipping/segment-content.ts'
import { environmentIdSchema, timeSchema } from './catalogue/schemas.ts'

/** Choices for working with an archive; none of them changes what is stored where. */
export interface ArchiveOptions {
  /** gzip implementation; default the platform's, compressing in a worker thread. */
  readonly gzip?: GzipCodec | undefined
  /** Folder for a cache of the journal; it may be deleted at any time. Default: none, the journal is read at opening. */
  readonly indexDirectory?: string | undefined
  /** Clock for events, microseconds since the epoch. */
  readonly now?: (() => number) | undefined
  /** Identities of age (`AGE-SECRET-KEY-1…`) that open what is encrypted; also those from before a rotation. Default: none. */
  readonly identities?: readonly string[] | undefined
  /** Opens identities that the archive keeps under a passphrase. */
  readonly passphrase?: string | undefined
}

/** Makes a new archive for an environment, or opens the one that is there. @throws ARCHIVE_FOREIGN_ENVIRONMENT */
export async function createArchive(
  store: ArchiveStore,
  options: ArchiveOptions & { readonly environmentId: string },
): Promise<Archive> {
  const { environmentId, now = nowUs } = options
  if ((await store.status(IDENTITY_NAME)) === undefined) {
    try {
      await store.put(IDENTITY_NAME, encodeCheckedJson({ format: 1, environmentId, createdAtUs: now() }))
    } catch (error) {
      // Another process made it in the same moment.
      if (!hasCode(error, 'ARCHIVE_CONFLICT')) throw error
    }
  }
  return openArchive(store, options)
}

/** Opens an archive. @throws ARCHIVE_MISSING, ARCHIVE_FOREIGN_ENVIRONMENT, ARCHIVE_FORMAT */
export async function openArchive(
  store: ArchiveStore,
  options: ArchiveOptions & { readonly environmentId?: string | undefined } = {},
): Promise<Archive> {
  const identity = await readIdentity(store)
  const expected = options.environmentId ?? identity.environmentId
  if (identity.environmentId !== expected) {
    throw archiveError('ARCHIVE_FOREIGN_ENVIRONMENT', 'the archive belongs to another environment', {
      details: { url: store.url, environmentId: identity.environmentId, expectedEnvironmentId: expected },
    })
  }
  const { indexDirectory } = options
  const index = indexDirectory === undefined ? undefined : await openCatalogueIndex(indexDirectory, identity)
  return new Archive({ store, identity, index, options })
}

/** An environment's archive: its catalogue and its objects. */
export class Archive {
  readonly identity: ArchiveIdentity
  readonly store: ArchiveStore
  /** Shared by all who append through this object; shippers refer to it. */
  readonly journal: Journal
  readonly #keyring: Keyring
  readonly #shelf: ObjectShelf
  readonly #pieces: PieceListing
  readonly #index: CatalogueIndex | undefined

  /** Use `openArchive` or `createArchive`. */
  constructor(parts: {
    readonly store: ArchiveStore
    readonly identity: ArchiveIdentity
    readonly index: CatalogueIndex | undefined
    readonly options: ArchiveOptions
  }) {
    const { store, identity, index, options } = parts
    this.store = store
    this.identity = identity
    this.#index = index
    this.#pieces = new PieceListing(store)
    const { environmentId } = identity
    const { gzip = nativeGzip() } = options
    // Who may read an object is in the journal, so that its own pages are in the clear as it is.
    const journal = new Journal({
      store,
      shelf: new ObjectShelf(store, gzip),
      environmentId,
      now: options.now ?? nowUs,
      index,
    })
    this.journal = journal
    const book = {
      current: async () => (await journal.recent()).recipients,
      all: async () => (await journal.refresh()).recipientSets,
    }
    this.#keyring = new Keyring(store, book, options)
    this.#shelf = new ObjectShelf(store, gzip, this.#keyring)
  }

  /** What the archive holds now. */
  async catalogue(): Promise<Catalogue> {
    // Pieces before events: a piece that a segment replaced meanwhile is then told by the event, never by neither.
    const listed = await this.listPieces()
    const fold = await this.journal.refresh()
    return fold.catalogue(this.identity, listed)
  }

  /** Every piece, by name, whether it counts or not. */
  listPieces(timeline?: number): Promise<readonly PieceRef[]> {
    return this.#pieces.list(timeline)
  }

  /** Bundles that lack a piece which they held, as the last listing found them: FORMAT.md#bundles. */
  damagedBundles(): readonly string[] {
    return this.#pieces.damagedBundles()
  }

  /**
   * Appends an event to the journal, durably; resolves with its sequence number.
   *
   * @throws ARCHIVE_CONFLICT when it contradicts what the journal says, ARCHIVE_FENCED when its epoch has passed
   */
  appendEvent(event: CatalogueEvent): Promise<number> {
    return this.journal.append(() => event)
  }

  /**
   * Stores content under a name, compressed by default. Content whose length and checksum are not given is read twice.
   *
   * @throws ARCHIVE_CONFLICT, ARCHIVE_SOURCE_CHANGED, ARCHIVE_UPLOAD_DAMAGED
   */
  putObject(
    name: string,
    content: Uint8Array | ObjectSource,
    options?: PutObjectOptions,
  ): Promise<PutObjectResult> {
    return this.#shelf.put(name, content, options)
  }

  /** The bytes of the object that `putObject` would store for short content, to be appended to a bundle. */
  encodeObject(name: string, content: Uint8Array): Promise<Buffer> {
    return this.#shelf.encoded(name, content)
  }

  /** The whole content of an object, checked. @throws ARCHIVE_OBJECT_DAMAGED, ARCHIVE_OBJECT_TOO_LARGE */
  getObject(name: string, options?: { readonly bytesMax?: number }): Promise<Buffer> {
    return this.#shelf.get(name, options?.bytesMax)
  }

  /** The content of an object as a stream: trust nothing of it before it has ended without an error. */
  readObject(name: string, options?: ReadObjectOptions): AsyncIterable<Buffer> {
    return this.#shelf.read(name, {}, options)
  }

  /** The file of an archived segment, as a stream that ends in an error unless it is exactly what was archived. */
  fetchSegment(segment: SegmentRef): AsyncIterable<Buffer> {
    return this.#shelf.read(segment.name, { bytes: segment.bytes, sha256: segment.sha256 })
  }

  /** The content of a delta, as a stream that ends in an error unless it is exactly the one of the catalogue. */
  fetchDelta(delta: DeltaRef): AsyncIterable<Buffer> {
    return this.#shelf.read(delta.name, { bytes: delta.bytes, sha256: delta.sha256 })
  }

  /** The bytes of a piece where the listing found it, as a stream like that of `readObject`. */
  readPiece({ name, within }: Pick<PieceRef, 'name' | 'within'>): AsyncIterable<Buffer> {
    return this.#shelf.read(name, { within })
  }

  /**
   * The bytes of a piece. When the piece was replaced by its segment or by a longer piece after the catalogue was read, they
   * come from there.
   *
   * @throws ARCHIVE_OBJECT_MISSING
   */
  async *fetchPiece(piece: PieceRef): AsyncGenerator<Buffer> {
    const bytes = piece.endPosition - piece.position
    const { name, within } = piece
    if ((await this.store.status(within?.name ?? name)) !== undefined) {
      yield* this.#shelf.read(name, { bytes, within })
      return
    }
    // Pieces before events, as in `catalogue`.
    const listed = await this.listPieces(piece.timeline)
    const fold = await this.journal.refresh()
    const segment = fold.segment(piece.timeline, piece.segmentNumber)
    if (segment !== undefined) {
      yield* rangeOf(this.fetchSegment(segment), piece)
      return
    }
    const longer = fold.countedPieces(listed).find((one) => isWithin(piece, one))
    if (longer === undefined) {
      throw archiveError('ARCHIVE_OBJECT_MISSING', 'a piece is missing', { details: { name: piece.name } })
    }
    const content = this.#shelf.read(longer.name, {
      bytes: longer.endPosition - longer.position,
      within: longer.within,
    })
    yield* rangeOf(content, {
      position: piece.position - longer.position,
      endPosition: piece.endPosition - longer.position,
    })
  }

  /**
   * The beginning of a segment that is not archived as a whole: the bytes of its pieces, in order, from its header on.
   *
   * @throws ARCHIVE_OBJECT_MISSING when the pieces leave a hole
   */
  async *fetchPieces(pieces: readonly PieceRef[]): AsyncGenerator<Buffer> {
    for (const piece of continuousPieces(pieces)) yield* this.fetchPiece(piece)
  }

  /** Stores checked JSON that holds names of the user's, encrypted where the archive is. @throws ARCHIVE_CONFLICT */
  putBare(name: string, content: Buffer): Promise<void> {
    return this.#shelf.putBare(name, content)
  }

  /** What `putBare` stored. @throws ARCHIVE_OBJECT_MISSING, ARCHIVE_KEY_MISSING, ARCHIVE_KEY_WRONG */
  getBare(name: string): Promise<Buffer> {
    return this.#shelf.getBare(name)
  }

  /**
   * From now on every new object is encrypted to these recipients of age (`age1…`), 1 to 32; what is there stays as it is.
   * A running shipper follows with its next object, whoever else has the archive open within a minute.
   * An archive that is encrypted cannot be made a clear one again.
   *
   * @throws ARCHIVE_KEY_INVALID
   */
  async setRecipients(recipients: readonly string[]): Promise<void> {
    await this.appendEvent({ type: 'recipients.set', recipients: checkedRecipients(recipients) })
  }

  /** Keeps a new identity in the archive, under a passphrase; resolves with its recipient, for `setRecipients`. */
  addProtectedIdentity(passphrase: string): Promise<string> {
    return this.#keyring.addProtectedIdentity(passphrase)
  }

  /**
   * Enters a backup whose files are stored; it is one from the moment that this resolves, and nothing before.
   *
   * @throws ARCHIVE_RECIPIENTS_CHANGED, ARCHIVE_BACKUP_EXISTS, ARCHIVE_CONFLICT when what it refers to was let go
   */
  addBackup(manifest: BackupManifest, entry: BackupEntry = {}): Promise<void> {
    return addBackup(this, manifest, entry)
  }

  /** The manifest of a backup. @throws ARCHIVE_BACKUP_UNKNOWN, ARCHIVE_MANIFEST_DAMAGED */
  backupManifest(backup: string | BackupRef): Promise<BackupManifest> {
    return readBackup(this, typeof backup === 'string' ? backup : backup.label)
  }

  /**
   * The newest backup whose objects a new one may name as its own files, with the names of those that are there; `undefined` when
   * a new backup must be a full one.
   *
   * @throws ARCHIVE_MANIFEST_DAMAGED, ARCHIVE_KEY_MISSING
   */
  backupBase(): Promise<
    { readonly manifest: BackupManifest; readonly objects: ReadonlySet<string> } | undefined
  > {
    return readBase(this)
  }

  /** A file of a backup, as a stream that ends in an error unless it is exactly the file of the manifest. */
  async *fetchBackupFile(file: BackupFile): AsyncGenerator<Buffer> {
    if (file.object === undefined) {
      throw archiveError('ARCHIVE_MANIFEST_DAMAGED', 'a file of a backup names no object', {
        details: { name: file.name },
      })
    }
    yield* this.#shelf.read(file.object, { bytes: file.bytes, sha256: file.sha256 })
  }

  /**
   * Begins a timeline, once and for all: of two recoveries that ask for the same number, one fails.
   * Without a number the next free one is taken.
   *
   * @throws ARCHIVE_TIMELINE_TAKEN, ARCHIVE_TIMELINE_UNKNOWN when the parent is not known
   */
  async beginTimeline(fork: Fork): Promise<TimelineInfo> {
    let timeline = 0
    await this.journal.append((fold) => {
      const event = forkEvent(fold, fork)
      timeline = event.timeline
      return event
    })
    const info = this.journal.fold.timeline(timeline)
    invariant(info, 'a timeline that began is in the fold')
    return info
  }

  /** Closes the index; the archive itself holds nothing open. Safe to call twice. */
  async close(): Promise<void> {
    await this.#index?.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

const identitySchema = v.object({
  format: v.number(),
  environmentId: environmentIdSchema,
  createdAtUs: timeSchema,
})

async function readIdentity(store: ArchiveStore): Promise<ArchiveIdentity> {
  const details = { url: store.url }
  if ((await store.status(IDENTITY_NAME)) === undefined) {
    throw archiveError('ARCHIVE_MISSING', 'there is no archive here', { details })
  }
  const decoded = decodeCheckedJson(await store.get(IDENTITY_NAME))
  const parsed = decoded.type === 'whole' ? v.safeParse(identitySchema, decoded.value) : undefined
  if (parsed?.success !== true) {
    throw archiveError('ARCHIVE_OBJECT_DAMAGED', 'the identity of the archive is damaged', { details })
  }
  const { format, environmentId, createdAtUs } = parsed.output
  if (format === 1) return { format, environmentId, createdAtUs }
  throw archiveError('ARCHIVE_FORMAT', 'the archive was made by another release', {
    details: { ...details, format },
  })
}

function nowUs(): number {
  return Date.now() * 1000
}
