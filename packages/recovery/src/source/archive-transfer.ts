// Objects of an archive into local files. The archive checks each object against its own header; here the content is held
// against what the catalogue and the manifest say, so that a whole but wrong object is refused too.
import { join } from 'node:path'
import type {
  Archive,
  BackupFile,
  BackupManifest,
  BackupRef,
  DeltaRef,
  Envelope,
  PieceRef,
  SegmentRef,
} from '@timberline/archive'
import { parseSegmentName } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import type { LocalSegment } from './source.ts'
import {
  refuse,
  throwIfAborted,
  transferAll,
  type TransferOptions,
  type VerifiedContent,
  writeVerified,
  writtenBuffers,
} from '../transfer.ts'

/** Where to and how. */
export interface Transfer {
  readonly directory: string
  readonly options: TransferOptions
}

const tablesPrefix = 'checkpoint/tables/'
const logPrefix = 'log/'

/** Writes the tables of an archived backup into a folder. @throws RECOVERY_SOURCE_DAMAGED */
export async function restoreArchivedTables(
  archive: Archive,
  manifest: BackupManifest,
  { directory, options }: Transfer,
): Promise<void> {
  const tables = manifest.files.filter(({ name }) => name.startsWith(tablesPrefix))
  await transferAll(tables, async (file) => {
    const path = join(directory, file.name.slice(tablesPrefix.length))
    await writeVerified(path, contentOf(archive, file), options)
  })
}

/** A whole archived segment as a local file. @throws RECOVERY_LOG_DAMAGED */
export async function fetchSegment(
  archive: Archive,
  segment: SegmentRef,
  { directory, options }: Transfer,
): Promise<LocalSegment> {
  const { name, bytes, sha256 } = segment
  const path = join(directory, `segment-${segment.timeline}-${segment.segmentNumber}`)
  const expected = { name, bytes, sha256, code: 'RECOVERY_LOG_DAMAGED' as const }
  await writeVerified(path, { chunks: archive.fetchSegment(segment), expected }, options)
  return { path, last: false, isCopy: true }
}

/** A delta as a local file. @throws RECOVERY_DELTA_UNUSABLE */
export async function fetchDelta(
  archive: Archive,
  delta: DeltaRef,
  { path, options }: { readonly path: string; readonly options: TransferOptions },
): Promise<void> {
  const { name, bytes, sha256 } = delta
  const expected = { name, bytes, sha256, code: 'RECOVERY_DELTA_UNUSABLE' as const }
  await writeVerified(path, { chunks: archive.fetchDelta(delta), expected }, options)
}

/** The beginning of a segment, put together from its pieces. @throws RECOVERY_LOG_DAMAGED */
export async function fetchPieces(
  archive: Pick<Archive, 'fetchPiece'>,
  pieces: readonly PieceRef[],
  { directory, options }: Transfer,
): Promise<LocalSegment> {
  const [first] = pieces
  const path = join(directory, `pieces-${first?.timeline}-${first?.segmentNumber}`)
  const handle = await options.fileSystem.open(path, 'create')
  try {
    // Each has its place in the file, so that the order in which they come does not matter.
    await transferAll(pieces, async (piece) => {
      throwIfAborted(options.signal)
      let { position } = piece
      let writing: Promise<void> = Promise.resolve()
      try {
        for await (const chunk of archive.fetchPiece(piece)) {
          // Each is read while the one before is written.
          await writing
          writing = handle.write(chunk, position)
          // Met before the next; without this, a failure meanwhile would count as unhandled.
          writing.catch(() => undefined)
          position += chunk.length
          options.onBytes?.(chunk.length)
        }
      } finally {
        await writing
      }
      if (position !== piece.endPosition) refusePiece(piece, position)
    })
  } finally {
    await handle.close()
  }
  return { path, last: true, isCopy: true }
}

/** The log inside an archived backup, in order. @throws RECOVERY_SOURCE_DAMAGED */
export async function fetchBackupLog(
  archive: Archive,
  backup: BackupRef,
  { directory, options }: Transfer,
): Promise<readonly LocalSegment[]> {
  const manifest = await archive.backupManifest(backup.label)
  const files = manifest.files
    .filter(
      ({ name }) =>
        name.startsWith(logPrefix) && parseSegmentName(name.slice(logPrefix.length)) !== undefined,
    )
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const pathOf = (name: string): string =>
    join(directory, `backup-${backup.label}-${name.slice(logPrefix.length)}`)
  await transferAll(files, async (file) => {
    await writeVerified(pathOf(file.name), contentOf(archive, file), options)
  })
  return files.map(({ name }, index) => ({
    path: pathOf(name),
    last: index === files.length - 1,
    isCopy: true,
  }))
}

/** The archive hashes content against the object's header; that the header is of this file is held here, so one hash proves both. */
function contentOf(archive: Archive, file: BackupFile): VerifiedContent {
  const { name, bytes, sha256 } = file
  const expected = { name, bytes, sha256, code: 'RECOVERY_SOURCE_DAMAGED' as const }
  const onHeader = (header: Envelope): void => {
    if (header.sha256 !== sha256) refuse(expected, header.bytes)
  }
  const object = objectOf(file)
  const chunks = writtenBuffers.lentTo((memory) => archive.readObject(object, { onHeader, memory }))
  return { chunks, expected, isHashed: true }
}

function objectOf({ name, object }: BackupFile): string {
  if (object !== undefined) return object
  throw recoveryError('RECOVERY_SOURCE_DAMAGED', 'the manifest does not say which object holds a file', {
    details: { name },
  })
}

function refusePiece(piece: PieceRef, position: number): never {
  throw recoveryError('RECOVERY_LOG_DAMAGED', 'a piece has another length than its name says', {
    details: { name: piece.name, position, endPosition: piece.endPosition },
  })
}
