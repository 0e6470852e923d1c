/**
 * LevelDB's MANIFEST: a log of version edits in 32 KiB blocks. It only grows while the database is open, so a parser goes
 * on where it ended. Everything up to the first byte that is not part of a whole, checksummed record is one version of the
 * database; what follows is a record being written, or damage, and is left alone.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/log_format.md
 */
import { engineError } from './errors.ts'
import { crc32c, maskCrc } from './leveldb-crc.ts'
import { applyEdit } from './leveldb-edit.ts'
import type { ManifestFold, ManifestTable } from './leveldb-edit.ts'

/** A version of the database: which tables, and which of LevelDB's own logs are not yet in them. */
export interface ManifestVersion {
  /** Length of the prefix of the MANIFEST that says so. */
  readonly endBytes: number
  /** LevelDB's own logs with a smaller number are wholly in the tables. */
  readonly logNumber: number
  /** Files made from here on have this number or a greater one. */
  readonly nextFile: number
  readonly lastSequence: number
  readonly tables: ReadonlyMap<number, ManifestTable>
}

const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
const FULL = 1
const FIRST = 2
// 3 is a fragment in the middle of a record
const LAST = 4

/** Parses one MANIFEST as it grows. */
export class ManifestParser {
  readonly #fold: ManifestFold = {
    logNumber: undefined,
    nextFile: undefined,
    lastSequence: undefined,
    tables: new Map(),
  }
  #endBytes = 0

  /** Length of the whole records so far. */
  get endBytes(): number {
    return this.#endBytes
  }

  /**
   * The newest version in `bytes`, which are the same MANIFEST as before, or more of it; `undefined` until the first
   * records of a fresh one are whole. The tables of an earlier result change with it: copy what must stay.
   *
   * @throws ENGINE_MANIFEST_DAMAGED when a whole record is no version edit
   */
  parse(bytes: Buffer): ManifestVersion | undefined {
    for (;;) {
      const record = nextRecord(bytes, this.#endBytes)
      if (record === undefined) break
      if (!applyEdit(this.#fold, record.edit)) {
        throw engineError('ENGINE_MANIFEST_DAMAGED', 'a record of the MANIFEST is no version edit', {
          details: { position: this.#endBytes },
        })
      }
      this.#endBytes = record.endBytes
    }
    const { logNumber, nextFile, lastSequence, tables } = this.#fold
    if (logNumber === undefined || nextFile === undefined || lastSequence === undefined) return undefined
    return { endBytes: this.#endBytes, logNumber, nextFile, lastSequence, tables }
  }
}

/**
 * The version that a whole MANIFEST describes.
 *
 * @throws ENGINE_MANIFEST_DAMAGED when there is none
 */
export function parseManifest(bytes: Buffer): ManifestVersion {
  const version = new ManifestParser().parse(bytes)
  if (version !== undefined) return version
  throw engineError('ENGINE_MANIFEST_DAMAGED', 'the MANIFEST holds no whole version', {
    details: { bytes: bytes.length },
  })
}

/** The record that begins at `position`, whose fragments may lie in several blocks. */
function nextRecord(bytes: Buffer, position: number): { edit: Buffer; endBytes: number } | undefined {
  const parts: Buffer[] = []
  let at = position
  for (;;) {
    const blockLeft = BLOCK_BYTES - (at % BLOCK_BYTES)
    // Too little left in a block for a header: LevelDB has padded it with zeros.
    if (blockLeft < HEADER_BYTES) at += blockLeft
    const fragment = fragmentAt(bytes, at)
    if (fragment === undefined) return undefined
    const opens = fragment.type === FULL || fragment.type === FIRST
    if (opens !== (parts.length === 0)) return undefined
    parts.push(fragment.data)
    at += HEADER_BYTES + fragment.data.length
    if (fragment.type === FULL || fragment.type === LAST) return { edit: join(parts), endBytes: at }
  }
}

function fragmentAt(bytes: Buffer, at: number): { type: number; data: Buffer } | undefined {
  if (at + HEADER_BYTES > bytes.length) return undefined
  const dataBytes = bytes.readUInt16LE(at + 4)
  const type = bytes.readUInt8(at + 6)
  const end = at + HEADER_BYTES + dataBytes
  if (type < FULL || type > LAST) return undefined
  if ((at % BLOCK_BYTES) + HEADER_BYTES + dataBytes > BLOCK_BYTES || end > bytes.length) return undefined
  // The checksum covers the type byte and the data.
  if (maskCrc(crc32c(bytes.subarray(at + 6, end))) !== bytes.readUInt32LE(at)) return undefined
  return { type, data: bytes.subarray(at + HEADER_BYTES, end) }
}

function join(parts: readonly Buffer[]): Buffer {
  const [first] = parts
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts)
}
