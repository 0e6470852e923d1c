import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ledgerOf } from '../src/retention/ledger.ts'
import { restorability, restorabilityOf, withoutObjects } from '../src/plan/restorability.ts'
import { planHistory } from '../src/plan/plan.ts'
import { rooted } from '../src/history/history.ts'
import { backupOf, catalogueWith, pieceOf, segmentsOf, timelineOf } from './catalogue-fixtures.ts'
import { time, worlds } from './history-worlds.ts'

describe('the ledger tells', () => {
  test('nothing of an empty archive', () => {
    expect(restorability(catalogueWith({ timelines: [] }))).toEqual({ ranges: [], holes: [] })
  })

  test('from which state to which an archive recovers, with their times', () => {
    const catalogue = catalogueWith({ segments: segmentsOf(1, 1, 3), backups: [backupOf(10)] })
    expect(restorability(catalogue)).toEqual({
      ranges: [
        {
          timeline: 1,
          fromLsn: 10,
          throughLsn: 30,
          fromCommittedAtUs: time(10),
          throughCommittedAtUs: time(30),
        },
      ],
      holes: [{ timeline: 1, fromLsn: 1, throughLsn: 9, reason: 'no-backup' }],
    })
  })

  test('of log that retention let go nothing, as it is no hole', () => {
    const catalogue = catalogueWith({ segments: segmentsOf(1, 1, 3).slice(1), backups: [backupOf(10)] })
    expect(restorability(catalogue).holes).toEqual([])
  })

  test('where log is missing, and how far the hole goes for want of a backup', () => {
    const [first, , third, fourth] = segmentsOf(1, 1, 4)
    if (first === undefined || third === undefined || fourth === undefined) throw new Error('four segments')
    const catalogue = catalogueWith({
      segments: [first, third, fourth],
      backups: [backupOf(5), backupOf(34)],
    })
    const { ranges, holes } = restorability(catalogue)
    expect(ranges.map(({ fromLsn, throughLsn }) => [fromLsn, throughLsn])).toEqual([
      [5, 10],
      [34, 40],
    ])
    expect(holes).toEqual([
      { timeline: 1, fromLsn: 1, throughLsn: 4, reason: 'no-backup' },
      {
        timeline: 1,
        fromLsn: 11,
        throughLsn: 33,
        reason: 'log-missing',
        missing: { fromLsn: 11, throughLsn: 20 },
      },
    ])
  })

  test('that the end is lost, when later log is known', () => {
    const [first, , third] = segmentsOf(1, 1, 3)
    if (first === undefined || third === undefined) throw new Error('three segments')
    const { holes } = restorability(catalogueWith({ segments: [first, third], backups: [backupOf(1)] }))
    expect(holes).toMatchObject([
      { fromLsn: 11, throughLsn: 30, reason: 'log-missing', missing: { fromLsn: 11, throughLsn: 20 } },
    ])
  })

  test('that a backup alone recovers through its own log', () => {
    const { ranges } = restorability(catalogueWith({ backups: [backupOf(7, { endLsn: 9 })] }))
    expect(ranges).toMatchObject([{ fromLsn: 7, throughLsn: 9, throughCommittedAtUs: time(9) }])
  })

  test('each state with the timeline that wrote it, reached through the parent', () => {
    const catalogue = catalogueWith({
      timelines: [timelineOf(1), timelineOf(2, { parent: 1, forkLsn: 15 })],
      segments: segmentsOf(1, 1, 2),
      pieces: [pieceOf({ timeline: 2, number: 1, firstLsn: 16, lastLsn: 18 })],
      backups: [backupOf(4)],
    })
    const { ranges, holes } = restorability(catalogue)
    expect(ranges.map(({ timeline, fromLsn, throughLsn }) => [timeline, fromLsn, throughLsn])).toEqual([
      [1, 4, 20],
      [2, 16, 18],
    ])
    expect(holes.map(({ timeline }) => timeline)).toEqual([1])
  })

  test('what is missing of a parent when a child cannot be reached', () => {
    const catalogue = catalogueWith({
      timelines: [timelineOf(1), timelineOf(2, { parent: 1, forkLsn: 15 })],
      segments: [...segmentsOf(1, 1, 1), ...segmentsOf(2, 16, 1)],
      backups: [backupOf(4)],
    })
    expect(restorability(catalogue).holes).toContainEqual({
      timeline: 2,
      fromLsn: 16,
      throughLsn: 25,
      reason: 'log-missing',
      missing: { fromLsn: 11, throughLsn: 15 },
    })
  })
})

