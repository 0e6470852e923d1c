// FORMAT.md#bundles. Where the objects of a store can grow, a short piece is appended to one: a write and a flush, instead of a new
// file with its name. A bundle holds the pieces of one slot of commit time, so that merging replaces all of it.
import type { Archive } from '../archive.ts'
import { bundleName } from '../layout.ts'
import { encodeEnd, encodePart } from '../objects/piece-parts.ts'
import type { GrowingObject } from '../stores/archive-store.ts'
import type { Tail } from './backlog.ts'
import { hold, type HeldPieces } from './held-pieces.ts'
import { mergeSlot } from './piece-levels.ts'

/** Longer pieces are compressed and go alone: whoever lists pieces reads all that is in bundles. */
const PIECE_BYTES_MAX = 256 * 1024
/** Behind this another bundle begins, so that one can be held in memory. */
const BUNDLE_BYTES_MAX = 8 * 1024 * 1024
/** So long after its last piece the file of a bundle is let go of: an archive at rest can be unmounted. */
const REST_MS = 1000

interface OpenBundle {
  readonly name: string
  readonly segmentNumber: number
  readonly slot: number
  readonly object: GrowingObject
  /** Whether it says of its last piece that it was flushed. */
  isSettled: boolean
  putAtMs: number
}

/** Whose bundles they are. */
interface Reign {
  readonly timeline: number
  readonly epoch: number
  /** A clock that does not go back; default the system's. */
  readonly nowMs?: () => number
}

/** The bundles of one reign, one at a time. */
export class BundleWriter {
  readonly #archive: Archive
  readonly #reign: Reign
  readonly #nowMs: () => number
  readonly #held: HeldPieces
  #open: OpenBundle | undefined
  /** Bundles in which nothing stands that counts, to be removed. */
  readonly #useless = new Set<string>()
  #count = 0

  constructor(archive: Archive, reign: Reign, held: HeldPieces) {
    this.#archive = archive
    this.#reign = reign
    this.#nowMs = reign.nowMs ?? ((): number => performance.now())
    this.#held = held
  }

  /** Whether a bundle under way goes on with this piece. */
  isOpenFor({ segmentNumber, lastCommittedAtUs }: Tail): boolean {
    const open = this.#open
    if (open === undefined || open.segmentNumber !== segmentNumber) return false
    return open.slot === mergeSlot(lastCommittedAtUs) && open.object.position < BUNDLE_BYTES_MAX
  }

  /** Puts a piece, durably, where it is short and the store can; resolves with the length of its object, else `undefined`. */
  async put(name: string, tail: Tail, content: Uint8Array): Promise<number | undefined> {
    if (content.length > PIECE_BYTES_MAX) return undefined
    const bundle = await this.#bundleFor(tail)
    if (bundle === undefined) return undefined
    hold(this.#held, tail.segmentNumber, { name, bundle: bundle.name })
    const stored = await this.#archive.encodeObject(name, content)
    await this.#append(bundle, encodePart(name, bundle.object.position, stored))
    bundle.isSettled = false
    bundle.putAtMs = this.#nowMs()
    return stored.length
  }

  /**
   * While nothing is put: says of the last piece that it was flushed, so that damage to it is not taken for a torn end. To be called again and
   * again; after a while it lets go of the file.
   */
  async settle(): Promise<void> {
    const bundle = this.#open
    if (bundle === undefined) return
    if (bundle.isSettled) {
      if (this.#nowMs() - bundle.putAtMs >= REST_MS) await this.close()
      return
    }
    await this.#append(bundle, encodeEnd(bundle.object.position))
    bundle.isSettled = true
  }

  /** Nothing more is put. */
  async end(): Promise<void> {
    await this.settle()
    await this.close()
  }

  async #append({ name, object }: OpenBundle, part: Buffer): Promise<void> {
    try {
      await object.append(part)
    } catch (error) {
      // Nothing may be appended behind what failed; the next piece begins another bundle.
      await this.close()
      // Nobody was told of anything in it.
      if (object.position === 0) this.#useless.add(name)
      throw error
    }
  }

  /** Ends the bundle under way, or the one of a segment that is archived whole. */
  async close(segmentNumber?: number): Promise<void> {
    const bundle = this.#open
    if (bundle === undefined || (segmentNumber ?? bundle.segmentNumber) !== bundle.segmentNumber) return
    this.#open = undefined
    await bundle.object.close()
  }

  async #bundleFor(tail: Tail): Promise<OpenBundle | undefined> {
    const { store } = this.#archive
    if (store.grow === undefined) return undefined
    if (this.isOpenFor(tail)) return this.#open
    await this.end()
    const { segmentNumber } = tail
    for (const name of this.#useless) {
      await store.delete(name)
      this.#useless.delete(name)
    }
    this.#count++
    const name = bundleName({ ...this.#reign, segmentNumber, number: this.#count })
    // By itself, so that it goes even if nothing whole ever stands in it.
    hold(this.#held, segmentNumber, { name })
    this.#useless.add(name)
    const object = await store.grow(name)
    this.#useless.delete(name)
    const slot = mergeSlot(tail.lastCommittedAtUs)
    this.#open = { name, segmentNumber, slot, object, isSettled: true, putAtMs: this.#nowMs() }
    return this.#open
  }
}
