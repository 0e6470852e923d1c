// Reads everything, or a sample of it, and compares it with what the catalogue says. A finding is about the archive; a store
// that does not answer is an error.
import { verifySegment, type SegmentSummary } from '@timberline/wal'
import type { Archive } from './archive.ts'
import type { Catalogue, PieceRef, SegmentRef } from './catalogue/catalogue.ts'
import { CatalogueFold } from './catalogue/catalogue-fold.ts'
import { IDENTITY_NAME, JOURNAL_PREFIX, journalName, KEY_PREFIX, parseBundleName } from './layout.ts'
import { PageAudit } from './catalogue/page-audit.ts'
import { type ArchiveFinding, findingOf, type FindingSubject } from './checking/finding.ts'
import { type InventoryItem, isStillNamed, takeInventory } from './checking/inventory.ts'
import { sampleOf, type VerifySample } from './checking/sample.ts'
import { continuousPieces, streamSource } from './shipping/segment-content.ts'

/** How far a verification is. Objects are segments, pieces, files of backups and pushed files. */
export interface VerifyProgress {
  readonly objectsKnown: number
  readonly objectsToRead: number
  readonly objectsRead: number
  /** Of content; of a pushed file, whose length is known once it is read, what is stored. */
  readonly bytesToRead: number
  readonly bytesRead: number
}

/** How to verify. */
export interface VerifyArchiveOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * Also name objects that nothing refers to: what a crash, a shipper that lost the archive, or a backup under way left. They
   * harm nothing. Default false.
   */
  readonly strays?: boolean | undefined
  /**
   * Read only these objects, and those whose stored length is not what it should be. The journal, manifests, the presence of
   * every object and the contiguity of the log are checked all the same. Default: everything is read.
   */
  readonly sample?: VerifySample | undefined
  /** Read only these of the objects. */
  readonly only?: ReadonlySet<string> | undefined
  /** Told after each chunk, and once at the end. */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined
}

/** Walks the whole archive: journal, segments with every frame, pieces, deltas, backups, pushed files. Nothing found = whole. */
export async function* verifyArchive(
  archive: Archive,
  options: VerifyArchiveOptions = {},
): AsyncGenerator<ArchiveFinding> {
  const listed = await archive.listPieces()
  const pages = await PageAudit.begin(archive.journal.pages)
  const fold = new CatalogueFold()
  try {
    for await (const entry of archive.journal.entries()) {
      fold.apply(entry)
      await pages.see(entry)
    }
  } catch (error) {
    // Without the journal nothing can be said of the rest.
    yield findingOf(journalName(fold.sequence + 1), error)
    return
  }
  const catalogue = fold.catalogue(archive.identity, listed)
  for (const { name, error } of pages.problems()) yield findingOf(name, error)
  for (const name of archive.damagedBundles()) {
    const { timeline = 0, segmentNumber = 0 } = parseBundleName(name) ?? {}
    if (fold.segment(timeline, segmentNumber) !== undefined) continue
    yield { code: 'ARCHIVE_OBJECT_DAMAGED', name, message: 'a piece in this bundle is not there any more' }
  }
  const { items, findings } = await takeInventory(archive, catalogue)
  yield* findings
  const walk = beginWalk({ archive, fold, items }, options)
  for (const { timeline } of catalogue.timelines) yield* verifyTimeline(walk, { catalogue, timeline })
  for (const item of items) {
    const { subject, name } = item
    if (subject.type === 'backup-file')
      yield* readItem(walk, item, () => archive.fetchBackupFile(subject.file))
    if (subject.type === 'delta') yield* readItem(walk, item, () => archive.fetchDelta(subject.delta))
    if (subject.type === 'file') yield* readItem(walk, item, () => archive.readObject(name))
  }
  walk.tell()
  if (options.strays !== true) return
  const names = [...catalogue.segments, ...catalogue.pieces, ...catalogue.backups, ...items].map(
    ({ name }) => name,
  )
  names.push(...catalogue.pieces.flatMap(({ within }) => within?.name ?? []))
  yield* straysOf(archive, new Set([IDENTITY_NAME, ...pages.names, ...names]))
}

/** What the steps of one verification share. */
interface Walk {
  readonly archive: Archive
  readonly fold: CatalogueFold
  readonly signal: AbortSignal | undefined
  readonly items: ReadonlyMap<string, InventoryItem>
  /** Names to read. */
  readonly chosen: ReadonlySet<string>
  readonly count: (bytes: number, objects: number) => void
  readonly tell: () => void
}

