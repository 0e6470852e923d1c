/**
 * LevelDB's MANIFEST: a log of version edits. It only grows while the database is open, so a parser goes
 * on where it ended. Everything up to the first byte that is not part of a whole, checksummed record is one version of the
 * database; what follows is a record being written, or damage, and is left alone.
 */
import { engineError } from '../errors.ts'
import { applyEdit } from './leveldb-edit.ts'
import type { ManifestFold, ManifestTable } from './leveldb-edit.ts'
import { recordAt } from './leveldb-record.ts'
import type { LeveldbTail } from './leveldb-record.ts'

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

/** Parses one MANIFEST as it grows. */
export class ManifestParser {
  readonly #fold: ManifestFold = {
    logNumber: undefined,
    nextFile: undefined,
    lastSequence: undefined,
    tables: new Map(),
  }
  #endBytes = 0
  #tail: LeveldbTail = 'end'

  /** Length of the whole records so far. */
  get endBytes(): number {
    return this.#endBytes
  }

  /** What followed them at the last look. */
  get tail(): LeveldbTail {
    return this.#tail
  }

  /**
   * The newest version in `bytes`, which are the same MANIFEST as before, or more of it; `undefined` until the first
   * records of a fresh one are whole. The tables of an earlier result change with it: copy what must stay.
   *
   * @throws ENGINE_MANIFEST_DAMAGED when a whole record is no version edit
   */
  parse(bytes: Buffer): ManifestVersion | undefined {
    for (;;) {
      const record = recordAt(bytes, this.#endBytes)
      if (typeof record === 'string') {
        this.#tail = record
        break
      }
      if (!applyEdit(this.#fold, record.data)) {
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
