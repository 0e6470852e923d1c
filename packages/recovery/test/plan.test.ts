import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { History } from '../src/history/history.ts'
import { planHistory, type RecoveryGap, type RecoveryPlan } from '../src/plan/plan.ts'
import type { Target } from '../src/plan/target.ts'
import { base, basesOnPath, span, time, walk, type World, worlds } from './history-worlds.ts'

/** `pnpm mutation` asks for fewer, because it tries them against each of hundreds of mutants. */
const HISTORIES = Number(process.env['PLAN_HISTORIES'] ?? 2000)

function history(part: Partial<History>): History {
  const spans = part.spans ?? []
  return {
    branches: [{ timeline: 1 }],
    bases: [],
    marks: [],
    known: spans.map(({ timeline, lastLsn }) => ({ timeline, lsn: lastLsn })),
    ...part,
    spans,
  }
}

function brief(plan: RecoveryPlan | RecoveryGap): string {
  if (!plan.possible) {
    const missing =
      plan.missing === undefined
        ? ''
        : ` missing ${plan.missing.timeline}:${plan.missing.fromLsn}-${plan.missing.throughLsn}`
    return `${plan.code}${missing} before ${plan.before?.lsn} after ${plan.after?.lsn}`
  }
  const spans = plan.spans.map(
    (part) => `${part.span.origin.type[0]}${part.span.timeline}:${part.fromLsn}-${part.throughLsn}`,
  )
  const end = plan.throughLsn === undefined ? `<=${plan.throughLsnMax}` : plan.throughLsn
  return `${plan.base.label} ${spans.join(' ')} end ${end}`
}

const through = (lsn: number): Target => ({ type: 'lsn', lsn, edge: 'through' })
const before = (lsn: number): Target => ({ type: 'lsn', lsn, edge: 'before' })
const at = (atUs: number, edge: 'before' | 'through' = 'through'): Target => ({ type: 'time', atUs, edge })
const latest: Target = { type: 'latest' }