function beginWalk(
  { archive, fold, items }: Pick<Walk, 'archive' | 'fold'> & { readonly items: readonly InventoryItem[] },
  { sample, only, signal, onProgress }: VerifyArchiveOptions,
): Walk {
  const names = items.map(({ name }) => name)
  const taken = only ?? (sample === undefined ? undefined : sampleOf(names, sample))
  const toRead = items.filter(({ name, isSuspect }) => taken === undefined || isSuspect || taken.has(name))
  const progress = {
    objectsKnown: items.length,
    objectsToRead: toRead.length,
    objectsRead: 0,
    bytesToRead: toRead.reduce((sum, { bytes }) => sum + bytes, 0),
    bytesRead: 0,
  }
  const tell = (): void => onProgress?.({ ...progress })
  return {
    archive,
    fold,
    signal,
    items: new Map(items.map((item) => [item.name, item])),
    chosen: new Set(toRead.map(({ name }) => name)),
    tell,
    count: (bytes, objects) => {
      progress.bytesRead += bytes
      progress.objectsRead += objects
      tell()
    },
  }
}

async function* verifyTimeline(
  walk: Walk,
  place: { readonly catalogue: Catalogue; readonly timeline: number },
): AsyncGenerator<ArchiveFinding> {
  const segments = place.catalogue.segments.filter(({ timeline }) => timeline === place.timeline)
  const pieces = place.catalogue.pieces.filter(({ timeline }) => timeline === place.timeline)
  let before: SegmentRef | undefined
  for (const segment of segments) {
    if (before !== undefined && before.lastLsn + 1 !== segment.firstLsn)
      yield* gapBetween(walk, [before, segment], pieces)
    yield* verifyWhole(walk, segment, before)
    before = segment
  }
  for (const number of new Set(pieces.map((piece) => piece.segmentNumber))) {
    const chain = pieces.filter((piece) => piece.segmentNumber === number)
    const first = chain[0]
    const end = segments.filter((segment) => segment.segmentNumber < number).at(-1)
    if (first !== undefined && end !== undefined && end.lastLsn + 1 < first.firstLsn) {
      yield* gapBetween(walk, [end, first], pieces)
    }
    yield* verifyPieces(walk, chain)
  }
}

async function* verifyWhole(
  walk: Walk,
  segment: SegmentRef,
  before: SegmentRef | undefined,
): AsyncGenerator<ArchiveFinding> {
  const { archive } = walk
  const { name, bytes, timeline } = segment
  const item = walk.items.get(name)
  if (item === undefined) return
  const { environmentId } = archive.identity
  yield* checkItem(walk, item, async () => {
    const content = counted(walk, archive.fetchSegment(segment))
    const source = streamSource(content, { bytes, path: name })
    const summary = await verifySegment(source, { last: false, expect: { environmentId, timeline } })
    for await (const chunk of content) void chunk
    return disagreement(segment, summary) ?? brokenLink(summary, before)
  })
}

function disagreement(segment: SegmentRef, summary: SegmentSummary): string | undefined {
  const isSame =
    summary.header.segmentNumber === segment.segmentNumber &&
    summary.firstLsn === segment.firstLsn &&
    summary.lastLsn === segment.lastLsn &&
    summary.sealChecksum === segment.sealChecksum
  return isSame ? undefined : 'the segment is not the one that the catalogue describes'
}

function brokenLink({ header }: SegmentSummary, before: SegmentRef | undefined): string | undefined {
  if (before?.segmentNumber !== header.segmentNumber - 1) return undefined
  return header.previous?.sealChecksum === before.sealChecksum
    ? undefined
    : 'the segment does not continue the one before it'
}

