/**
 * Who wrote what since the oldest open transaction began. Optimistic concurrency, checked backward: a transaction may
 * commit if nothing that it read (keys and ranges, also those where it found nothing) was written by a commit after its
 * snapshot. Then all it read is still true at its place in the log, so the log is a serial order. Costs nothing while no
 * transaction is open.
 */
import type { PlacedCommit } from './commit-queue.ts'
import { keyText } from './read-set.ts'
import type { KeyText, ReadSet } from './read-set.ts'
import { decodeTransaction } from '../records/transaction-codec.ts'

/** A reader for whom writes are remembered. */
export interface WindowReader {
  /** Commits through this one are in what it reads. */
  readonly lsn: number
}

/** Beyond this many remembered writes the oldest are forgotten, and transactions older than those conflict. */
const WRITES_MAX = 1_000_000

/** Remembers the keys of recent commits, for as long as somebody may have read them before. */
export class ConflictWindow {
  readonly #readers = new Set<WindowReader>()
  /** Keys and LSNs side by side, in LSN order. */
  #keys: KeyText[] = []
  #lsns: number[] = []
  #newest = new Map<KeyText, number>()
  /** Writes at or before this LSN are forgotten. */
  #forgottenLsn = 0

  /** Begins to remember for a reader; `pending` are the commits beyond `appliedLsn`, which its snapshot may lack. */
  begin(reader: WindowReader, appliedLsn: number, pending: readonly PlacedCommit[]): void {
    if (this.#readers.size === 0) {
      this.#forgottenLsn = Math.min(reader.lsn, appliedLsn)
      for (const commit of pending) this.#remember(commit)
    }
    this.#readers.add(reader)
  }

  end(reader: WindowReader): void {
    this.#readers.delete(reader)
    if (this.#readers.size > 0) return
    this.#keys = []
    this.#lsns = []
    this.#newest = new Map()
  }

  /** A commit got its place in the log. */
  placed(commit: PlacedCommit): void {
    if (this.#readers.size > 0) this.#remember(commit)
  }

  /** So much was written at an LSN that it is not remembered by keys: whoever read before conflicts with it. */
  overwritten(lsn: number): void {
    this.#forgottenLsn = Math.max(this.#forgottenLsn, lsn)
  }

  /** Whether anything was written after an LSN. */
  wroteAfter(lsn: number): boolean {
    return (this.#lsns.at(-1) ?? 0) > lsn
  }

  /** The newest LSN that wrote this key within the window. */
  lastWrite(key: KeyText): number {
    return this.#newest.get(key) ?? 0
  }

  /** Whether a commit after the reader's snapshot wrote something that it read; if so, its LSN. */
  conflict(reader: WindowReader, reads: ReadSet): number | undefined {
    if (reads.isEmpty) return undefined
    if (reader.lsn < this.#forgottenLsn) return this.#forgottenLsn
    for (const key of reads.keys) {
      const lsn = this.lastWrite(key)
      if (lsn > reader.lsn) return lsn
    }
    if (!reads.hasRanges) return undefined
    for (let index = this.#firstAfter(reader.lsn); index < this.#keys.length; index += 1) {
      const key = this.#keys[index]
      if (key !== undefined && reads.includes(key)) return this.#lsns[index]
    }
    return undefined
  }

  #remember(commit: PlacedCommit): void {
    if (commit.kind !== 'entry' || commit.lsn <= this.#forgottenLsn) return
    for (const { key } of decodeTransaction(commit.payload).operations) {
      const text = keyText(key)
      this.#keys.push(text)
      this.#lsns.push(commit.lsn)
      this.#newest.set(text, commit.lsn)
    }
    if (this.#keys.length > WRITES_MAX) this.#forget()
  }

  /** What no reader needs goes; if that is too little, the older half. */
  #forget(): void {
    let oldest = Number.MAX_SAFE_INTEGER
    for (const { lsn } of this.#readers) oldest = Math.min(oldest, lsn)
    const unneeded = this.#firstAfter(oldest)
    const count = Math.max(unneeded, this.#keys.length >>> 1)
    this.#forgottenLsn = this.#lsns[count - 1] ?? this.#forgottenLsn
    // A commit is forgotten whole.
    const whole = this.#firstAfter(this.#forgottenLsn)
    this.#keys = this.#keys.slice(whole)
    this.#lsns = this.#lsns.slice(whole)
    this.#newest = new Map(this.#keys.map((key, index) => [key, this.#lsns[index] ?? 0]))
  }

  /** Index of the first write after an LSN; LSNs ascend. */
  #firstAfter(lsn: number): number {
    let low = 0
    let high = this.#lsns.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#lsns[middle] ?? 0) > lsn) high = middle
      else low = middle + 1
    }
    return low
  }
}
