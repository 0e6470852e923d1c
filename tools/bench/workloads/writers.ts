/** What commits, in the ways that the workloads need: for a time, at a rate, beside something else, or each record once. */
import { performance } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import type { Writable } from '../peers.ts'
import { batchesOf, keyOf, valueOf } from '../records.ts'
import { quantile } from '../statistics.ts'

export interface CommitResult {
  readonly commitsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly longestMs: number
  /** Commits since the database was opened, warming included. */
  readonly total: number
}

/** The same writers without something and beside it. */
export interface Beside {
  readonly without: CommitResult
  readonly during: CommitResult
}

interface Writing {
  readonly writers: number
  readonly seconds: number
  /** Commits a second of all writers together; none: each writer begins when its last commit has ended. */
  readonly rate?: number
  readonly valueBytes?: number
}

export async function writeFor(
  db: Writable,
  { writers, seconds, rate = Infinity, valueBytes }: Writing,
): Promise<CommitResult> {
  const waits: number[] = []
  const begin = performance.now()
  const end = begin + seconds * 1000
  let next = 0
  const writer = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      const number = next++
      const dueMs = begin + (number * 1000) / rate
      if (dueMs > now) {
        await pause(dueMs - now)
        now = performance.now()
      }
      await db.put(keyOf(number), valueOf(number, valueBytes))
      const after = performance.now()
      waits.push(after - now)
      now = after
    }
  }
  await Promise.all(Array.from({ length: writers }, writer))
  return resultOf(waits, performance.now() - begin)
}

/** One writer for as long as something else takes. */
export async function writeUntil(db: Writable, other: Promise<void>): Promise<CommitResult> {
  const waits: number[] = []
  let isOver = false
  const over = other.finally(() => (isOver = true))
  const begin = performance.now()
  for (let number = 0, now = begin; !isOver; number++) {
    await db.put(keyOf(number), valueOf(number))
    waits.push(performance.now() - now)
    now = performance.now()
  }
  await over
  return resultOf(waits, performance.now() - begin)
}

/** Commits that come at a given rate, whether or not the ones before have ended. */
export async function writeAt(db: Writable, rate: number, seconds: number): Promise<CommitResult> {
  const waits: number[] = []
  const running = new Set<Promise<void>>()
  const begin = performance.now()
  let next = 0
  const commit = async (number: number): Promise<void> => {
    const before = performance.now()
    await db.put(keyOf(number), valueOf(number))
    waits.push(performance.now() - before)
  }
  for (let elapsedMs = 0; elapsedMs < seconds * 1000; elapsedMs = performance.now() - begin) {
    for (; next < (rate * elapsedMs) / 1000; next++) {
      const one = commit(next)
      running.add(one)
      void one.finally(() => running.delete(one))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(running)
  return resultOf(waits, performance.now() - begin)
}

export function resultOf(waits: readonly number[], elapsedMs: number): CommitResult {
  return {
    commitsPerSecond: waits.length / (elapsedMs / 1000),
    p50Ms: quantile(waits, 0.5),
    p99Ms: quantile(waits, 0.99),
    longestMs: quantile(waits, 1),
    total: waits.length,
  }
}

/** How `writeEach` writes. */
export interface EachOnce {
  /** Of the first record. */
  readonly from?: number
  readonly records: number
  readonly writers: number
  /** Records come round to the first key after so many; none: each has a key of its own. */
  readonly keys?: number
}

/** Transactions of one record each, by writers who take the next one when theirs has ended. */
export async function writeEach(
  db: Pick<Writable, 'put'>,
  { from = 0, records, writers, keys = Infinity }: EachOnce,
): Promise<void> {
  let next = from
  const writer = async (): Promise<void> => {
    for (let number = next++; number < from + records; number = next++)
      await db.put(keyOf(number % keys), valueOf(number))
  }
  await Promise.all(Array.from({ length: writers }, writer))
}

export async function fill(db: Writable, records: number): Promise<void> {
  for (const batch of batchesOf(records)) await db.batch(batch)
}