describe('a refusal tells', () => {
  const forked = history({
    branches: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 50 }],
    spans: [span(1, 1, 60), span(2, 51, 80)],
    bases: [base(1, 20)],
    marks: [
      { timeline: 1, name: 'at-fork', lsn: 50, committedAtUs: 500 },
      { timeline: 1, name: 'left-behind', lsn: 51, committedAtUs: 510 },
      { timeline: 2, name: 'first-of-child', lsn: 51, committedAtUs: 510 },
      { timeline: 2, name: 'twice', lsn: 60, committedAtUs: 600 },
      { timeline: 2, name: 'twice', lsn: 61, committedAtUs: 610 },
    ],
  })
  const mark = (name: string): Target => ({ type: 'mark', name, edge: 'through' })
  const refused = (past: History, target: Target, timeline?: number): RecoveryGap => {
    const plan = planHistory(past, target, timeline === undefined ? {} : { timeline })
    if (plan.possible) throw new Error('the target was planned')
    return plan
  }

  test('the timelines that there are, to whoever asks for another', () => {
    expect(refused(forked, latest, 7)).toMatchObject({
      code: 'RECOVERY_TIMELINE_UNKNOWN',
      message: 'there is no timeline 7',
      known: ['1', '2'],
    })
    expect(refused(history({ branches: [] }), latest)).toMatchObject({
      code: 'RECOVERY_NO_BASE',
      message: 'the archive is empty',
      known: [],
    })
  })

  test('the marks that can be reached on the path, the fork itself included, and no others', () => {
    expect(refused(forked, mark('left-behind'))).toMatchObject({
      code: 'RECOVERY_MARK_UNKNOWN',
      message: 'no restore point is called left-behind',
      known: ['at-fork', 'first-of-child', 'twice'],
    })
    expect(brief(planHistory(forked, mark('at-fork')))).toBe('b20 s1:21-50 end 50')
    expect(brief(planHistory(forked, mark('first-of-child')))).toBe('b20 s1:21-50 s2:51-51 end 51')
    expect(brief(planHistory(forked, mark('left-behind'), { timeline: 1 }))).toBe('b20 s1:21-51 end 51')
  })

  test('where a mark that is there twice stands', () => {
    expect(refused(forked, mark('twice'))).toMatchObject({
      code: 'RECOVERY_MARK_AMBIGUOUS',
      message: '2 restore points have this name',
      known: ['60', '61'],
    })
  })

  test('the newest of very many marks', () => {
    const marks = Array.from({ length: 25 }, (_, index) => ({
      timeline: 1,
      name: `m${index}`,
      lsn: 21 + index,
      committedAtUs: time(21 + index),
    }))
    const { known = [] } = refused(
      history({ spans: [span(1, 1, 60)], bases: [base(1, 20)], marks }),
      mark('x'),
    )
    expect([known.length, known[0], known.at(-1)]).toEqual([20, 'm5', 'm24'])
  })

  test('on which timeline an LSN lies that this one has not', () => {
    expect(refused(forked, through(75), 1)).toMatchObject({
      code: 'RECOVERY_TARGET_AFTER_END',
      known: ['timeline 2'],
      before: { lsn: 60, committedAtUs: 600 },
    })
    for (const lsn of [51, 80]) expect(refused(cutAt50(), through(lsn), 1).known).toEqual(['timeline 2'])
    expect(refused(forked, through(81), 1).known).toBeUndefined()
    expect(refused(forked, at(900), 1).known).toBeUndefined()
  })

  test('the times of the points on both sides of a hole, where they are known', () => {
    const holed = history({ spans: [span(1, 1, 30), span(1, 41, 60)], bases: [base(1, 20), base(1, 50)] })
    const { before: last, after } = refused(holed, through(45))
    expect([last, after]).toEqual([
      { lsn: 30, committedAtUs: 300 },
      { lsn: 50, committedAtUs: 500 },
    ])
    const atBase = history({ spans: [span(1, 41, 60)], bases: [base(1, 20)] })
    expect(refused(atBase, through(45)).before).toEqual({ lsn: 20, committedAtUs: 200 })
  })

  test('a hole that ends with its timeline, by the timeline that should hold it', () => {
    const lost = history({
      branches: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 50 }],
      spans: [span(1, 1, 30), span(2, 51, 80)],
      bases: [base(1, 20)],
    })
    expect(refused(lost, through(60)).missing).toEqual({ timeline: 1, fromLsn: 31, throughLsn: 50 })
    const childLost = history({
      branches: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 50 }],
      spans: [span(1, 1, 60), span(2, 61, 80)],
      bases: [base(1, 20)],
    })
    expect(refused(childLost, through(70)).missing).toEqual({ timeline: 2, fromLsn: 51, throughLsn: 60 })
  })

  /** The root ends where the child begins. */
  function cutAt50(): History {
    return history({
      branches: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 50 }],
      spans: [span(1, 1, 50), span(2, 51, 80)],
      bases: [base(1, 20)],
    })
  }
})