describe('without objects', () => {
  test('a catalogue tells what is left', () => {
    const segments = segmentsOf(1, 1, 3)
    const whole = catalogueWith({
      segments,
      pieces: [pieceOf({ number: 4, firstLsn: 31, lastLsn: 33 })],
      backups: [backupOf(2), backupOf(5)],
    })
    const gone = new Set([segments[1]?.name ?? '', 'piece/1/4', 'backup/b2/manifest.json'])
    const { ranges } = restorability(withoutObjects(whole, gone))
    expect(ranges).toMatchObject([{ fromLsn: 5, throughLsn: 10 }])
    expect(withoutObjects(whole, new Set())).toEqual(whole)
  })
})

describe('the ledger as a whole', () => {
  const proof = {
    timeline: 1,
    lsn: 20,
    committedAtUs: 1,
    provedAtUs: 2,
    totalUs: 3000,
    restoreUs: 0,
    replayUs: 0,
    baseBytes: 0,
    logBytes: 0,
    records: 0,
  }

  test('has neither timeline nor prediction where nothing was archived, or nothing can be recovered', () => {
    expect(ledgerOf(catalogueWith({ timelines: [] }), 1)).toEqual({ ranges: [], holes: [] })
    const bare = ledgerOf(catalogueWith({ segments: segmentsOf(1, 1, 1) }), 1)
    expect(bare.newest).toBeUndefined()
    expect(bare.predicted).toBeUndefined()
  })

  test('predicts by the fixed part alone from a proof that moved nothing', () => {
    const catalogue = catalogueWith({ segments: segmentsOf(1, 1, 2), backups: [backupOf(5)], proof })
    expect(ledgerOf(catalogue, time(30)).predicted?.ms).toBe(3)
  })

  test('leaves the time of its newest state open where only the log could tell it', () => {
    // The child's own log is gone; what is left ends inside a segment of its parent.
    const catalogue = catalogueWith({
      timelines: [timelineOf(1), timelineOf(2, { parent: 1, forkLsn: 15 })],
      segments: segmentsOf(1, 1, 2),
      backups: [backupOf(4), backupOf(17, { timeline: 2, endLsn: 17, endCommittedAtUs: time(17) })],
    })
    const { newest, timeline } = ledgerOf(catalogue, time(30))
    expect(timeline).toBe(2)
    expect(newest).toEqual({ lsn: 17, committedAtUs: time(17) })
  })
})

describe('the ledger and the plan', () => {
  test('agree on every state of every timeline', () => {
    fc.assert(
      fc.property(worlds, ({ branches, times, history }) => {
        const { ranges, holes } = restorabilityOf(history)
        for (const { timeline, forkLsn } of branches) {
          const holds =
            (parts: readonly { timeline: number; fromLsn: number; throughLsn: number }[]) =>
            (lsn: number): number =>
              parts.filter(
                (part) => part.timeline === timeline && part.fromLsn <= lsn && lsn <= part.throughLsn,
              ).length
          const firstLsn = forkLsn === undefined ? 0 : forkLsn + 1
          for (let lsn = firstLsn; times.has(`${timeline}:${lsn}`); lsn++) {
            const plan = planHistory(
              { ...history, branches: rooted(branches) },
              { type: 'lsn', lsn, edge: 'through' },
              { timeline },
            )
            expect(holds(ranges)(lsn)).toBe(plan.possible ? 1 : 0)
            expect(holds(ranges)(lsn) + holds(holes)(lsn)).toBeLessThan(2)
          }
        }
      }),
      { numRuns: 500 },
    )
  })

  test('agree on why, and on what is missing', () => {
    fc.assert(
      fc.property(worlds, ({ history }) => {
        for (const { timeline, fromLsn, reason, missing } of restorabilityOf(history).holes) {
          const plan = planHistory(history, { type: 'lsn', lsn: fromLsn, edge: 'through' }, { timeline })
          if (plan.possible) throw new Error('a hole was planned')
          expect(plan.code).toBe(reason === 'no-backup' ? 'RECOVERY_NO_BASE' : 'RECOVERY_LOG_GAP')
          expect(missing?.fromLsn).toBe(plan.missing?.fromLsn)
        }
      }),
      { numRuns: 500 },
    )
  })
})
