import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planCopy } from '../src/copy-plan.ts'
import type { PlannedSegment } from '../src/copy-plan.ts'

const environmentId = '0123456789abcdef0123456789abcdef'
const checkpoint = { environmentId, timeline: 1, lsn: 25, segmentNumber: 3 }

/** Segments of ten records each, the last one open. */
function segments(
  count: number,
  changes: Readonly<Record<number, Partial<PlannedSegment>>> = {},
): PlannedSegment[] {
  return Array.from({ length: count }, (_, index) => ({
    segmentNumber: index + 1,
    environmentId,
    timeline: 1,
    firstLsn: index * 10 + 1,
    lastLsn: index * 10 + 10,
    sealed: index < count - 1,
    ...changes[index + 1],
  }))
}

function reasonOf(listed: readonly PlannedSegment[], of = checkpoint): string {
  const plan = planCopy(of, listed)
  return plan.type === 'gap' ? plan.reason : plan.type
}

describe('planCopy', () => {
  it('takes the segments from the checkpoint on, in order', () => {
    const plan = planCopy(checkpoint, segments(5).toReversed())
    expect(plan).toMatchObject({ type: 'whole', endLsn: 50 })
    expect(plan.type === 'whole' && plan.segments.map((each) => each.segmentNumber)).toEqual([3, 4, 5])
  })

  it('takes an empty active segment behind the checkpoint', () => {
    const listed = segments(3, { 3: { lastLsn: 20 } })
    expect(planCopy({ ...checkpoint, lsn: 20 }, listed)).toMatchObject({ type: 'whole', endLsn: 20 })
  })

  it('catches logs that were copied before the data', () => {
    // The log was listed at LSN 20; the checkpoint copied after it has LSN 25 and begins in a segment made since.
    expect(reasonOf(segments(2))).toBe('no segment at or after the checkpoint')
    expect(reasonOf(segments(3, { 3: { lastLsn: 23 } }))).toBe('the log ends before the checkpoint')
  })

  it('names what is missing or foreign', () => {
    expect(reasonOf(segments(5).filter((each) => each.segmentNumber !== 3))).toBe(
      'the first segment after the checkpoint is missing',
    )
    expect(reasonOf(segments(5).filter((each) => each.segmentNumber !== 4))).toBe('a segment is missing')
    expect(reasonOf(segments(5, { 3: { firstLsn: 27 } }))).toBe('the log begins after the checkpoint')
    expect(reasonOf(segments(5, { 4: { firstLsn: 32 } }))).toBe('records are missing between two segments')
    expect(reasonOf(segments(5, { 4: { sealed: false } }))).toBe(
      'a segment that has a successor is not sealed',
    )
    expect(reasonOf(segments(5, { 4: { timeline: 2 } }))).toBe('a segment of another timeline')
    expect(reasonOf(segments(5, { 5: { environmentId: 'f'.repeat(32) } }))).toBe(
      'a segment of another environment',
    )
  })

  it('finds a whole plan only when every record from the checkpoint on is there', () => {
    const lengths = fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 8 })
    const check = fc.check(
      fc.property(
        lengths,
        fc.nat(),
        fc.nat(),
        fc.subarray([1, 2, 3, 4, 5, 6, 7, 8]),
        (counts, at, from, kept) => {
          let next = 1
          const all = counts.map((count, index): PlannedSegment => {
            const firstLsn = next
            next += count
            return {
              segmentNumber: index + 1,
              environmentId,
              timeline: 1,
              firstLsn,
              lastLsn: next - 1,
              sealed: true,
            }
          })
          const segmentNumber = 1 + (from % counts.length)
          const lsn = at % next
          const listed = all.filter((each) => kept.includes(each.segmentNumber))
          const plan = planCopy({ environmentId, timeline: 1, lsn, segmentNumber }, listed)
          const has = new Set(listed.flatMap((each) => range(each.firstLsn, each.lastLsn)))
          if (plan.type === 'gap') return true
          return range(lsn + 1, plan.endLsn).every((each) => has.has(each)) && plan.endLsn >= lsn
        },
      ),
      { numRuns: 2000 },
    )
    expect(check.failed, JSON.stringify(check.counterexample)).toBe(false)
  })
})

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index)
}
