/**
 * The model: transaction n is a function of n, so the state after n is known. What a database must have after any fault is a
 * beginning of the history, at least through the last acknowledged transaction, and nothing that was refused with a known
 * outcome.
 */
import { TimberlineError } from '@timberline/wal'
import {
  difference,
  Model,
  POSITION_KEY,
  transaction,
  type Operation,
} from '../../../packages/hotbackup/test/history.ts'

const SHAPE = { keyCount: 24, valueBytes: 60 }

/** What callers were told, and what they asked for. */
export class Promises {
  attempted = 0
  acknowledged = 0
  /** The first transaction that was refused with a known outcome. */
  refusedFrom = Infinity

  copy(): Promises {
    return Object.assign(new Promises(), this)
  }

  /** The state is known to be at a transaction, whatever was unknown before. */
  settle(n: number): void {
    Object.assign(this, { attempted: n, acknowledged: n, refusedFrom: Infinity })
  }

  /** Runs one more transaction and keeps its outcome. */
  async next(commit: (operations: Operation[], n: number) => Promise<unknown>): Promise<void> {
    const n = this.attempted + 1
    this.attempted = n
    try {
      await commit(operationsOf(n), n)
      this.acknowledged = Math.max(this.acknowledged, n)
    } catch (error) {
      if (isRefusal(error)) this.refusedFrom = Math.min(this.refusedFrom, n)
      throw error
    }
  }

  /** Throws unless a state is one that the promises allow; returns the transaction that it stands at. */
  hold(state: ReadonlyMap<string, string>): number {
    const n = Number(state.get(POSITION_KEY) ?? '0')
    const { acknowledged, attempted, refusedFrom } = this
    if (n < acknowledged) throw new Error(`lost: the state is at ${n}, acknowledged was ${acknowledged}`)
    if (n > attempted) throw new Error(`invented: the state is at ${n}, attempted was ${attempted}`)
    if (n >= refusedFrom) throw new Error(`the state is at ${n}, which was refused from ${refusedFrom} on`)
    const wrong = difference(state, new Model(SHAPE).at(n))
    if (wrong !== undefined) throw new Error(`the state at ${n} is not that of the model: ${wrong}`)
    return n
  }
}

/** The changes of transaction n. */
export function operationsOf(n: number): Operation[] {
  return transaction(n, SHAPE)
}

function isRefusal(error: unknown): boolean {
  return error instanceof TimberlineError && error.details['outcome'] === 'rejected'
}
