// Which pieces there are: by the names of objects, and by what stands in bundles. What was seen of a bundle never changes, so that
// whoever looks again and again, as a standby does, reads only what was appended meanwhile.
import { hasCode } from '../errors.ts'
import { decodeParts } from '../objects/piece-parts.ts'
import type { ArchiveStore } from '../stores/archive-store.ts'
import type { PieceRef } from './catalogue.ts'
import { type BundlePlace, parseBundleName, parsePieceName, piecePrefix } from '../layout.ts'

/** Of a bundle at a time; a writer begins another one before it is that long. */
const READ_BYTES_MAX = 16 * 1024 * 1024
/** A bundle that is gone was replaced, and a new listing names by what. It may happen again, but not for ever. */
const TRIES_MAX = 100

interface SeenBundle {
  readonly pieces: readonly PieceRef[]
  readonly endPosition: number
  /** Whether a part that was flushed is none any more. */
  readonly isDamaged: boolean
}

/** The pieces of an archive, look by look. */
export class PieceListing {
  readonly #store: ArchiveStore
  readonly #seen = new Map<string, SeenBundle>()

  constructor(store: ArchiveStore) {
    this.#store = store
  }

  /** Every piece of a timeline, or of all, by name; each once. */
  async list(timeline?: number): Promise<readonly PieceRef[]> {
    for (let tries = 1; ; tries++) {
      const pieces = await this.#look(piecePrefix(timeline), tries === TRIES_MAX)
      if (pieces !== undefined) return pieces
    }
  }

  /** Bundles, as the last listing found them, in which a part that was flushed cannot be told from what is not there. */
  damagedBundles(): readonly string[] {
    return [...this.#seen].flatMap(([name, { isDamaged }]) => (isDamaged ? name : []))
  }

  async #look(prefix: string, isLast: boolean): Promise<readonly PieceRef[] | undefined> {
    const alone: PieceRef[] = []
    const bundles = new Map<string, BundlePlace>()
    for await (const object of this.#store.list(prefix)) {
      const piece = parsePieceName(object)
      const bundle = parseBundleName(object.name)
      if (piece !== undefined) alone.push(piece)
      if (bundle !== undefined) bundles.set(object.name, bundle)
    }
    for (const name of this.#seen.keys()) {
      if (name.startsWith(prefix) && !bundles.has(name)) this.#seen.delete(name)
    }
    if (bundles.size === 0) return alone
    const byName = new Map<string, PieceRef>()
    for (const [name, place] of bundles) {
      try {
        // A part whose flush failed stands again in a later bundle.
        for (const piece of await this.#read(name, place)) byName.set(piece.name, piece)
      } catch (error) {
        if (!hasCode(error, 'ARCHIVE_OBJECT_MISSING')) throw error
        if (!isLast) return undefined
      }
    }
    // An object of its own was put later, by a repair for one.
    for (const piece of alone) byName.set(piece.name, piece)
    return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  async #read(name: string, place: BundlePlace): Promise<readonly PieceRef[]> {
    let seen = this.#seen.get(name) ?? { pieces: [], endPosition: 0, isDamaged: false }
    for (;;) {
      const position = seen.endPosition
      const content = await this.#store.getRange(name, { position, bytes: READ_BYTES_MAX })
      const { parts, endPosition, isDamaged } = decodeParts(content, position)
      const found = parts.flatMap((part) => {
        const piece = parsePieceName(part)
        return piece !== undefined && isOf(piece, place) ? { ...piece, within: { ...part, name } } : []
      })
      // Never changed in place: two looks may be under way.
      if (endPosition > position) {
        const pieces = [...seen.pieces, ...found]
        seen = { pieces, endPosition, isDamaged: seen.isDamaged || isDamaged }
      }
      this.#seen.set(name, seen)
      if (endPosition === position || content.length < READ_BYTES_MAX) return seen.pieces
    }
  }
}

/** A bundle holds pieces of one segment, by one shipper. */
function isOf(piece: PieceRef, { timeline, segmentNumber, epoch }: BundlePlace): boolean {
  return piece.timeline === timeline && piece.segmentNumber === segmentNumber && piece.epoch === epoch
}
