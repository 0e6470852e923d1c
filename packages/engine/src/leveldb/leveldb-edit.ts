import { LeveldbCursor } from './leveldb-cursor.ts'
import { encodeSlice, encodeVarint } from './leveldb-varint.ts'
import { isReservedKey } from '../reserved-keys.ts'

/** One live table. */
export interface ManifestTable {
  readonly number: number
  readonly level: number
  /** Exactly the length of the file. */
  readonly bytes: number
  /** The greatest key in the table, without LevelDB's 8-byte suffix. */
  readonly largestKey: Buffer
  /** Whether all its keys lie in the engine's own zone. */
  readonly isOwn: boolean
}

/** What the edits so far add up to; changed in place by `applyEdit`. */
export interface ManifestFold {
  logNumber: number | undefined
  nextFile: number | undefined
  lastSequence: number | undefined
  readonly tables: Map<number, ManifestTable>
}

const COMPARATOR = 1
const LOG_NUMBER = 2
const NEXT_FILE = 3
const LAST_SEQUENCE = 4
const COMPACT_POINTER = 5
const DELETED_TABLE = 6
const NEW_TABLE = 7
const PREVIOUS_LOG_NUMBER = 9

/** Levels of LevelDB; 0 is the one where tables may overlap. */
export const LEVEL_COUNT = 7
/** LevelDB appends sequence number and type to every key. */
const KEY_SUFFIX_BYTES = 8

/** One version edit, decoded. */
interface VersionEdit {
  logNumber: number | undefined
  nextFile: number | undefined
  lastSequence: number | undefined
  readonly deleted: number[]
  readonly added: ManifestTable[]
}

/** Applies an encoded version edit; false, with nothing changed, when the bytes are none. */
export function applyEdit(fold: ManifestFold, bytes: Buffer): boolean {
  const edit = decodeEdit(bytes)
  if (edit === undefined) return false
  // Deletions first: a table that moves to another level is deleted and added in one edit.
  for (const number of edit.deleted) fold.tables.delete(number)
  for (const table of edit.added) fold.tables.set(table.number, table)
  fold.logNumber = edit.logNumber ?? fold.logNumber
  fold.nextFile = edit.nextFile ?? fold.nextFile
  fold.lastSequence = edit.lastSequence ?? fold.lastSequence
  return true
}

/** A table that a version is to have besides what it has. */
export interface NewTable {
  readonly number: number
  readonly bytes: number
  /** First and last key, with LevelDB's suffix. */
  readonly smallest: Buffer
  readonly largest: Buffer
  /** Default 0, where tables may overlap. */
  readonly level?: number
}

/** The version edit that adds tables, and says what numbers are in use from then on. */
export function encodeNewTables(
  tables: readonly NewTable[],
  counters: { readonly nextFile: number; readonly lastSequence: number },
): Buffer {
  const numbers = [NEXT_FILE, counters.nextFile, LAST_SEQUENCE, counters.lastSequence]
  const added = tables.flatMap(({ level = 0, number, bytes, smallest, largest }) => [
    ...[NEW_TABLE, level, number, bytes].map(encodeVarint),
    encodeSlice(smallest),
    encodeSlice(largest),
  ])
  return Buffer.concat([...numbers.map(encodeVarint), ...added])
}

function decodeEdit(bytes: Buffer): VersionEdit | undefined {
  const cursor = new LeveldbCursor(bytes)
  const edit: VersionEdit = {
    logNumber: undefined,
    nextFile: undefined,
    lastSequence: undefined,
    deleted: [],
    added: [],
  }
  while (cursor.remainingBytes > 0) {
    if (!decodeField(cursor, edit)) return undefined
  }
  return edit
}

function decodeField(cursor: LeveldbCursor, edit: VersionEdit): boolean {
  const tag = cursor.varint() ?? 0
  switch (tag) {
    case COMPARATOR:
      return cursor.slice() !== undefined
    case LOG_NUMBER:
      return (edit.logNumber = cursor.varint()) !== undefined
    case NEXT_FILE:
      return (edit.nextFile = cursor.varint()) !== undefined
    case LAST_SEQUENCE:
      return (edit.lastSequence = cursor.varint()) !== undefined
    case PREVIOUS_LOG_NUMBER:
      return cursor.varint() !== undefined
    case COMPACT_POINTER:
      return decodeLevel(cursor) !== undefined && cursor.slice() !== undefined
    case DELETED_TABLE:
      return decodeDeleted(cursor, edit)
    case NEW_TABLE:
      return decodeAdded(cursor, edit)
    default:
      return false
  }
}

function decodeDeleted(cursor: LeveldbCursor, edit: VersionEdit): boolean {
  const level = decodeLevel(cursor)
  const number = cursor.varint()
  if (level === undefined || number === undefined) return false
  edit.deleted.push(number)
  return true
}

function decodeAdded(cursor: LeveldbCursor, edit: VersionEdit): boolean {
  const level = decodeLevel(cursor)
  const number = cursor.varint()
  const bytes = cursor.varint()
  const smallest = cursor.slice()
  const largest = cursor.slice()
  if (level === undefined || number === undefined || bytes === undefined) return false
  if (smallest === undefined || largest === undefined || largest.length < KEY_SUFFIX_BYTES) return false
  // Copied: a view would keep the whole MANIFEST in memory for one key.
  const largestKey = Buffer.from(largest.subarray(0, largest.length - KEY_SUFFIX_BYTES))
  edit.added.push({ number, level, bytes, largestKey, isOwn: isReservedKey(smallest) })
  return true
}

function decodeLevel(cursor: LeveldbCursor): number | undefined {
  const level = cursor.varint()
  return level !== undefined && level < LEVEL_COUNT ? level : undefined
}
