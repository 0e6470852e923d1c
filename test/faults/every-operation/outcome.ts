/** How a fault ends, and the count of the ends. */
import { TimberlineError } from '@timberline/wal'
import { SimulatedCrash } from '@timberline/wal/testing'

export type Outcome =
  /** The caller got an error with a code and a next step. */
  | 'typed'
  /** The machine stopped, and nobody took that for an answer of the disk. */
  | 'stopped'
  /** The operation was acknowledged all the same. */
  | 'survived'

/** The outcome of work by what it threw; `undefined` for an error that says nothing to its caller, which is a mistake. */
export function outcomeOf(error: unknown): Outcome | undefined {
  if (error === undefined) return 'survived'
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof SimulatedCrash) return 'stopped'
    if (inner instanceof TimberlineError) return hasCrash(inner) ? 'stopped' : 'typed'
    // abstract-level wraps what an open throws under codes of its own.
    if (!isLevelWrapper(inner)) return undefined
  }
  return undefined
}

function hasCrash(error: Error): boolean {
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof SimulatedCrash) return true
  }
  return false
}

function isLevelWrapper(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && error.code.startsWith('LEVEL_')
}

/** One row of the table. */
export class Row {
  readonly scenario: string
  operations = 0
  /** Faults that the operations of a clean run allow, at depth 1. */
  possible = 0
  /** Faults of each depth: in the operation, in its recovery, in the recovery of that. */
  readonly faults: [number, number, number] = [0, 0, 0]
  readonly outcomes: Record<Outcome, number> = { typed: 0, stopped: 0, survived: 0 }
  /** Places that were recovered, checked and held against the model. */
  states = 0
  /** Indexes at which, in that run, no operation came: work in the background moves a little. */
  missed = 0
  readonly codes = new Map<string, number>()

  constructor(scenario: string) {
    this.scenario = scenario
  }

  get faultCount(): number {
    return this.faults.reduce((sum, count) => sum + count, 0)
  }

  /** Counts one fault and its outcome. */
  note(depth: number, outcome: Outcome, error: unknown): void {
    this.faults[depth - 1] = (this.faults[depth - 1] ?? 0) + 1
    this.outcomes[outcome] += 1
    const code = outcome === 'typed' ? codeOf(error) : undefined
    if (code !== undefined) this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
  }
}

function codeOf(error: unknown): string | undefined {
  for (let inner: unknown = error; inner instanceof Error; inner = inner.cause) {
    if (inner instanceof TimberlineError) return inner.code
  }
  return undefined
}

/** The rows as text, with a line for their sum. */
export function formatRows(rows: readonly Row[]): string {
  const sum = new Row('all')
  for (const row of rows) {
    sum.operations += row.operations
    sum.possible += row.possible
    sum.states += row.states
    sum.missed += row.missed
    for (const [index, count] of row.faults.entries()) sum.faults[index] = (sum.faults[index] ?? 0) + count
    for (const key of ['typed', 'stopped', 'survived'] as const) sum.outcomes[key] += row.outcomes[key]
  }
  const head = [
    'scenario',
    'operations',
    'faults (depth 1+2+3)',
    'of possible at 1',
    'surfaced typed',
    'stopped',
    'survived',
    'states checked',
  ]
  const lines = [...rows, sum].map((row) => [
    row.scenario,
    String(row.operations),
    `${row.faultCount} (${row.faults.join('+')})`,
    String(row.possible),
    String(row.outcomes.typed),
    String(row.outcomes.stopped),
    String(row.outcomes.survived),
    String(row.states),
  ])
  const widths = head.map((_, column) =>
    Math.max(...[head, ...lines].map((line) => line[column]?.length ?? 0)),
  )
  return [head, ...lines]
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