describe('on one timeline', () => {
  const whole = history({
    spans: [span(1, 1, 30), span(1, 31, 60), span(1, 61, 70, 'pieces')],
    bases: [base(1, 20), base(1, 50)],
    marks: [
      { timeline: 1, name: 'release', lsn: 44, committedAtUs: 440 },
      { timeline: 1, name: 'twice', lsn: 45, committedAtUs: 450 },
      { timeline: 1, name: 'twice', lsn: 46, committedAtUs: 460 },
    ],
  })
  const holed = history({ spans: [span(1, 1, 30), span(1, 41, 60)], bases: [base(1, 20), base(1, 50)] })
  const cases: readonly [string, History, Target, string][] = [
    ['the latest starts from the newest backup', whole, latest, 'b50 s1:51-60 p1:61-70 end 70'],
    ['an LSN starts from the newest backup before it', whole, through(49), 'b20 s1:21-30 s1:31-49 end 49'],
    ['an LSN that is a backup needs no log', whole, through(50), 'b50  end 50'],
    ['before the record after a backup needs no log', whole, before(51), 'b50  end 50'],
    ['before a backup is reached from the one before it', whole, before(50), 'b20 s1:21-30 s1:31-49 end 49'],
    ['the last record is reachable', whole, through(70), 'b50 s1:51-60 p1:61-70 end 70'],
    ['before the record that comes next is the end', whole, before(71), 'b50 s1:51-60 p1:61-70 end 70'],
    ['past the end is refused', whole, through(71), 'RECOVERY_TARGET_AFTER_END before 70 after undefined'],
    [
      'before the first backup is refused, and the earliest named',
      whole,
      through(19),
      'RECOVERY_NO_BASE before undefined after 20',
    ],
    [
      'before the first backup record is refused',
      whole,
      before(20),
      'RECOVERY_NO_BASE before undefined after 20',
    ],
    ['a time on a record keeps it with through', whole, at(300), 'b20 s1:21-30 end 30'],
    ['a time on a record drops it with before', whole, at(300, 'before'), 'b20 s1:21-29 end 29'],
    ['a time between segments is known exactly', whole, at(305), 'b20 s1:21-30 end 30'],
    ['a time on the first record of a segment keeps it', whole, at(310), 'b20 s1:21-30 s1:31-59 end <=59'],
    ['a time inside a segment is left to its reader', whole, at(455), 'b20 s1:21-30 s1:31-59 end <=59'],
    ['a time on a backup needs no log', whole, at(500), 'b50  end 50'],
    [
      'before a time on a backup is reached from the one before',
      whole,
      at(500, 'before'),
      'b20 s1:21-30 s1:31-59 end <=59',
    ],
    ['a time on the very last record is proved', whole, at(700), 'b50 s1:51-60 p1:61-70 end 70'],
    [
      'a time after the last record is not proved',
      whole,
      at(701),
      'RECOVERY_TARGET_AFTER_END before 70 after undefined',
    ],
    [
      'a time before the first backup is refused',
      whole,
      at(199),
      'RECOVERY_NO_BASE before undefined after 20',
    ],
    [
      'a mark is kept with through',
      whole,
      { type: 'mark', name: 'release', edge: 'through' },
      'b20 s1:21-30 s1:31-44 end 44',
    ],
    [
      'a mark is dropped with before',
      whole,
      { type: 'mark', name: 'release', edge: 'before' },
      'b20 s1:21-30 s1:31-43 end 43',
    ],
    [
      'an unknown mark is refused',
      whole,
      { type: 'mark', name: 'x', edge: 'before' },
      'RECOVERY_MARK_UNKNOWN before undefined after undefined',
    ],
    [
      'a mark that is there twice is refused',
      whole,
      { type: 'mark', name: 'twice', edge: 'before' },
      'RECOVERY_MARK_AMBIGUOUS before undefined after undefined',
    ],
    [
      'a hole is named with the points on both sides',
      holed,
      through(45),
      'RECOVERY_LOG_GAP missing 1:31-40 before 30 after 50',
    ],
    ['a hole after the base does not matter before it', holed, through(30), 'b20 s1:21-30 end 30'],
    ['a hole before the newest base does not matter after it', holed, latest, 'b50 s1:51-60 end 60'],
    ['a time in a hole is refused', holed, at(355), 'RECOVERY_LOG_GAP missing 1:31-40 before 30 after 50'],
    [
      'a time just before a hole is not proved',
      holed,
      at(305),
      'RECOVERY_LOG_GAP missing 1:31-40 before 30 after 50',
    ],
    ['a time on the last record before a hole is proved', holed, at(300), 'b20 s1:21-30 end 30'],
    [
      'an empty archive has no base',
      history({}),
      latest,
      'RECOVERY_NO_BASE before undefined after undefined',
    ],
    [
      'log without a backup has no base',
      history({ spans: [span(1, 1, 9)] }),
      latest,
      'RECOVERY_NO_BASE before undefined after undefined',
    ],
    [
      'the latest is refused when known log after the newest base is lost',
      history({ spans: [span(1, 1, 30), span(1, 41, 60)], bases: [base(1, 20)] }),
      latest,
      'RECOVERY_LOG_GAP missing 1:31-40 before 30 after undefined',
    ],
    [
      'a piece that is known but not readable is a loss, not the end',
      history({ spans: [span(1, 1, 30)], bases: [base(1, 20)], known: [{ timeline: 1, lsn: 33 }] }),
      latest,
      'RECOVERY_LOG_GAP missing 1:31-33 before 30 after undefined',
    ],
    [
      'pieces fill a hole between whole segments, then a backup does',
      history({
        spans: [
          span(1, 1, 30),
          span(1, 31, 34, 'pieces'),
          span(1, 21, 40, 'backup'),
          span(1, 41, 50),
          span(1, 25, 50, 'pieces'),
        ],
        bases: [base(1, 20)],
      }),
      latest,
      'b20 s1:21-30 p1:31-50 end 50',
    ],
    [
      'the log inside a backup serves where the archive has none',
      history({ spans: [span(1, 21, 24, 'backup'), span(1, 25, 28)], bases: [base(1, 20)] }),
      latest,
      'b20 b1:21-24 s1:25-28 end 28',
    ],
  ]
  test.each(cases)('%s', (_, past, target, expected) => {
    expect(brief(planHistory(past, target))).toBe(expected)
  })

  test('the span of the first dropped record is named', () => {
    expect(planHistory(whole, through(60))).toMatchObject({ next: { fromLsn: 61 } })
    expect(planHistory(whole, latest)).not.toHaveProperty('next')
  })

  test('the prediction counts base, log and records', () => {
    expect(planHistory(whole, through(60))).toMatchObject({
      predicted: { baseBytes: 1000, logBytes: 3000, records: 10 },
    })
  })

  test('an older base can be asked for, one after the target cannot', () => {
    expect(brief(planHistory(whole, through(60), { base: 'b20' }))).toBe('b20 s1:21-30 s1:31-60 end 60')
    expect(planHistory(whole, through(40), { base: 'b50' })).toMatchObject({ code: 'RECOVERY_BASE_UNKNOWN' })
    expect(planHistory(whole, through(40), { base: 'x' })).toMatchObject({
      code: 'RECOVERY_BASE_UNKNOWN',
      known: ['b20', 'b50'],
    })
  })

  test('a malformed target is refused', () => {
    for (const target of [
      through(1.5),
      through(-1),
      at(Number.NaN),
      { type: 'lsn', lsn: 1 },
      { type: 'mark', name: '', edge: 'before' },
      { type: 'x' },
    ]) {
      expect(() => planHistory(whole, target as Target)).toThrow(
        expect.objectContaining({ code: 'RECOVERY_TARGET_INVALID' }),
      )
    }
  })
})

