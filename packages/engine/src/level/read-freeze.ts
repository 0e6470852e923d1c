/**
 * What readers see while something is put into the state that they must not see half: a snapshot of before. A snapshot that
 * a user takes meanwhile is another name for it.
 */
import { AbstractSnapshot } from 'abstract-level'
import type { AbstractLevel } from 'abstract-level'
import { classicPrototype, detach } from './native-level.ts'

/** abstract-level's declarations leave out what its classes are made with. */
const Snapshot = AbstractSnapshot as unknown as new (options: {
  readonly owner: AbstractLevel<unknown>
}) => AbstractSnapshot

/** Shows one state of a ClassicLevel to everybody who asks for the present one. */
export class SharedSnapshot extends Snapshot {
  readonly #of: AbstractSnapshot

  constructor(of: AbstractSnapshot, owner: AbstractLevel<unknown>) {
    super({ owner })
    of.ref()
    this.#of = of
    lend(of, this)
  }

  async _close(): Promise<void> {
    this.#of.unref()
  }
}

/** A snapshot of the present state; whoever takes it closes it, the database does not. */
export function frozenState(level: AbstractLevel<unknown>): AbstractSnapshot {
  const snapshot = classicPrototype._snapshot.call(level, { owner: level })
  detach(level, snapshot)
  return snapshot
}

/**
 * A snapshot as an iterator takes it that may live longer: LevelDB's iterator needs it only to be made, and abstract-level's would
 * ask at every step whether it is still open.
 */
export function forIterator(snapshot: AbstractSnapshot): AbstractSnapshot {
  const lent = { ref: () => undefined, unref: () => undefined, close: () => Promise.resolve() }
  lend(snapshot, lent)
  return lent as unknown as AbstractSnapshot
}

/** The binding finds its snapshot under a symbol of classic-level's own. */
function lend(snapshot: AbstractSnapshot, to: object): void {
  for (const symbol of Object.getOwnPropertySymbols(snapshot)) {
    Object.defineProperty(to, symbol, { value: Reflect.get(snapshot, symbol) })
  }
}

/** Keeps a snapshot open until the reading has ended. */
export async function readingFrom<Result>(
  snapshot: AbstractSnapshot,
  read: () => Promise<Result>,
): Promise<Result> {
  snapshot.ref()
  try {
    return await read()
  } finally {
    snapshot.unref()
  }
}
