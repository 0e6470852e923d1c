// Reads everything and compares it with what the catalogue says. A finding is about the archive; a store that does not
// answer is an error.
import { TimberlineError, verifySegment, type SegmentSummary } from '@timberline/wal'
import type { Archive } from './archive.ts'
import type { BackupRef, Catalogue, PieceRef, SegmentRef } from './catalogue/catalogue.ts'
import { CatalogueFold } from './catalogue/catalogue-fold.ts'
import { FILE_PREFIX, IDENTITY_NAME, JOURNAL_PREFIX, journalName } from './catalogue/layout.ts'
import { PageAudit } from './catalogue/page-audit.ts'
import { continuousPieces, streamSource } from './shipping/segment-content.ts'

/** What is wrong with an object, or missing. */
export interface ArchiveFinding {
  /** An error's code, `ARCHIVE_GAP` for log that is nowhere in the archive, `ARCHIVE_STRAY` for what nothing names. */
  readonly code: string
  /** The object, or the place of a gap. */
  readonly name: string
  readonly message: string
}

/** How to verify. */
export interface VerifyArchiveOptions {
  readonly signal?: AbortSignal | undefined
  /**
   * Also name objects that nothing refers to: what a crash, a shipper that lost the archive, or a backup under way left. They
   * harm nothing. Default false.
   */
  readonly strays?: boolean | undefined
}

/** Walks the whole archive: journal, segments with every frame, pieces, backups, pushed files. Nothing found = whole. */
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
  const known = new Set([IDENTITY_NAME, ...pages.names, ...catalogue.segments.map(({ name }) => name)])
  for (const { timeline } of catalogue.timelines) {
    yield* verifyTimeline(archive, { catalogue, timeline }, options.signal)
  }
  for (const piece of catalogue.pieces) known.add(piece.name)
  for (const backup of catalogue.backups) yield* verifyBackup(archive, backup, known)
  for await (const { name } of archive.store.list(FILE_PREFIX)) {
    known.add(name)
    yield* readThrough(name, archive.readObject(name))
  }
  if (options.strays === true) yield* straysOf(archive, known)
}

async function* verifyTimeline(
  archive: Archive,
  place: { readonly catalogue: Catalogue; readonly timeline: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<ArchiveFinding> {
  const segments = place.catalogue.segments.filter(({ timeline }) => timeline === place.timeline)
  const pieces = place.catalogue.pieces.filter(({ timeline }) => timeline === place.timeline)
  let before: SegmentRef | undefined
  for (const segment of segments) {
    signal?.throwIfAborted()
    if (before !== undefined && before.lastLsn + 1 !== segment.firstLsn)
      yield* gapBetween(before, segment, pieces)
    yield* verifyWhole(archive, segment, before)
    before = segment
  }
  for (const number of new Set(pieces.map((piece) => piece.segmentNumber))) {
    signal?.throwIfAborted()
    const chain = pieces.filter((piece) => piece.segmentNumber === number)
    const first = chain[0]
    const end = segments.filter((segment) => segment.segmentNumber < number).at(-1)
    if (first !== undefined && end !== undefined && end.lastLsn + 1 < first.firstLsn) {
      yield* gapBetween(end, first, pieces)
    }
    yield* verifyPieces(archive, chain)
  }
}

async function* verifyWhole(
  archive: Archive,
  segment: SegmentRef,
  before: SegmentRef | undefined,
): AsyncGenerator<ArchiveFinding> {
  const { name, bytes, timeline } = segment
  try {
    const content = archive.fetchSegment(segment)
    const { environmentId } = archive.identity
    const source = streamSource(content, { bytes, path: name })
    const summary = await verifySegment(source, { last: false, expect: { environmentId, timeline } })
    for await (const chunk of content) void chunk
    const problem = disagreement(segment, summary) ?? brokenLink(summary, before)
    if (problem !== undefined) yield { code: 'ARCHIVE_OBJECT_DAMAGED', name, message: problem }
  } catch (error) {
    yield findingOf(name, error)
  }
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

async function* verifyPieces(archive: Archive, chain: readonly PieceRef[]): AsyncGenerator<ArchiveFinding> {
  let isWhole = true
  for (const piece of chain) {
    for await (const finding of readThrough(piece.name, archive.fetchPiece(piece))) {
      isWhole = false
      yield finding
    }
  }
  const last = chain.at(-1)
  if (!isWhole || last === undefined) return
  try {
    continuousPieces(chain)
    const source = streamSource(archive.fetchPieces(chain), { bytes: last.endPosition, path: last.name })
    const summary = await verifySegment(source, { last: true })
    if (summary.lastLsn !== last.lastLsn) {
      yield {
        code: 'ARCHIVE_OBJECT_DAMAGED',
        name: last.name,
        message: 'the pieces hold other records than their names say',
      }
    }
  } catch (error) {
    yield findingOf(last.name, error)
  }
}

function* gapBetween(
  before: SegmentRef,
  after: SegmentRef | PieceRef,
  pieces: readonly PieceRef[],
): Generator<ArchiveFinding> {
  const between = pieces.filter((piece) => piece.firstLsn > before.lastLsn && piece.lastLsn < after.firstLsn)
  const fromLsn = Math.max(before.lastLsn, ...between.map((piece) => piece.lastLsn)) + 1
  if (fromLsn >= after.firstLsn) return
  const message = `no segment or piece holds lsn ${fromLsn} to ${after.firstLsn - 1} of timeline ${before.timeline}`
  yield { code: 'ARCHIVE_GAP', name: after.name, message }
}

async function* verifyBackup(
  archive: Archive,
  backup: BackupRef,
  known: Set<string>,
): AsyncGenerator<ArchiveFinding> {
  known.add(backup.name)
  try {
    const { files } = await archive.backupManifest(backup.label)
    for (const file of files) {
      const name = file.object ?? file.name
      known.add(name)
      yield* readThrough(name, archive.fetchBackupFile(file))
    }
  } catch (error) {
    yield findingOf(backup.name, error)
  }
}

async function* readThrough(name: string, content: AsyncIterable<Buffer>): AsyncGenerator<ArchiveFinding> {
  try {
    for await (const chunk of content) void chunk
  } catch (error) {
    yield findingOf(name, error)
  }
}

async function* straysOf(archive: Archive, known: ReadonlySet<string>): AsyncGenerator<ArchiveFinding> {
  for await (const { name } of archive.store.list('')) {
    if (known.has(name) || name.startsWith(JOURNAL_PREFIX)) continue
    yield { code: 'ARCHIVE_STRAY', name, message: 'nothing in the catalogue names this object' }
  }
}

/** Damage and absence are findings; a store that does not answer, and a bug, are not. */
function findingOf(name: string, error: unknown): ArchiveFinding {
  const isFinding =
    error instanceof TimberlineError && ['corruption', 'gap', 'invalid', 'conflict'].includes(error.kind)
  if (!isFinding) throw error
  return { code: error.code, name, message: error.message }
}