describe('on a tree of timelines', () => {
  // 1: 1..100; 2 left 1 at 50 and has 51..80; 3 left 1 at 90 and holds nothing yet; 4 left 2 at 70.
  const tree = history({
    branches: [
      { timeline: 1 },
      { timeline: 2, parent: 1, forkLsn: 50 },
      { timeline: 3, parent: 1, forkLsn: 90 },
      { timeline: 4, parent: 2, forkLsn: 70 },
    ],
    spans: [span(1, 1, 60), span(1, 61, 100), span(2, 51, 75), span(2, 76, 80), span(4, 71, 72, 'pieces')],
    bases: [base(1, 20), base(1, 55), base(2, 50, 'fork'), base(2, 77)],
  })
  const cases: readonly [string, number | undefined, Target, string][] = [
    [
      'the newest timeline is followed through its ancestors',
      undefined,
      latest,
      'fork s2:51-70 p4:71-72 end 72',
    ],
    ['the parent ends at the fork', 2, latest, 'b77 s2:78-80 end 80'],
    ['the parent keeps its own history', 1, latest, 'b55 s1:56-60 s1:61-100 end 100'],
    ['a point before the fork uses the backup of the root', 2, through(40), 'b20 s1:21-40 end 40'],
    ['the fork itself is also the first state of the child', 2, through(50), 'fork  end 50'],
    ['a backup of the parent after the fork is not on the path', 4, through(60), 'fork s2:51-60 end 60'],
    [
      'a number that was only taken follows its parent to the fork',
      3,
      latest,
      'b55 s1:56-60 s1:61-90 end 90',
    ],
    // The last time of a span that is cut at a fork is of a record beyond it: only what comes next can tell.
    ['a time after the fork is looked for in the child', 2, at(550), 'fork s2:51-74 end <=74'],
    [
      'a time after the fork that the child has no record for yet may lie before its end',
      3,
      at(950),
      'b55 s1:56-60 s1:61-90 end <=90',
    ],
    [
      'an LSN of another branch is refused',
      2,
      through(90),
      'RECOVERY_TARGET_AFTER_END before 80 after undefined',
    ],
    [
      'an unknown timeline is refused',
      9,
      latest,
      'RECOVERY_TIMELINE_UNKNOWN before undefined after undefined',
    ],
  ]
  test.each(cases)('%s', (_, timeline, target, expected) => {
    expect(brief(planHistory(tree, target, timeline === undefined ? {} : { timeline }))).toBe(expected)
  })

  test('a timeline that was left before it began is no hole in the one that left it', () => {
    const past = history({
      branches: [
        { timeline: 1 },
        { timeline: 2, parent: 1, forkLsn: 20 },
        { timeline: 3, parent: 2, forkLsn: 0 },
      ],
      spans: [span(1, 1, 20), span(2, 21, 30), span(3, 1, 5)],
      bases: [base(1, 0)],
    })
    expect(brief(planHistory(past, latest))).toBe('b0 s3:1-5 end 5')
  })

  test('the refusal names the timeline that holds the LSN', () => {
    expect(planHistory(tree, through(90), { timeline: 2 })).toMatchObject({ known: ['timeline 1'] })
  })

  test('a time near a fork is left to the reader of the parent until the child is known to have begun', () => {
    const late = { ...span(2, 51, 75), firstCommittedAtUs: 900, lastCommittedAtUs: 1200 }
    const began = { ...tree, spans: [span(1, 1, 60), late], bases: [base(1, 20)] }
    const briefAt = (world: History, atUs: number): string =>
      brief(planHistory(world, at(atUs), { timeline: 2 }))
    expect(briefAt(began, 550)).toBe('b20 s1:21-50 end <=50')
    // As late as the record at which the parent was last seen, which is none of this timeline.
    expect(briefAt(began, 600)).toBe('b20 s1:21-50 end <=50')
    expect(briefAt(began, 900)).toBe('b20 s1:21-50 s2:51-74 end <=74')
    // The parent went on beside the child.
    const beside = { ...began, spans: [span(1, 1, 60), span(2, 51, 75)] }
    expect(briefAt(beside, 505)).toBe('b20 s1:21-50 end <=50')
    expect(briefAt(beside, 550)).toBe('b20 s1:21-50 s2:51-74 end <=74')
  })

  test('without a backup of its own, a timeline is reached through the log of its parent up to the fork', () => {
    const bare = { ...tree, bases: [base(1, 20)] }
    expect(brief(planHistory(bare, latest, { timeline: 2 }))).toBe('b20 s1:21-50 s2:51-75 s2:76-80 end 80')
  })
})

