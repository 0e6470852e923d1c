// Every object name and its meaning: FORMAT.md#layout. Numbers have fixed widths, so that order by name is order by number.
import type { PieceRef } from './catalogue/catalogue.ts'
import type { JournalPage } from './catalogue/journal-pages.ts'

export const IDENTITY_NAME = 'archive.json'
export const JOURNAL_PREFIX = 'journal/'
export const PAGE_PREFIX = 'page/'
export const SEGMENT_PREFIX = 'segment/'
export const PIECE_PREFIX = 'piece/'
export const BACKUP_PREFIX = 'backup/'
export const DELTA_PREFIX = 'delta/'
export const FILE_PREFIX = 'file/'
export const KEY_PREFIX = 'identity/'

/** So that nobody is led to expect a page that no memory would hold. */
const PAGE_ENTRY_COUNT_MAX = 65_536
const WIDTHS = {
  sequence: 16,
  timeline: 8,
  segment: 10,
  position: 12,
  lsn: 16,
  epoch: 6,
  time: 16,
  bundle: 8,
} as const
const TAIL_LENGTH = 16

/** The object of the journal entry with this sequence number. */
export function journalName(sequence: number): string {
  return `${JOURNAL_PREFIX}${pad(sequence, WIDTHS.sequence)}.json`
}

