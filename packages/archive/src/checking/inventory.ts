// What an archive should hold, and by listing, what it does: the names and lengths of all objects cost one LIST for a thousand,
// so that an object that is gone or was cut is found without reading any.
import type { Archive } from '../archive.ts'
import type { BackupFile } from '../catalogue/backup-manifest.ts'
import type { BackupRef, Catalogue } from '../catalogue/catalogue.ts'
import { BACKUP_PREFIX, DELTA_PREFIX, FILE_PREFIX, SEGMENT_PREFIX } from '../layout.ts'
import { GZIP_BLOCK_BYTES } from '../objects/gzip-codec.ts'
import { ENVELOPE_BYTES } from '../objects/object-envelope.ts'
import { type ArchiveFinding, findingOf, type FindingSubject } from './finding.ts'

/** An object whose content can be read and checked. */
export interface InventoryItem {
  readonly name: string
  /** Of the content; of a pushed file, which nothing but itself describes, those stored. */
  readonly bytes: number
  readonly subject: FindingSubject
  /** Other backups that name the same object with the same content: what is wrong with it is wrong with them. */
  readonly sharedWith?: readonly FindingSubject[] | undefined
  /** Absent when the object is not there. */
  readonly storedBytes?: number | undefined
  /** The stored length alone says that it should be looked at. */
  readonly isSuspect: boolean
}

/** All objects with content, and what manifests were amiss. */
export interface Inventory {
  readonly items: readonly InventoryItem[]
  readonly findings: readonly ArchiveFinding[]
}

/** Lists the archive and reads its manifests. */
export async function takeInventory(archive: Archive, catalogue: Catalogue): Promise<Inventory> {
  const stored = new Map<string, number>()
  for (const prefix of [SEGMENT_PREFIX, DELTA_PREFIX, BACKUP_PREFIX, FILE_PREFIX]) {
    for await (const { name, bytes } of archive.store.list(prefix)) stored.set(name, bytes)
  }
  const items: InventoryItem[] = []
  for (const segment of catalogue.segments) {
    const { name, bytes } = segment
    const storedBytes = stored.get(name)
    // A repaired one may have been made by another zlib: a different length is a reason to read, not yet a finding.
    const isSuspect = storedBytes !== segment.storedBytes
    items.push({ name, bytes, storedBytes, isSuspect, subject: { type: 'segment', segment } })
  }
  for (const delta of catalogue.deltas) {
    const { name, bytes } = delta
    const storedBytes = stored.get(name)
    const isSuspect = storedBytes !== delta.storedBytes
    items.push({ name, bytes, storedBytes, isSuspect, subject: { type: 'delta', delta } })
  }
  for (const piece of catalogue.pieces) {
    const { name, storedBytes } = piece
    const bytes = piece.endPosition - piece.position
    const isSuspect = !isPlausible(storedBytes, bytes)
    items.push({ name, bytes, storedBytes, isSuspect, subject: { type: 'piece', piece } })
  }
  const findings: ArchiveFinding[] = []
  const files: InventoryItem[] = []
  for (const backup of catalogue.backups) {
    const read = await filesOf(archive, backup)
    if ('code' in read) findings.push(read)
    else files.push(...read.map((file) => fileItem(backup, file, stored)))
  }
  items.push(...sharedOnce(files))
  for (const [name, storedBytes] of stored) {
    if (!name.startsWith(FILE_PREFIX)) continue
    const subject = { type: 'file', name } as const
    items.push({ name, bytes: storedBytes, storedBytes, isSuspect: storedBytes < ENVELOPE_BYTES, subject })
  }
  return { items, findings }
}

/** Whether the journal still names what was found missing: retention may have let it go since the catalogue was read. */
export async function isStillNamed(archive: Archive, subject: FindingSubject): Promise<boolean> {
  switch (subject.type) {
    case 'segment': {
      const { timeline, segmentNumber, name } = subject.segment
      return (await archive.journal.refresh()).segment(timeline, segmentNumber)?.name === name
    }
    case 'delta':
      return (await archive.journal.refresh()).delta(subject.delta.name) !== undefined
    case 'manifest':
    case 'backup-file': {
      const { label, manifestSha256 } = subject.backup
      return (await archive.journal.refresh()).backup(label)?.manifestSha256 === manifestSha256
    }
    case 'piece': {
      const { piece } = subject
      // Pieces before events, as in a catalogue.
      const listed = (await archive.listPieces(piece.timeline)).filter(({ name }) => name !== piece.name)
      const fold = await archive.journal.refresh()
      const counted = fold.catalogue(archive.identity, [...listed, piece]).pieces
      return counted.some(({ name }) => name === piece.name)
    }
    case 'file':
    case 'gap':
      return true
  }
}

async function filesOf(archive: Archive, backup: BackupRef): Promise<readonly BackupFile[] | ArchiveFinding> {
  const subject = { type: 'manifest', backup } as const
  try {
    return (await archive.backupManifest(backup.label)).files
  } catch (error) {
    if (!(await isStillNamed(archive, subject))) return []
    return findingOf(backup.name, error, subject)
  }
}

/** Objects that several backups name with the same content, once each: they need be read only once. */
function sharedOnce(files: readonly InventoryItem[]): readonly InventoryItem[] {
  const byObject = new Map<string, InventoryItem>()
  for (const item of files) {
    const { name, bytes, subject } = item
    const sha256 = subject.type === 'backup-file' ? subject.file.sha256 : ''
    const key = `${name} ${bytes} ${sha256}`
    const known = byObject.get(key)
    const sharedWith = [...(known?.sharedWith ?? []), subject]
    byObject.set(key, known === undefined ? item : { ...known, sharedWith })
  }
  return [...byObject.values()]
}

function fileItem(backup: BackupRef, file: BackupFile, stored: ReadonlyMap<string, number>): InventoryItem {
  const name = file.object ?? file.name
  const storedBytes = stored.get(name)
  const { bytes } = file
  const isSuspect = !isPlausible(storedBytes, bytes)
  return { name, bytes, storedBytes, isSuspect, subject: { type: 'backup-file', backup, file } }
}

/** gzip adds 18 bytes to a member and five to each of its blocks, encryption 16 to 64 KiB; more was not made by a codec. */
const HEADERS_BYTES_MAX = 16 * 1024

function isPlausible(storedBytes: number | undefined, bytes: number): boolean {
  if (storedBytes === undefined) return false
  const members = Math.ceil(bytes / GZIP_BLOCK_BYTES) + 1
  return storedBytes >= ENVELOPE_BYTES && storedBytes <= HEADERS_BYTES_MAX + bytes * 1.01 + members * 1024
}
