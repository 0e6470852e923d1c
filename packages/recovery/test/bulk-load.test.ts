// Data that was loaded beside the log: where a plan must stop, and what the ledger must not promise.
import fc from 'fast-check'
import { BULK_LOAD_MARK } from '@timberline/engine'
import { describe, expect, test } from 'vitest'
import type { History, Mark } from '../src/history/history.ts'
import { ledgerOf } from '../src/retention/ledger.ts'
import { planHistory } from '../src/plan/plan.ts'
import { restorability, restorabilityOf } from '../src/plan/restorability.ts'
import type { Target } from '../src/plan/target.ts'
import { backupOf, catalogueWith, segmentsOf, timelineOf } from './catalogue-fixtures.ts'
import { base, basesOnPath, span, time, walk, worlds } from './history-worlds.ts'

const load = (lsn: number, timeline = 1): Mark & { timeline: number } => ({
  timeline,
  name: BULK_LOAD_MARK,
  lsn,
  committedAtUs: time(lsn),
})
const through = (lsn: number): Target => ({ type: 'lsn', lsn, edge: 'through' })
const at = (atUs: number, edge: 'before' | 'through' = 'through'): Target => ({ type: 'time', atUs, edge })

const past: History = {
  branches: [{ timeline: 1 }],
  spans: [span(1, 1, 60)],
  bases: [base(1, 10), base(1, 45)],
  marks: [{ ...load(1), name: 'first' }, load(30)],
  known: [{ timeline: 1, lsn: 60 }],
}
const onlyOld: History = { ...past, bases: [base(1, 10)] }

describe('a plan', () => {
  test('goes from an older backup as far as the record before the load, and no further', () => {
    expect(planHistory(past, through(29))).toMatchObject({
      possible: true,
      base: { lsn: 10 },
      throughLsn: 29,
    })
    expect(planHistory(past, { type: 'lsn', lsn: 30, edge: 'before' })).toMatchObject({ possible: true })
    expect(planHistory(past, at(299))).toMatchObject({ possible: true, throughLsnMax: 29 })
    expect(planHistory(past, at(300, 'before'))).toMatchObject({ possible: true, throughLsnMax: 29 })
  })

  test.each([
    ['the load itself', through(30)],
    ['what lies between it and the next backup', through(44)],
    ['its time', at(300)],
    ['a time behind it', at(401)],
  ])('refuses %s by name, with what can be had before and after', (_, target) => {
    expect(planHistory(past, target)).toMatchObject({
      possible: false,
      code: 'RECOVERY_BULK_LOAD',
      before: { lsn: 29 },
      after: { lsn: 45, committedAtUs: 450 },
    })
  })

  test('begins with a backup from behind it', () => {
    expect(planHistory(past, through(50))).toMatchObject({
      possible: true,
      base: { lsn: 45 },
      throughLsn: 50,
    })
    expect(planHistory(past, { type: 'latest' })).toMatchObject({ possible: true, base: { lsn: 45 } })
    const atLoad = { ...past, bases: [base(1, 30)] }
    expect(planHistory(atLoad, through(31))).toMatchObject({ possible: true, base: { lsn: 30 } })
  })

  test('never takes less than was asked for: without a backup since, the newest state is refused', () => {
    expect(planHistory(onlyOld, { type: 'latest' })).toMatchObject({
      possible: false,
      code: 'RECOVERY_BULK_LOAD',
      before: { lsn: 29 },
    })
    expect(planHistory(past, { type: 'latest' }, { base: 'b10' })).toMatchObject({
      code: 'RECOVERY_BULK_LOAD',
    })
  })

  test('knows it on every timeline that goes through it, and on none that left before', () => {
    const forked: History = {
      ...onlyOld,
      branches: [
        { timeline: 1 },
        { timeline: 2, parent: 1, forkLsn: 20 },
        { timeline: 3, parent: 1, forkLsn: 40 },
      ],
      spans: [span(1, 1, 60), span(2, 21, 50), span(3, 41, 50)],
    }
    expect(planHistory(forked, through(50), { timeline: 2 })).toMatchObject({ possible: true })
    expect(planHistory(forked, through(50), { timeline: 3 })).toMatchObject({ code: 'RECOVERY_BULK_LOAD' })
  })

  test('offers nobody its mark as a restore point', () => {
    const plan = planHistory(past, { type: 'mark', name: 'unknown', edge: 'through' })
    expect(plan).toMatchObject({ code: 'RECOVERY_MARK_UNKNOWN', known: ['first'] })
  })

  test('is possible just where a backup and every record after it can be had, none of them a load', () => {
    const places = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 30 })), {
      minLength: 2,
      maxLength: 8,
    })
    let refused = 0
    fc.assert(
      fc.property(worlds, places, fc.nat(3), fc.nat(30), (world, loads, pick, lsn) => {
        const timeline = 1 + (pick % world.branches.length)
        const marks = loads.map(([owner, at]) => load(at, 1 + (owner % world.branches.length)))
        const history = { ...world.history, marks }
        const records = walk(world, timeline)
        const isIn = (need: number, mayLoad: boolean): boolean => {
          const record = records[need - 1]
          const isLoad = marks.some((mark) => mark.lsn === need && mark.timeline === record?.owner)
          return record?.readable === true && (mayLoad || !isLoad)
        }
        const isReachable = (mayLoad: boolean): boolean =>
          basesOnPath(world, timeline).some((candidate) => {
            if (candidate.lsn > lsn) return false
            for (let need = candidate.lsn + 1; need <= lsn; need++) if (!isIn(need, mayLoad)) return false
            return true
          })
        const plan = planHistory(history, through(lsn), { timeline })
        expect(plan.possible).toBe(isReachable(false))
        const isForLoad = !plan.possible && isReachable(true)
        expect(isForLoad ? plan.code : 'RECOVERY_BULK_LOAD').toBe('RECOVERY_BULK_LOAD')
        if (isForLoad) refused += 1
        const held = restorabilityOf(history).ranges.some(
          (range) => range.timeline === timeline && range.fromLsn <= lsn && lsn <= range.throughLsn,
        )
        const isOwn = lsn > (world.branches[timeline - 1]?.forkLsn ?? -1)
        expect(isOwn && lsn <= records.length ? held : plan.possible).toBe(plan.possible)
      }),
      { numRuns: 2000, seed: 20_261_126 },
    )
    console.log(`${String(refused)} of 2000 targets were refused for a load alone`)
    expect(refused).toBeGreaterThan(20)
  })
})

