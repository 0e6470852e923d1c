// What a plan makes of compacted deltas and of data that came in beside the log: as the rest of the plan a function of data.
import type { DeltaRef } from '@timberline/archive'
import { BULK_LOAD_MARK } from '@timberline/engine'
import { describe, expect, test } from 'vitest'
import type { History } from '../src/history/history.ts'
import { planHistory, type PlanOptions, type RecoveryGap, type RecoveryPlan } from '../src/plan/plan.ts'
import type { Target } from '../src/plan/target.ts'
import { base, span, time } from './history-worlds.ts'

/** Records n * 10 - 9 to n * 10, small beside any span. */
function delta(number: number): DeltaRef {
  return {
    timeline: 1,
    firstSegmentNumber: number,
    lastSegmentNumber: number,
    firstLsn: number * 10 - 9,
    lastLsn: number * 10,
    lastCommittedAtUs: time(number * 10),
    entries: number,
    bytes: 1,
    sha256: '',
    storedBytes: 1,
    name: `delta-${number}`,
  }
}

/** A backup at 10, log through 50, a delta for each ten records. */
const history: History = {
  branches: [{ timeline: 1 }],
  spans: [1, 2, 3, 4, 5].map((number) => ({ ...span(1, number * 10 - 9, number * 10), bytes: 1_000_000 })),
  bases: [base(1, 10)],
  marks: [],
  known: [{ timeline: 1, lsn: 50 }],
  deltas: [1, 2, 3, 4, 5].map(delta),
}

const latest: Target = { type: 'latest' }
const lsn = (number: number): Target => ({ type: 'lsn', lsn: number, edge: 'through' })
const at = (atUs: number): Target => ({ type: 'time', atUs, edge: 'through' })

function planned(past: History, target: Target, options?: PlanOptions): RecoveryPlan {
  const plan = planHistory(past, target, options)
  if (!plan.possible) throw new Error(plan.message)
  return plan
}

function refused(past: History, target: Target): RecoveryGap {
  const plan = planHistory(past, target)
  if (plan.possible) throw new Error('it was planned')
  return plan
}

describe('deltas stand for log', () => {
  test.each([
    // The last record always comes out of the log.
    ['the latest', latest, [20, 30, 40]],
    ['the end of one', lsn(40), [20, 30]],
    ['the record after one', lsn(41), [20, 30, 40]],
    ['a record inside one', lsn(35), [20, 30]],
    ['the backup itself', lsn(10), []],
    // Only behind the span that the time lies in is it sure how far it leads.
    ['a time in the last span', at(time(45)), [20, 30, 40]],
    ['a time in the one before', at(time(35)), [20, 30]],
  ])('between the backup and %s', (_, target, lastLsns) => {
    const plan = planned(history, target)
    expect(plan.deltas.map((one) => one.lastLsn)).toEqual(lastLsns)
    const entries = lastLsns.reduce((sum, last) => sum + last / 10, 0)
    expect(plan.predicted).toMatchObject({ deltas: lastLsns.length, deltaEntries: entries })
  })

  test('unless nobody wants them', () => {
    const plan = planned(history, latest, { deltas: false })
    expect(plan).toMatchObject({ deltas: [], predicted: { deltas: 0, deltaEntries: 0, records: 40 } })
    expect(planned(history, latest, { deltas: true }).deltas).toHaveLength(3)
  })
})

describe('data that came in beside the log', () => {
  const loaded: History = {
    ...history,
    deltas: [],
    marks: [{ timeline: 1, name: BULK_LOAD_MARK, lsn: 25, committedAtUs: time(25) }],
  }

  test('is as far as replay leads', () => {
    expect(planned(loaded, lsn(24)).throughLsn).toBe(24)
    for (const target of [lsn(25), lsn(26), latest, at(time(25)), at(time(30))]) {
      const gap = refused(loaded, target)
      expect(gap).toMatchObject({ code: 'RECOVERY_BULK_LOAD', before: { lsn: 24 }, timeline: 1 })
      expect(gap.message).toContain('at lsn 25, after backup b10')
    }
  })

  test('is no hindrance to a time before it, and bounds what that may lead to', () => {
    expect(planned(loaded, at(time(25) - 1)).throughLsnMax).toBe(24)
  })

  test('is led past by a backup after it', () => {
    const twice = { ...loaded, bases: [base(1, 10), base(1, 30)] }
    expect(planned(twice, latest).base.lsn).toBe(30)
    expect(refused(twice, lsn(29))).toMatchObject({ code: 'RECOVERY_BULK_LOAD', after: { lsn: 30 } })
  })
})

test('a backup that is asked for by a name that is none is told with those that are there', () => {
  const gap = planHistory(history, latest, { base: 'b11' })
  expect(gap).toMatchObject({ possible: false, code: 'RECOVERY_BASE_UNKNOWN', known: ['b10'] })
  expect(gap).toHaveProperty('message', expect.stringContaining('is not on this timeline'))
  const early = planHistory(history, lsn(5), { base: 'b10' })
  expect(early).toHaveProperty('message', expect.stringContaining('lies after the target'))
})