async function* verifyPieces(walk: Walk, chain: readonly PieceRef[]): AsyncGenerator<ArchiveFinding> {
  const { archive, items, chosen } = walk
  let isWhole = true
  for (const piece of chain) {
    const item = items.get(piece.name)
    if (item === undefined) continue
    for await (const finding of readItem(walk, item, () => archive.fetchPiece(piece))) {
      isWhole = false
      yield finding
    }
  }
  const last = chain.at(-1)
  if (!isWhole || last === undefined) return
  const { timeline } = last
  try {
    continuousPieces(chain)
  } catch (error) {
    yield findingOf(last.name, error, { type: 'gap', timeline, lsn: behindHole(chain).firstLsn })
    return
  }
  // Frames can be checked from the header on only.
  if (!chain.every(({ name }) => chosen.has(name))) return
  const subject = { type: 'piece', piece: last } as const
  try {
    const source = streamSource(archive.fetchPieces(chain), { bytes: last.endPosition, path: last.name })
    const summary = await verifySegment(source, { last: true })
    if (summary.lastLsn !== last.lastLsn) {
      const message = 'the pieces hold other records than their names say'
      yield { code: 'ARCHIVE_OBJECT_DAMAGED', name: last.name, message, subject }
    }
  } catch (error) {
    yield findingOf(last.name, error, subject)
  }
}

/** The first piece that does not begin where the one before it ends. */
function behindHole(chain: readonly PieceRef[]): { readonly firstLsn: number } {
  let position = 0
  for (const piece of chain) {
    if (piece.position !== position) return piece
    position = piece.endPosition
  }
  return { firstLsn: 0 }
}

function* gapBetween(
  { fold }: Walk,
  [before, after]: readonly [SegmentRef, SegmentRef | PieceRef],
  pieces: readonly PieceRef[],
): Generator<ArchiveFinding> {
  const { timeline } = before
  const between = pieces.filter((piece) => piece.firstLsn > before.lastLsn && piece.lastLsn < after.firstLsn)
  const lsn = Math.max(before.lastLsn, ...between.map((piece) => piece.lastLsn)) + 1
  if (lsn >= after.firstLsn) return
  // Retention keeps the log that a kept backup needs, and none up to the next one.
  if (fold.retired.hasSegment(timeline, after.segmentNumber - 1)) return
  const message = `no segment or piece holds lsn ${lsn} to ${after.firstLsn - 1} of timeline ${timeline}`
  yield { code: 'ARCHIVE_GAP', name: after.name, message, subject: { type: 'gap', timeline, lsn } }
}

function readItem(
  walk: Walk,
  item: InventoryItem,
  read: () => AsyncIterable<Buffer>,
): AsyncGenerator<ArchiveFinding> {
  return checkItem(walk, item, async () => {
    for await (const chunk of counted(walk, read())) void chunk
    return undefined
  })
}

/** Runs the check of an object that was chosen; of the others only the presence is told. */
async function* checkItem(
  { archive, signal, chosen, count }: Walk,
  item: InventoryItem,
  check: () => Promise<string | undefined>,
): AsyncGenerator<ArchiveFinding> {
  const { name, storedBytes, subject } = item
  signal?.throwIfAborted()
  const isMissing = storedBytes === undefined
  if (!isMissing && !chosen.has(name)) return
  const found = isMissing
    ? { code: 'ARCHIVE_OBJECT_MISSING', name, message: 'there is no such object', subject }
    : await outcomeOf({ name, subject }, check)
  if (chosen.has(name)) count(0, 1)
  if (found === undefined) return
  for (const each of [subject, ...(item.sharedWith ?? [])]) {
    // Retention removes what it has let go in the journal before; a piece is looked for again where it is fetched.
    if (found.code === 'ARCHIVE_OBJECT_MISSING' && !(await isStillNamed(archive, each))) continue
    yield each === subject ? found : { ...found, message: `${found.message}${sharedBy(each)}`, subject: each }
  }
}

function sharedBy(subject: FindingSubject): string {
  return subject.type === 'backup-file' ? `; backup ${subject.backup.label} names it too` : ''
}

async function outcomeOf(
  { name, subject }: Pick<InventoryItem, 'name' | 'subject'>,
  check: () => Promise<string | undefined>,
): Promise<ArchiveFinding | undefined> {
  try {
    const message = await check()
    return message === undefined ? undefined : { code: 'ARCHIVE_OBJECT_DAMAGED', name, message, subject }
  } catch (error) {
    return findingOf(name, error, subject)
  }
}

async function* counted({ count }: Walk, content: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of content) {
    count(chunk.length, 0)
    yield chunk
  }
}

async function* straysOf(archive: Archive, known: ReadonlySet<string>): AsyncGenerator<ArchiveFinding> {
  for await (const { name } of archive.store.list('')) {
    if (known.has(name) || name.startsWith(JOURNAL_PREFIX) || name.startsWith(KEY_PREFIX)) continue
    yield { code: 'ARCHIVE_STRAY', name, message: 'nothing in the catalogue names this object' }
  }
}