describe('the ledger', () => {
  const segments = segmentsOf(1, 1, 6)

  test('claims no state between a load and the next backup, and says why', () => {
    const catalogue = catalogueWith({ segments, backups: [backupOf(10), backupOf(45)], marks: [load(30)] })
    const { ranges, holes } = restorability(catalogue)
    expect(ranges.map(({ fromLsn, throughLsn }) => [fromLsn, throughLsn])).toEqual([
      [10, 29],
      [45, 60],
    ])
    expect(holes).toEqual([
      { timeline: 1, fromLsn: 1, throughLsn: 9, reason: 'no-backup' },
      { timeline: 1, fromLsn: 30, throughLsn: 44, reason: 'bulk-load' },
    ])
  })

  test('says that the newest state is the one before the load, until a backup was made', () => {
    const before = catalogueWith({ segments, backups: [backupOf(10)], marks: [load(30)] })
    expect(ledgerOf(before, 0)).toMatchObject({
      newest: { lsn: 29 },
      holes: [{}, { reason: 'bulk-load', throughLsn: 60 }],
    })
    const after = catalogueWith({ segments, backups: [backupOf(10), backupOf(30)], marks: [load(30)] })
    expect(ledgerOf(after, 0)).toMatchObject({ newest: { lsn: 60 }, base: { backup: { lsn: 30 } } })
    expect(ledgerOf(after, 0).holes).toHaveLength(1)
  })

  test('tells it of a child too, whose parent was loaded', () => {
    const catalogue = catalogueWith({
      timelines: [timelineOf(1), timelineOf(2, { parent: 1, forkLsn: 35 })],
      segments: [...segmentsOf(1, 1, 4), ...segmentsOf(2, 36, 1)],
      backups: [backupOf(10)],
      marks: [load(30)],
    })
    const own = restorability(catalogue).holes.filter(({ timeline }) => timeline === 2)
    expect(own).toEqual([{ timeline: 2, fromLsn: 36, throughLsn: 45, reason: 'bulk-load' }])
  })
})