/** The sequence number in the name of a journal entry; `undefined` for any other name. */
export function parseJournalName(name: string): number | undefined {
  const digits = /^journal\/(\d{16})\.json$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The object of a page of the journal, by its first and last entry. */
export function pageName(fromSequence: number, throughSequence: number): string {
  return `${PAGE_PREFIX}${pad(fromSequence, WIDTHS.sequence)}-${pad(throughSequence, WIDTHS.sequence)}`
}

/** The page of this name; `undefined` when the name is not a page's. */
export function parsePageName(name: string): JournalPage | undefined {
  const [fromSequence = 0, throughSequence = 0] =
    /^page\/(\d{16})-(\d{16})$/.exec(name)?.slice(1).map(Number) ?? []
  if (fromSequence < 1 || !Number.isSafeInteger(throughSequence)) return undefined
  const count = throughSequence - fromSequence + 1
  return count >= 1 && count <= PAGE_ENTRY_COUNT_MAX ? { fromSequence, throughSequence, name } : undefined
}

/**
 * Part of the content's checksum is in the name: a writer that lost its right cannot occupy another's name. In an encrypted
 * archive it is the epoch, because a shipper that begins anew cannot tell whether what stands there is its own content.
 */
export function segmentObjectName(segment: {
  readonly timeline: number
  readonly segmentNumber: number
  readonly sha256: string
  /** Given when the object is encrypted. */
  readonly epoch?: number | undefined
}): string {
  const { timeline, segmentNumber, sha256, epoch } = segment
  const tail = epoch === undefined ? sha256.slice(0, TAIL_LENGTH) : pad(epoch, TAIL_LENGTH)
  return `${segmentObjectPrefix(timeline, segmentNumber)}${tail}`
}

/** What the names of all segments of a timeline begin with. */
export function segmentTimelinePrefix(timeline: number): string {
  return `${SEGMENT_PREFIX}${pad(timeline, WIDTHS.timeline)}/`
}

/** What the names of all objects of one segment begin with, whatever their content. */
export function segmentObjectPrefix(timeline: number, segmentNumber: number): string {
  return `${segmentTimelinePrefix(timeline)}${pad(segmentNumber, WIDTHS.segment)}-`
}

/** The segment number in the name of a segment's object; `undefined` for any other name. */
export function parseSegmentObjectName(name: string): number | undefined {
  const digits = /^segment\/\d{8}\/(\d{10})-/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What the names of all pieces begin with, or of those of one timeline. */
export function piecePrefix(timeline?: number): string {
  return timeline === undefined ? PIECE_PREFIX : `${PIECE_PREFIX}${pad(timeline, WIDTHS.timeline)}/`
}

/** The name of a piece says all that the catalogue knows of it. */
export function pieceName(piece: Omit<PieceRef, 'name' | 'storedBytes'>): string {
  const fields = [
    pad(piece.segmentNumber, WIDTHS.segment),
    pad(piece.position, WIDTHS.position),
    pad(piece.endPosition, WIDTHS.position),
    pad(piece.epoch, WIDTHS.epoch),
    pad(piece.firstLsn, WIDTHS.lsn),
    pad(piece.lastLsn, WIDTHS.lsn),
    pad(piece.lastCommittedAtUs, WIDTHS.time),
  ]
  return `${piecePrefix(piece.timeline)}${fields.join('-')}`
}

const PIECE = /^piece\/(\d{8})\/(\d{10})-(\d{12})-(\d{12})-(\d{6})-(\d{16})-(\d{16})-(\d{16})$/

/** The piece of this name; `undefined` when the name is not a piece's. */
export function parsePieceName(object: {
  readonly name: string
  readonly bytes: number
}): PieceRef | undefined {
  const numbers = PIECE.exec(object.name)?.slice(1).map(Number)
  if (numbers?.every((value) => Number.isSafeInteger(value)) !== true) return undefined
  const [timeline, segmentNumber, position, endPosition, epoch, firstLsn, lastLsn, lastCommittedAtUs] =
    numbers
  if (timeline === undefined || segmentNumber === undefined || position === undefined) return undefined
  if (endPosition === undefined || epoch === undefined || firstLsn === undefined) return undefined
  if (lastLsn === undefined || lastCommittedAtUs === undefined) return undefined
  if (endPosition <= position || lastLsn < firstLsn - 1) return undefined
  const { name, bytes: storedBytes } = object
  const place = { timeline, segmentNumber, position, endPosition }
  return { ...place, firstLsn, lastLsn, lastCommittedAtUs, epoch, name, storedBytes }
}

/** An object that pieces of one segment are appended to. */
export interface BundlePlace {
  readonly timeline: number
  readonly segmentNumber: number
  /** Of the shipper that appends. */
  readonly epoch: number
  /** Counts the bundles of the epoch, from 1. */
  readonly number: number
}

/** The object of a bundle. */
export function bundleName({ timeline, segmentNumber, epoch, number }: BundlePlace): string {
  const fields = [pad(segmentNumber, WIDTHS.segment), pad(epoch, WIDTHS.epoch), pad(number, WIDTHS.bundle)]
  return `${piecePrefix(timeline)}${fields.join('-')}.bundle`
}

/** The bundle of this name; `undefined` when the name is not a bundle's. */
export function parseBundleName(name: string): BundlePlace | undefined {
  const [timeline, segmentNumber, epoch, number] =
    /^piece\/(\d{8})\/(\d{10})-(\d{6})-(\d{8})\.bundle$/.exec(name)?.slice(1).map(Number) ?? []
  if (timeline === undefined || segmentNumber === undefined) return undefined
  return epoch === undefined || number === undefined ? undefined : { timeline, segmentNumber, epoch, number }
}

/** The object of a delta; part of the checksum is in the name, as in that of a segment. */
export function deltaName(delta: {
  readonly timeline: number
  readonly firstLsn: number
  readonly lastLsn: number
  readonly sha256: string
}): string {
  const { timeline, firstLsn, lastLsn, sha256 } = delta
  const run = `${pad(firstLsn, WIDTHS.lsn)}-${pad(lastLsn, WIDTHS.lsn)}`
  return `${deltaPrefix(timeline)}${run}-${sha256.slice(0, 16)}`
}

/** What the names of all deltas of a timeline begin with. */
export function deltaPrefix(timeline: number): string {
  return `${DELTA_PREFIX}${pad(timeline, WIDTHS.timeline)}/`
}

/** The object of a backup's manifest. */
export function backupManifestName(label: string): string {
  return `${BACKUP_PREFIX}${label}/manifest.json`
}

/** The object of one file of a backup. */
export function backupFileName(label: string, file: string): string {
  return `${BACKUP_PREFIX}${label}/${file}`
}

/** The label of the backup that an object belongs to; `undefined` for any other object. */
export function parseBackupLabel(name: string): string | undefined {
  return name.startsWith(BACKUP_PREFIX) ? name.slice(BACKUP_PREFIX.length).split('/', 1)[0] : undefined
}

/** The object of an identity that a passphrase protects. */
export function protectedIdentityName(recipient: string): string {
  return `${KEY_PREFIX}${recipient}.age`
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
