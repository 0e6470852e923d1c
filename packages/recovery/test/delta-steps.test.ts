import type { DeltaRef } from '@timberline/archive'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PathSpan } from '../src/history/coverage.ts'
import { costOfSteps, type LogChoice, type Step, stepsThrough, type Way } from '../src/plan/delta-steps.ts'
import type { Span } from '../src/history/history.ts'

/** Ten records in each. */
const SPAN_LSNS = 10

function spansOf(count: number, bytes = 1_000_000): PathSpan[] {
  return Array.from({ length: count }, (_, index) => {
    const firstLsn = index * SPAN_LSNS + 1
    const lastLsn = firstLsn + SPAN_LSNS - 1
    const span = { timeline: 1, firstLsn, lastLsn, lastCommittedAtUs: lastLsn, bytes } as Span
    return { span, fromLsn: firstLsn, throughLsn: lastLsn }
  })
}

function delta(firstSpan: number, lastSpan: number, bytes: number): DeltaRef {
  return {
    timeline: 1,
    firstSegmentNumber: firstSpan + 1,
    lastSegmentNumber: lastSpan + 1,
    firstLsn: firstSpan * SPAN_LSNS + 1,
    lastLsn: (lastSpan + 1) * SPAN_LSNS,
    lastCommittedAtUs: 1,
    entries: 1,
    bytes,
    sha256: '',
    storedBytes: bytes,
    name: `delta-${firstSpan}-${lastSpan}`,
  }
}

function brief(steps: readonly Step[]): string {
  return steps
    .map((step) =>
      step.type === 'delta'
        ? `D${step.fromLsn}-${step.throughLsn}`
        : `L${step.spans[0]?.fromLsn}-${step.throughLsn}`,
    )
    .join(' ')
}

const through = (throughLsn: number, fromLsn = 1): Way => ({
  fromLsn,
  throughLsn,
  deltasThroughLsn: throughLsn - 1,
})

describe('the way through the log', () => {
  const spans = spansOf(10)

  it('takes a delta that ends before the target, from any state inside it', () => {
    const choice = { spans, deltas: [delta(0, 3, 1000)] }
    expect(brief(stepsThrough(choice, through(100)))).toBe('D1-40 L41-100')
    expect(brief(stepsThrough(choice, through(100, 23)))).toBe('D23-40 L41-100')
    expect(brief(stepsThrough(choice, through(100, 41)))).toBe('L41-100')
    expect(brief(stepsThrough(choice, through(41)))).toBe('D1-40 L41-41')
  })

  it('takes none that ends at the target or behind it', () => {
    const choice = { spans, deltas: [delta(0, 3, 1000)] }
    expect(brief(stepsThrough(choice, through(40)))).toBe('L1-40')
    expect(brief(stepsThrough(choice, through(35)))).toBe('L1-35')
  })

  it('takes none that begins behind the state', () => {
    const choice = { spans, deltas: [delta(2, 3, 1000)] }
    expect(brief(stepsThrough(choice, through(100)))).toBe('L1-20 D21-40 L41-100')
  })

  it('takes a large delta before small ones, and none that saves nothing', () => {
    const small = [delta(0, 1, 1000), delta(2, 3, 1000), delta(4, 5, 1000)]
    expect(brief(stepsThrough({ spans, deltas: small }, through(100)))).toBe('D1-20 D21-40 D41-60 L61-100')
    const large = [...small, delta(0, 3, 1500)]
    expect(brief(stepsThrough({ spans, deltas: large }, through(100)))).toBe('D1-40 D41-60 L61-100')
    const heavy = [delta(0, 3, 5_000_000)]
    expect(brief(stepsThrough({ spans, deltas: heavy }, through(100)))).toBe('L1-100')
  })

  it('counts the opening of an object: many small segments are worse than one delta of the same length', () => {
    const choice = { spans: spansOf(10, 1000), deltas: [delta(0, 3, 4000)] }
    expect(brief(stepsThrough(choice, through(100)))).toBe('D1-40 L41-100')
  })

  it('never has a hole, never passes the bound, and is as cheap as any', () => {
    const scene = fc.record({
      count: fc.integer({ min: 1, max: 7 }),
      deltas: fc.array(
        fc.record({ a: fc.nat(6), b: fc.nat(6), bytes: fc.integer({ min: 1, max: 3_000_000 }) }),
        { maxLength: 6 },
      ),
      from: fc.nat(80),
      end: fc.nat(80),
      bound: fc.nat(80),
    })
    fc.assert(
      fc.property(scene, ({ count, deltas, from, end, bound }) => {
        const last = count * SPAN_LSNS
        const way = { fromLsn: 1 + (from % last), throughLsn: 1 + (end % last), deltasThroughLsn: bound }
        const choice = {
          spans: spansOf(count),
          deltas: deltas.map(({ a, b, bytes }) => delta(Math.min(a, b), Math.max(a, b), bytes)),
        }
        const steps = stepsThrough(choice, way)
        let lsn = way.fromLsn
        for (const step of steps) {
          const parts = step.type === 'delta' ? [step] : step.spans
          for (const part of parts) {
            expect(part.fromLsn).toBe(lsn)
            lsn = part.throughLsn + 1
          }
          if (step.type === 'log') continue
          expect(step.throughLsn).toBeLessThanOrEqual(Math.min(bound, way.throughLsn))
          expect(step.delta.firstLsn).toBeLessThanOrEqual(step.fromLsn)
        }
        expect(lsn).toBe(Math.max(way.throughLsn + 1, way.fromLsn))
        expect(costOfSteps(steps)).toBe(cheapest(choice, way))
      }),
    )
  })
})

/** By trying everything. */
function cheapest({ spans, deltas }: LogChoice, way: Way, from = way.fromLsn): number {
  if (from > way.throughLsn) return 0
  const span = spans.find((part) => part.fromLsn <= from && from <= part.throughLsn)
  const over = deltas.filter(
    ({ firstLsn, lastLsn }) =>
      firstLsn <= from && from <= lastLsn && lastLsn <= Math.min(way.deltasThroughLsn, way.throughLsn),
  )
  const costs = [
    (span?.span.bytes ?? 0) + 65_536 + cheapest({ spans, deltas }, way, (span?.throughLsn ?? 0) + 1),
    ...over.map(({ bytes, lastLsn }) => bytes + 65_536 + cheapest({ spans, deltas }, way, lastLsn + 1)),
  ]
  return Math.min(...costs)
}
