/**
 * `clear` as physical deletions: a record that said "the first 100 keys from x on" would mean something else on every replay,
 * so the keys are looked up first and logged one by one.
 *
 * The place of a clear is where it was called: it sees every write before it, and none of the keys that are written after the
 * call, while it is still looking, is deleted by it. Up to 100,000 keys (or 4 MiB of them) are one transaction; a larger clear is
 * several, in key order, so that no record, no batch and no memory grows with the size of the range.
 */
import type { PlacedCommit } from './commit-queue.ts'
import type { ConflictWindow } from './conflict-window.ts'
import type { Encoded, NativeLevel, NativeRange } from '../level/native-level.ts'
import { keyText } from './read-set.ts'

const KEYS_MAX = 100_000
const KEY_BYTES_MAX = 4 * 1024 * 1024
const KEYS_AT_A_TIME = 2000

/** What a clear works on. */
export interface ClearTarget {
  readonly native: NativeLevel
  readonly window: ConflictWindow
  readonly appliedLsn: number
  readonly pending: readonly PlacedCommit[]
  /** Resolves once everything placed so far is readable. */
  settled(): Promise<void>
  /** Commits deletions of the keys as one transaction; the guard runs at the moment of the commit. */
  commitDeletions(keys: readonly Encoded[], guard: () => void): Promise<void>
}

/** Deletes the keys of a range. */
export async function clearRange(target: ClearTarget, range: NativeRange): Promise<void> {
  const { window, pending, appliedLsn } = target
  const reader = { lsn: pending.at(-1)?.lsn ?? appliedLsn }
  window.begin(reader, appliedLsn, pending)
  try {
    if (range.snapshot === undefined && pending.length > 0) await target.settled()
    await clearBelow(target, range, reader.lsn)
  } finally {
    window.end(reader)
  }
}

async function clearBelow(target: ClearTarget, range: NativeRange, lsn: number): Promise<void> {
  const iterator = target.native.keys(range)
  try {
    for (;;) {
      const keys = await nextKeys((count) => iterator.nextKeys(count))
      if (keys.length === 0) return
      await deleteUnwritten(target, keys, lsn)
    }
  } finally {
    await iterator.close()
  }
}

/** Deletes those of the keys that nobody has written since the clear was called. */
async function deleteUnwritten(target: ClearTarget, keys: readonly Encoded[], lsn: number): Promise<void> {
  let left = unwritten(target.window, keys, lsn)
  while (left.length > 0) {
    const taken = left
    const guard = (): void => {
      left = unwritten(target.window, taken, lsn)
      if (left.length < taken.length) throw new Overtaken()
    }
    try {
      await target.commitDeletions(taken, guard)
      return
    } catch (error) {
      if (!(error instanceof Overtaken)) throw error
    }
  }
}

/** Somebody wrote one of the keys between the look and the commit. */
class Overtaken extends Error {}

function unwritten(window: ConflictWindow, keys: readonly Encoded[], lsn: number): readonly Encoded[] {
  if (!window.wroteAfter(lsn)) return keys
  return keys.filter((key) => window.lastWrite(keyText(bytesOf(key))) <= lsn)
}

/** Keys for one transaction. */
async function nextKeys(read: (count: number) => Promise<readonly Encoded[]>): Promise<Encoded[]> {
  const keys: Encoded[] = []
  let bytes = 0
  while (keys.length < KEYS_MAX && bytes < KEY_BYTES_MAX) {
    const some = await read(Math.min(KEYS_AT_A_TIME, KEYS_MAX - keys.length))
    if (some.length === 0) break
    for (const key of some) {
      keys.push(key)
      bytes += key.length
    }
  }
  return keys
}

function bytesOf(key: Encoded): Uint8Array {
  return typeof key === 'string' ? Buffer.from(key) : key
}
