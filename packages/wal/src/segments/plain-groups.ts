/**
 * Passes groups without marks, checked as a reader checks them, and makes nothing of them: neither records nor an object for a frame. Whoever
 * proves a log of small commits passes tens of thousands, most of them before the compiler has come to this code; so it reads whole words, and
 * its functions are small.
 */
import { crc32 } from 'node:zlib'
import { FRAME_GROUP, FRAME_HEADER_BYTES, lastOfPlainGroup, RECORD_HEADER_BYTES } from '../records/frame.ts'
import { kindOf, type Lsn } from '../records/record.ts'
import type { SegmentTally } from './segment-tally.ts'
import { crcOfWords } from '../records/short-crc.ts'

/** Frames begin at multiples of eight bytes; a frame is laid out in words of four, the lowest byte first. */
const WORD_BYTES = 4
const HEADER_WORDS = FRAME_HEADER_BYTES / WORD_BYTES
const TWO_POW_32 = 0x1_0000_0000
/** From here on a call of zlib's is worth it. */
const LONG_WORDS = 64

const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

/** Which groups of a window to pass. */
export interface PlainRange {
  /** The place of the first frame. */
  readonly begin: number
  /** None is passed that begins here or behind. */
  readonly end: number
  /** None is passed behind the one that holds this record. */
  readonly throughLsn: Lsn
}

/**
 * Passes plain groups that lie wholly in a window; the tally counts them. Returns the place behind the last one: what stands there is for the
 * reader to judge.
 */
export function passPlainGroups(window: Buffer, range: PlainRange, tally: SegmentTally): number {
  /* v8 ignore if -- a machine whose highest byte comes first judges each frame as a reader does */
  if (!isLittleEndian) return range.begin
  return new PlainGroups(window, tally).pass(range) * WORD_BYTES
}

class PlainGroups {
  readonly #window: Buffer
  readonly #words: Int32Array
  readonly #tally: SegmentTally
  readonly #seed: number

  constructor(window: Buffer, tally: SegmentTally) {
    this.#window = window
    this.#words = new Int32Array(window.buffer, window.byteOffset, Math.floor(window.length / WORD_BYTES))
    this.#tally = tally
    this.#seed = tally.header.checksum
  }

  pass({ begin, end, throughLsn }: PlainRange): number {
    const tally = this.#tally
    const stop = end / WORD_BYTES
    let at = begin / WORD_BYTES
    while (at < stop && tally.nextLsn <= throughLsn) {
      const next = this.#endOf(at)
      if (next === 0 || !this.#isSound(at, next) || !this.#count(at)) break
      at = next
    }
    return at
  }

  /** Behind the frame; 0 when it is no group, or not all of it is here. */
  #endOf(at: number): number {
    const words = this.#words
    if (at + HEADER_WORDS > words.length || (words[at + 3] as number) >>> 16 !== FRAME_GROUP) return 0
    const payloadBytes = (words[at + 2] as number) >>> 0
    // Padded to the next eight bytes.
    const end = at + HEADER_WORDS + Math.ceil(payloadBytes / 8) * 2
    return end > words.length ? 0 : end
  }

  /** Whether both checksums hold. */
  #isSound(at: number, end: number): boolean {
    const words = this.#words
    const payload = at + HEADER_WORDS
    if (crcOfWords(words, at + 1, payload, this.#seed) !== words[at]) return false
    const sum =
      end - payload < LONG_WORDS
        ? crcOfWords(words, payload, end, this.#seed)
        : crc32(this.#window.subarray(payload * WORD_BYTES, end * WORD_BYTES), this.#seed) | 0
    return sum === words[at + 1]
  }

  /** Counts a group whose checksums hold; false, and nothing has happened, when it has a mark in it or contradicts what came before. */
  #count(at: number): boolean {
    const words = this.#words
    const tally = this.#tally
    const records = (words[at + 3] as number) & 0xffff
    const committedAtUs = this.#u64(at + 8)
    const durableLsn = this.#u64(at + 6)
    const isNext = this.#u64(at + 4) === tally.nextLsn && durableLsn < tally.nextLsn
    if (!isNext || committedAtUs <= tally.timeFloorUs || committedAtUs > Number.MAX_SAFE_INTEGER) return false
    const lastUs = this.#lastOf(at, records, committedAtUs)
    if (records === 0 || lastUs === undefined) return false
    tally.advance(records, committedAtUs, lastUs)
    tally.chain = crcOfWords(words, at, at + HEADER_WORDS, tally.chain) >>> 0
    tally.durableLsn = Math.max(tally.durableLsn, durableLsn)
    return true
  }

  /** Commit time of the last record; `undefined` as `lastOfPlainGroup` says. */
  #lastOf(at: number, records: number, committedAtUs: number): number | undefined {
    const words = this.#words
    const payloadBytes = (words[at + 2] as number) >>> 0
    const first = at + HEADER_WORDS
    if (records !== 1) {
      const bytes = this.#window
      return lastOfPlainGroup({ records, payloadBytes, committedAtUs }, { bytes, begin: first * WORD_BYTES })
    }
    const kind = kindOf(words[first + 1] as number)
    if (kind === undefined || kind === 'mark' || this.#u64(first + 2) !== committedAtUs) return undefined
    return ((words[first] as number) >>> 0) + RECORD_HEADER_BYTES === payloadBytes ? committedAtUs : undefined
  }

  #u64(at: number): number {
    const words = this.#words
    return ((words[at] as number) >>> 0) + ((words[at + 1] as number) >>> 0) * TWO_POW_32
  }
}
