// Which way through the log is the shortest: plain, or over deltas. Pure.
// Model: positions are LSNs; from a state at `p - 1` one span leads to the state at its end, and so does every delta that begins at
// or before `p` and ends at or after it, since the last write of a key wins over whatever the key had before.
import type { DeltaRef } from '@timberline/archive'
import { invariant, type Lsn } from '@timberline/wal'
import type { PathSpan } from '../history/coverage.ts'

/** What there is to choose from. */
export interface LogChoice {
  /** Consecutive, without a hole. */
  readonly spans: readonly PathSpan[]
  /** Deltas of the same path. */
  readonly deltas: readonly DeltaRef[]
}

/** One part of the way: log to replay, or a delta to apply. */
export type Step =
  | { readonly type: 'log'; readonly spans: readonly PathSpan[]; readonly throughLsn: Lsn }
  | { readonly type: 'delta'; readonly delta: DeltaRef; readonly fromLsn: Lsn; readonly throughLsn: Lsn }

/** The part of the way that is wanted. */
export interface Way {
  readonly fromLsn: Lsn
  readonly throughLsn: Lsn
  /** No delta leads beyond this record. */
  readonly deltasThroughLsn: Lsn
}

/** Opening an object costs about as much as reading this many bytes more of it. */
const OBJECT_BYTES = 64 * 1024

/** The cheapest way from the state before `fromLsn` to the one at `throughLsn`; log where a delta saves nothing. */
export function stepsThrough({ spans, deltas }: LogChoice, way: Way): readonly Step[] {
  const { fromLsn, throughLsn } = way
  if (fromLsn > throughLsn) return []
  const usable = deltas
    .filter(({ lastLsn }) => lastLsn >= fromLsn && lastLsn <= Math.min(way.deltasThroughLsn, throughLsn))
    .toSorted((a, b) => a.firstLsn - b.firstLsn)
  const ends = [...spans, ...usable.map(({ lastLsn }) => ({ throughLsn: lastLsn }))]
    .map((part) => Math.min(part.throughLsn, throughLsn))
    .filter((end) => end >= fromLsn)
  const places = [...new Set([fromLsn - 1, ...ends])].toSorted((a, b) => a - b)
  const best = new Map<Lsn, Reached>([[fromLsn - 1, { cost: 0 }]])
  let open: DeltaRef[] = []
  let nextDelta = 0
  let nextSpan = 0
  for (const place of places) {
    const reached = best.get(place)
    if (reached === undefined || place >= throughLsn) continue
    for (let span = spans[nextSpan]; span !== undefined && span.throughLsn <= place; span = spans[nextSpan]) {
      nextSpan++
    }
    for (
      let delta = usable[nextDelta];
      delta !== undefined && delta.firstLsn <= place + 1;
      delta = usable[nextDelta]
    ) {
      open.push(delta)
      nextDelta++
    }
    open = open.filter(({ lastLsn }) => lastLsn > place)
    const span = spans[nextSpan]
    invariant(span !== undefined && span.fromLsn <= place + 1, 'the spans of a plan have no hole')
    const end = Math.min(span.throughLsn, throughLsn)
    const cut = { span: span.span, fromLsn: place + 1, throughLsn: end }
    offer(best, end, { cost: reached.cost + costOf(span.span.bytes), before: place, by: cut })
    for (const delta of open) {
      offer(best, delta.lastLsn, { cost: reached.cost + costOf(delta.bytes), before: place, by: delta })
    }
  }
  return traceBack(best, throughLsn)
}

/** How many bytes of objects a way reads. */
export function bytesOf(steps: readonly Step[]): number {
  return steps.reduce((sum, step) => {
    if (step.type === 'delta') return sum + step.delta.bytes
    return step.spans.reduce((bytes, { span }) => bytes + span.bytes, sum)
  }, 0)
}

/** How many records of log a way replays. */
export function recordsOf(steps: readonly Step[]): number {
  return steps.reduce((sum, step) => {
    if (step.type === 'delta') return sum
    return step.spans.reduce((records, { fromLsn, throughLsn }) => records + throughLsn - fromLsn + 1, sum)
  }, 0)
}

/** How many objects a way opens. */
export function objectsOf(steps: readonly Step[]): number {
  return steps.reduce((sum, step) => sum + (step.type === 'delta' ? 1 : step.spans.length), 0)
}

/** What a way costs, the opening of its objects included. */
export function costOfSteps(steps: readonly Step[]): number {
  return bytesOf(steps) + objectsOf(steps) * OBJECT_BYTES
}

/** What one object of this length costs. */
export function costOf(bytes: number): number {
  return bytes + OBJECT_BYTES
}

interface Reached {
  readonly cost: number
  readonly before?: Lsn
  readonly by?: PathSpan | DeltaRef
}

/** What comes later wins only if it is cheaper, so that the log does where nothing is saved. */
function offer(best: Map<Lsn, Reached>, lsn: Lsn, way: Reached): void {
  const known = best.get(lsn)
  if (known === undefined || way.cost < known.cost) best.set(lsn, way)
}

function traceBack(best: ReadonlyMap<Lsn, Reached>, throughLsn: Lsn): readonly Step[] {
  const steps: Step[] = []
  let log: PathSpan[] = []
  const endLog = (): void => {
    const last = log.at(-1)
    if (last !== undefined) steps.push({ type: 'log', spans: log, throughLsn: last.throughLsn })
    log = []
  }
  const parts: { readonly by: PathSpan | DeltaRef; readonly fromLsn: Lsn }[] = []
  for (
    let at = best.get(throughLsn);
    at?.by !== undefined && at.before !== undefined;
    at = best.get(at.before)
  ) {
    parts.push({ by: at.by, fromLsn: at.before + 1 })
  }
  for (const { by, fromLsn } of parts.toReversed()) {
    if ('span' in by) {
      log.push(by)
      continue
    }
    endLog()
    steps.push({ type: 'delta', delta: by, fromLsn, throughLsn: by.lastLsn })
  }
  endLog()
  return steps
}
