import type { Catalogue, DeclinedDelta, DeltaRef, SegmentRef } from '@timberline/archive'
import { describe, expect, it } from 'vitest'
import { planDeltas } from '../src/index.ts'

/** Segment n holds records 10 n - 9 to 10 n. */
function segment(segmentNumber: number, more: Partial<SegmentRef> = {}): SegmentRef {
  const lastLsn = segmentNumber * 10
  const run = { firstLsn: lastLsn - 9, lastLsn, lastCommittedAtUs: lastLsn }
  return { timeline: 1, segmentNumber, ...run, bytes: 1000, ...more } as SegmentRef
}

function catalogue(
  segments: readonly SegmentRef[],
  more: { deltas?: readonly Partial<DeltaRef>[]; declinedDeltas?: readonly Partial<DeclinedDelta>[] } = {},
): Catalogue {
  return { segments, deltas: [], declinedDeltas: [], ...more } as unknown as Catalogue
}

const numbers = (from: number, through: number): number[] =>
  Array.from({ length: through - from + 1 }, (_, index) => from + index)
const log = (from: number, through: number): SegmentRef[] => numbers(from, through).map((n) => segment(n))

function brief(segments: readonly SegmentRef[], more: Parameters<typeof catalogue>[1] = {}): string[] {
  return planDeltas(catalogue(segments, more), { blockSegments: 4 }).map(
    ({ timeline, level, firstSegmentNumber, lastSegmentNumber, firstLsn, lastLsn }) =>
      `${timeline}/${level}: ${firstSegmentNumber}-${lastSegmentNumber} lsn ${firstLsn}-${lastLsn}`,
  )
}

describe('the deltas to make', () => {
  it('are none of segments without records', () => {
    expect(brief(numbers(1, 4).map((n) => segment(n, { firstLsn: 11, lastLsn: 10 })))).toEqual([])
  })

  it('are of whole blocks, small ones before the larger ones made of them', () => {
    expect(brief(log(1, 3))).toEqual([])
    expect(brief(log(1, 9))).toEqual(['1/1: 1-4 lsn 1-40', '1/1: 5-8 lsn 41-80'])
    expect(brief(log(1, 16))).toEqual([
      '1/1: 1-4 lsn 1-40',
      '1/1: 5-8 lsn 41-80',
      '1/1: 9-12 lsn 81-120',
      '1/1: 13-16 lsn 121-160',
      '1/2: 1-16 lsn 1-160',
    ])
  })

  it('are not those that are there, or were declined', () => {
    const deltas = [{ timeline: 1, firstLsn: 1, lastLsn: 40 }]
    const declinedDeltas = [{ timeline: 1, firstLsn: 41, lastLsn: 80 }]
    expect(brief(log(1, 12), { deltas, declinedDeltas })).toEqual(['1/1: 9-12 lsn 81-120'])
    expect(brief(log(1, 8), { deltas: [{ timeline: 2, firstLsn: 1, lastLsn: 40 }] })).toHaveLength(2)
  })

  it('do not lead across a hole, nor begin where retention cut a block', () => {
    expect(brief(log(1, 8).filter((one) => one.segmentNumber !== 6))).toEqual(['1/1: 1-4 lsn 1-40'])
    expect(brief(log(2, 8))).toEqual(['1/1: 5-8 lsn 41-80'])
  })

  it('are of one timeline each', () => {
    const second = log(3, 8).map((one) => ({ ...one, timeline: 2 }))
    expect(brief([...log(1, 4), ...second])).toEqual(['1/1: 1-4 lsn 1-40', '2/1: 5-8 lsn 41-80'])
  })

  it('begin and end with segments that hold records', () => {
    const empty = [
      segment(1, { firstLsn: 1, lastLsn: 0 }),
      segment(2, { firstLsn: 1, lastLsn: 5 }),
      segment(3, { firstLsn: 6, lastLsn: 9 }),
      segment(4, { firstLsn: 10, lastLsn: 9 }),
    ]
    expect(brief(empty)).toEqual(['1/1: 2-3 lsn 1-9'])
    expect(brief(empty.with(2, segment(3, { firstLsn: 6, lastLsn: 5 })))).toEqual([])
  })

  it('open dozens of objects for a week of log, not thousands', () => {
    const segments = log(1, 10_080)
    const made = planDeltas(catalogue(segments))
    const top = made.filter(({ level }) => level === 3)
    expect(top).toHaveLength(2)
    const levels = [3, 2, 1].map(
      (level) => made.filter((one) => one.level === level).at(-1)?.lastSegmentNumber,
    )
    expect(levels).toEqual([8192, 9984, 10_080])
  })

  it('refuses blocks that are none', () => {
    for (const blockSegments of [0, 1, 1.5, 1001]) {
      expect(() => planDeltas(catalogue([]), { blockSegments })).toThrow(
        expect.objectContaining({ code: 'RECOVERY_OPTION_INVALID' }),
      )
    }
  })
})