function checkPlan(world: World, plan: RecoveryPlan, records: ReturnType<typeof walk>): void {
  let next = plan.base.lsn + 1
  for (const part of plan.spans) {
    expect(part.fromLsn).toBe(next)
    expect(part.fromLsn).toBeGreaterThanOrEqual(part.span.firstLsn)
    expect(part.throughLsn).toBeLessThanOrEqual(part.span.lastLsn)
    for (let lsn = part.fromLsn; lsn <= part.throughLsn; lsn++)
      expect(records[lsn - 1]?.owner).toBe(part.span.timeline)
    next = part.throughLsn + 1
  }
  expect(next - 1).toBe(Math.max(plan.throughLsnMax, plan.base.lsn))
  expect(world.history.bases).toContain(plan.base)
}

type Records = ReturnType<typeof walk>

function checkReached(
  world: World,
  plan: RecoveryPlan,
  { records, lsn }: { records: Records; lsn: number },
): void {
  expect(plan.throughLsn).toBe(lsn)
  checkPlan(world, plan, records)
}

function checkRefused(
  world: World,
  plan: RecoveryGap,
  { records, lsn, hasBase }: { records: Records; lsn: number; hasBase: boolean },
): void {
  const isAfterEnd = records.length < lsn && plan.before?.lsn === records.length
  expect(plan.code).toBe(
    !hasBase ? 'RECOVERY_NO_BASE' : isAfterEnd ? 'RECOVERY_TARGET_AFTER_END' : 'RECOVERY_LOG_GAP',
  )
  const { missing, timeline = 0 } = plan
  const gone = missing === undefined ? [] : records.slice(missing.fromLsn - 1, missing.throughLsn)
  for (const record of gone) expect(record).toMatchObject({ readable: false, owner: missing?.timeline })
  expect(missing?.fromLsn ?? (plan.before?.lsn ?? 0) + 1).toBe((plan.before?.lsn ?? 0) + 1)
  for (const point of [plan.before, plan.after].filter((candidate) => candidate !== undefined)) {
    expect(planHistory(world.history, through(point.lsn), { timeline }).possible).toBe(true)
  }
}

