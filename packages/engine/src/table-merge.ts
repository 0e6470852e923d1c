/** What a set of tables says: of each key the newest entry, in order. */
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
 * Merges runs, for as many states as are asked for at once: reading and merging is most of the work.
 *
 * @throws ENGINE_TABLE_DAMAGED
 */
export async function mergeRuns(
  all: readonly TableRun[],
  listeners: readonly MergeListener[],
): Promise<void> {
  try {
    let runs: readonly TableRun[] = []
    for (const run of all) if (await run.load()) runs = [...runs, run]
    const newest = new NewestOnly(listeners)
    for (let run = mergeLoaded(runs, newest); run !== undefined; run = mergeLoaded(runs, newest)) {
      const empty = run
      if (!(await empty.load())) runs = runs.filter((other) => other !== empty)
    }
  } finally {
    for (const run of all) await run.close()
  }
}

/** Merges what is in memory, which is most of the work; the run that must load before it can go on. */
function mergeLoaded(runs: readonly TableRun[], newest: NewestOnly): TableRun | undefined {
  for (;;) {
    const [first, second] = firstTwo(runs)
    if (first === undefined) return undefined
    // Runs seldom take turns entry by entry: the others are looked at again only when the second one is met.
    do {
      newest.add(first)
      if (!first.next()) return first
    } while (second === undefined || compareRuns(first, second) < 0)
  }
}

function firstTwo(runs: readonly TableRun[]): [TableRun | undefined, TableRun | undefined] {
  let first: TableRun | undefined
  let second: TableRun | undefined
  for (const run of runs) {
    if (first === undefined || compareRuns(run, first) < 0) {
      second = first
      first = run
    } else if (second === undefined || compareRuns(run, second) < 0) second = run
  }
  return [first, second]
}

/** Older entries of a key come right behind its newest. */
class NewestOnly {
  readonly #listeners: readonly MergeListener[]
  /** How many of them were told of this key. They are in the order of their states, the newest first, and each takes an earlier entry. */
  #told = 0
  #key: Buffer = Buffer.allocUnsafe(256)
  #keyBytes = -1
  #prefix = -1

  constructor(listeners: readonly MergeListener[]) {
    this.#listeners = listeners.toSorted((a, b) => b.sequenceMax - a.sequenceMax)
  }

  add(entry: TableRun): void {
    if (!this.#isSameKey(entry)) {
      this.#remember(entry)
      this.#told = 0
    }
    for (; this.#told < this.#listeners.length; this.#told += 1) {
      const listener = this.#listeners[this.#told]
      if (listener === undefined || entry.sequence > listener.sequenceMax) return
      if (!entry.isDeletion) listener.onEntry(entry)
    }
  }

  #isSameKey({ key, keyBytes, prefix }: TableRun): boolean {
    if (prefix !== this.#prefix || keyBytes !== this.#keyBytes) return false
    for (let index = 0; index < keyBytes; index += 1) if (key[index] !== this.#key[index]) return false
    return true
  }

  #remember({ key, keyBytes, prefix }: TableRun): void {
    if (keyBytes > this.#key.length) this.#key = Buffer.allocUnsafe(keyBytes * 2)
    const own = this.#key
    for (let index = 0; index < keyBytes; index += 1) own[index] = key[index] as number
    this.#keyBytes = keyBytes
    this.#prefix = prefix
  }
}
