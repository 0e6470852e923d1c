/** What a set of tables says: of each key the newest entry, in order. */
import { type Bytes, bytesOf } from '../byte-copy.ts'
import type { EntryPlace } from './digest-hash.ts'
import { compareRuns, type TableRun } from './table-run.ts'

/** Who is told of each key the newest entry of some state, unless that is a deletion. */
export interface MergeListener {
  /** Entries with a greater sequence number are later than that state. */
  readonly sequenceMax: number
  /** An entry is valid during the call only. */
  onEntry(entry: EntryPlace & { readonly prefix: number }): void
}

/**
 * Merges runs, for as many states as are asked for at once: reading and merging is most of the work. Every window of entries it asks whether to
 * go on.
 *
 * @throws ENGINE_TABLE_DAMAGED
 */
export async function mergeRuns(
  all: readonly TableRun[],
  listeners: readonly MergeListener[],
  pause: () => Promise<void> | undefined = () => undefined,
): Promise<void> {
  try {
    const isLoaded = await Promise.all(all.map((run) => run.load()))
    const runs = all.filter((_, index) => isLoaded[index]).toSorted(compareRuns)
    const newest = new NewestOnly(listeners)
    for (let run = mergeLoaded(runs, newest); run !== undefined; run = mergeLoaded(runs, newest)) {
      await pause()
      if (await run.load()) putBack(runs, run)
      else runs.shift()
    }
  } finally {
    for (const run of all) await run.close()
  }
}

/** Merges what is in memory, which is most of the work; the run that must load before it can go on, the first of them. */
function mergeLoaded(runs: TableRun[], newest: NewestOnly): TableRun | undefined {
  for (;;) {
    const [first, second] = runs
    if (first === undefined) return undefined
    // Runs seldom take turns entry by entry: the others are looked at again only when the second one is met.
    do {
      newest.add(first)
      if (!first.next()) return first
    } while (second === undefined || compareRuns(first, second) < 0)
    putBack(runs, first)
  }
}

/** Puts the first of the runs where it belongs now: the others are in order. */
function putBack(runs: TableRun[], first: TableRun): void {
  let at = 1
  for (let next = runs[at]; next !== undefined && compareRuns(next, first) < 0; next = runs[at]) {
    runs[at - 1] = next
    at += 1
  }
  runs[at - 1] = first
}

/** Older entries of a key come right behind its newest. */
class NewestOnly {
  readonly #listeners: readonly MergeListener[]
  /** How many of them were told of this key. They are in the order of their states, the newest first, and each takes an earlier entry. */
  #told = 0
  /** Stays where it is: the run that it comes from has moved on by one entry at most. */
  #key: Bytes = bytesOf(Buffer.alloc(0))
  #keyBytes = -1
  #prefix = -1

  constructor(listeners: readonly MergeListener[]) {
    this.#listeners = listeners.toSorted((a, b) => b.sequenceMax - a.sequenceMax)
  }

  add(entry: TableRun): void {
    if (!this.#isSameKey(entry)) this.#told = 0
    this.#key = entry.key
    this.#keyBytes = entry.keyBytes
    this.#prefix = entry.prefix
    const { sequence } = entry
    for (; this.#told < this.#listeners.length; this.#told += 1) {
      const listener = this.#listeners[this.#told]
      if (listener === undefined || sequence > listener.sequenceMax) return
      if (!entry.isDeletion) listener.onEntry(entry)
    }
  }

  #isSameKey({ key, keyBytes, prefix }: TableRun): boolean {
    if (prefix !== this.#prefix || keyBytes !== this.#keyBytes) return false
    const { bytes } = key
    const others = this.#key.bytes
    for (let index = 0; index < keyBytes; index += 1) if (bytes[index] !== others[index]) return false
    return true
  }
}