function checkTime(
  world: World,
  plan: RecoveryPlan,
  { records, truth, proved }: { records: Records; truth: number; proved: boolean },
): void {
  checkPlan(world, plan, records)
  expect(plan.throughLsn ?? truth).toBe(truth)
  // Where the plan knows of nothing behind the last span, the reader of the log is the one that finds no proof.
  if (plan.throughLsn === undefined && plan.next === undefined) return
  expect(proved).toBe(true)
  expect(truth).toBeLessThanOrEqual(Math.max(plan.throughLsnMax, plan.base.lsn))
}

function checkTimeRefused(
  plan: RecoveryGap,
  { proved, hasBase }: { proved: boolean; hasBase: boolean },
): void {
  expect(proved).toBe(false)
  const beyond = plan.missing === undefined ? 'RECOVERY_TARGET_AFTER_END' : 'RECOVERY_LOG_GAP'
  expect(plan.code).toBe(hasBase ? beyond : 'RECOVERY_NO_BASE')
}

describe('against a model that knows every record', () => {
  test('an LSN is planned exactly when a base and every record after it can be had', () => {
    fc.assert(
      fc.property(worlds, fc.nat(3), fc.nat(60), (world, pick, lsn) => {
        const timeline = 1 + (pick % world.branches.length)
        const records = walk(world, timeline)
        const usable = basesOnPath(world, timeline).filter((candidate) => candidate.lsn <= lsn)
        const reachable = usable.some((candidate) => {
          for (let need = candidate.lsn + 1; need <= lsn; need++)
            if (records[need - 1]?.readable !== true) return false
          return true
        })
        const plan = planHistory(world.history, through(lsn), { timeline })
        expect(plan.possible).toBe(reachable)
        if (plan.possible) checkReached(world, plan, { records, lsn })
        else checkRefused(world, plan, { records, lsn, hasBase: usable.length > 0 })
      }),
      { numRuns: HISTORIES },
    )
  })

  test('a time is planned to the last record at or before it, or refused when that is not proved', () => {
    fc.assert(
      fc.property(
        worlds,
        fc.nat(3),
        fc.nat(140),
        fc.constantFrom('before' as const, 'through' as const),
        (world, pick, atUs, edge) => {
          const timeline = 1 + (pick % world.branches.length)
          const records = walk(world, timeline)
          const kept = (candidate: number): boolean =>
            edge === 'through' ? candidate <= atUs : candidate < atUs
          const truth = records.findLast((record) => kept(record.atUs))?.lsn ?? 0
          expect(truth).toBeLessThanOrEqual(records.length)
          const usable = basesOnPath(world, timeline).filter((candidate) => kept(candidate.committedAtUs))
          const newest = usable.reduce((most, candidate) => Math.max(most, candidate.lsn), -1)
          let whole = newest >= 0
          for (let need = newest + 1; need <= truth; need++) whole &&= records[need - 1]?.readable === true
          const onTime = edge === 'through' && (world.times.get(`${timeline}:${truth}`) ?? -1) === atUs
          const proved = whole && (onTime || records[truth]?.readable === true)
          const plan = planHistory(world.history, at(atUs, edge), { timeline })
          if (plan.possible) checkTime(world, plan, { records, truth, proved })
          else checkTimeRefused(plan, { proved, hasBase: newest >= 0 })
        },
      ),
      { numRuns: HISTORIES },
    )
  })
})
