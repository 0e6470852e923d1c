/**
 * LevelDB's own log, read without LevelDB: how far its whole records reach. Each record is one batch, headed by the number of
 * its first write and the count of them; the numbers only rise, from one log to the next too. The log is passed through in
 * bounded memory: nothing but the head of a record is kept.
 */
import { readFully } from '@timberline/wal'
import type { FileHandle } from '@timberline/wal'
import { BLOCK_BYTES, HEADER_BYTES, fragmentAt, isZero } from './leveldb-record.ts'
import type { LeveldbFragment, LeveldbTail } from './leveldb-record.ts'

/** What one of LevelDB's own logs holds. */
export interface LeveldbLog {
  /** Its length when it was read. */
  readonly bytes: number
  /** Length of the whole records. */
  readonly endBytes: number
  /** Batches. */
  readonly recordCount: number
  /** LevelDB's count of writes at the first one; `undefined` without a record. */
  readonly firstSequence: number | undefined
  /** That of the write after the last one. */
  readonly nextSequence: number
  /** What follows the whole records. */
  readonly tail: LeveldbTail
}

const CHUNK_BLOCKS = 32
/** Sequence in 8 bytes, count in 4. */
const HEAD_BYTES = 12

/** Reads a log through, up to the length that it has now. */
export async function scanLeveldbLog(handle: FileHandle): Promise<LeveldbLog> {
  const { bytes } = await handle.status()
  const scanner = new LeveldbLogScanner()
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BLOCKS * BLOCK_BYTES, bytes))
  for (let position = 0; position < bytes; position += chunk.length) {
    const wanted = chunk.subarray(0, Math.min(chunk.length, bytes - position))
    const got = await readFully(handle, wanted, position)
    for (let at = 0; at < got; at += BLOCK_BYTES)
      scanner.push(wanted.subarray(at, Math.min(at + BLOCK_BYTES, got)))
    if (got < wanted.length) break
  }
  return scanner.end()
}

/** Takes a log block by block. */
export class LeveldbLogScanner {
  #position = 0
  #endBytes = 0
  #recordCount = 0
  #firstSequence: number | undefined
  #nextSequence = 0
  /** Why nothing further is read; nothing but zeros may follow zeros. */
  #tail: LeveldbTail | undefined
  /** The head of the record under way. */
  #head: Buffer | undefined

  /** The next block; only the last one may be shorter than 32 KiB. */
  push(block: Buffer): void {
    if (this.#tail === 'end' && !isZero(block)) this.#tail = 'damaged'
    for (let at = 0; this.#tail === undefined && at < block.length;) {
      const fragment = fragmentAt(block, at)
      if (fragment === 'end') {
        if (block.length - at >= HEADER_BYTES || block.length < BLOCK_BYTES) this.#tail = 'end'
        break
      }
      if (typeof fragment === 'string') {
        this.#tail = fragment
      } else {
        at = fragment.endBytes
        if (!this.#take(fragment, this.#position + at)) this.#tail = 'damaged'
      }
    }
    this.#position += block.length
  }

  end(): LeveldbLog {
    const isCut = this.#head !== undefined && (this.#tail ?? 'end') === 'end'
    return {
      bytes: this.#position,
      endBytes: this.#endBytes,
      recordCount: this.#recordCount,
      firstSequence: this.#firstSequence,
      nextSequence: this.#nextSequence,
      tail: isCut ? 'torn' : (this.#tail ?? 'end'),
    }
  }

  /** False when the fragment does not belong here. */
  #take({ isFirst, isLast, data }: LeveldbFragment, endBytes: number): boolean {
    if (isFirst !== (this.#head === undefined)) return false
    const head = this.#head ?? Buffer.alloc(0)
    this.#head = Buffer.concat([head, data.subarray(0, HEAD_BYTES - head.length)])
    return !isLast || this.#endRecord(this.#head, endBytes)
  }

  #endRecord(head: Buffer, endBytes: number): boolean {
    if (head.length < HEAD_BYTES) return false
    const sequence = Number(head.readBigUInt64LE(0))
    const next = sequence + head.readUInt32LE(8)
    // A number may be left out, where LevelDB could not write; it never comes again.
    if (!Number.isSafeInteger(next) || sequence < this.#nextSequence) return false
    this.#firstSequence ??= sequence
    this.#nextSequence = next
    this.#recordCount += 1
    this.#endBytes = endBytes
    this.#head = undefined
    return true
  }
}
