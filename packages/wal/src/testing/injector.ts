import type { Operation, OperationKind } from './operation.ts'
import { seededRandom } from './random.ts'

/**
 * What happens to an operation instead of its normal course.
 *
 * - `EIO`, `ENOSPC`, `EMFILE`: it fails with this code and does nothing. On `sync` and `syncNow` it is the failed sync of Linux:
 *   over a `CrashFileSystem` the written bytes then count as clean, and no later sync makes them durable.
 * - `short`: a read gives the first half of the bytes it could give, at least one, and no error, as POSIX allows at any time (a
 *   signal, a network file system, a quota): who takes that for the end of the file reads wrong data. A write writes its first
 *   half and fails with ENOSPC: a write that is merely short cannot be seen through the port, whose `write` goes on until all is
 *   written or the system refuses. Anything else fails with ENOSPC at once.
 * - `EIO-after`: it does all its work and then fails with EIO: the outcome is unknown to the caller.
 * - `crash`, `crash-after`: the machine stops before or after the operation; that one and every later one fail with
 *   `SimulatedCrash`.
 */
export type Fault = 'EIO' | 'ENOSPC' | 'EMFILE' | 'short' | 'EIO-after' | 'crash' | 'crash-after'

/** Decides for each operation, in order, whether a fault strikes it; may keep state. */
export type Injector = (operation: Operation) => Fault | undefined

export interface FaultTimes {
  /** Default true: strikes one operation; false: that one and all later matching ones (a disk that stays broken). */
  readonly once?: boolean
}

/** Strikes the operation with this index (from 1); with `once: false` also all after it. */
export function failAt(index: number, fault: Fault, { once = true }: FaultTimes = {}): Injector {
  return (operation) => (operation.index === index || (!once && operation.index > index) ? fault : undefined)
}

/** Stops the machine before the operation with this index (from 1). */
export function crashAt(index: number): Injector {
  return failAt(index, 'crash')
}

export interface OperationMatch {
  /** Any of these kinds; default all. */
  readonly kind?: OperationKind | readonly OperationKind[]
  /** A part of the path, or a pattern it fits; default all. A rename or link matches by either path. */
  readonly path?: string | RegExp
}

export interface FailOnTimes extends FaultTimes {
  /** Matching operations that pass before the fault; default 0. */
  readonly after?: number
}

/** Strikes the first operation of a kind or on a path; with `once: false` also all later ones. */
export function failOn(
  match: OperationMatch,
  fault: Fault,
  { once = true, after = 0 }: FailOnTimes = {},
): Injector {
  let seen = 0
  return (operation) => {
    if (!matches(operation, match)) return undefined
    seen += 1
    return seen === after + 1 || (!once && seen > after) ? fault : undefined
  }
}

export interface RandomFaults {
  readonly seed: number
  /** Of a fault at each matching operation, 0 to 1. */
  readonly probability: number
  /** Drawn from evenly; default EIO. */
  readonly faults?: readonly Fault[]
  readonly match?: OperationMatch
}

/** Strikes operations at random, always the same ones for the same seed and history. */
export function failRandomly({ seed, probability, faults = ['EIO'], match = {} }: RandomFaults): Injector {
  const random = seededRandom(seed)
  return (operation) => {
    if (!matches(operation, match) || !random.chance(probability)) return undefined
    return faults[random.integer(faults.length)]
  }
}

/** Asks the injectors in order; the first fault counts, but every injector sees every operation. */
export function firstFault(...injectors: readonly Injector[]): Injector {
  return (operation) => injectors.map((injector) => injector(operation)).find((fault) => fault !== undefined)
}

function matches(operation: Operation, { kind, path }: OperationMatch): boolean {
  const kinds = typeof kind === 'string' ? [kind] : kind
  if (kinds !== undefined && !kinds.includes(operation.kind)) return false
  if (path === undefined) return true
  const paths = [operation.path, ...(operation.to === undefined ? [] : [operation.to])]
  return paths.some((one) => (typeof path === 'string' ? one.includes(path) : one.search(path) >= 0))
}
