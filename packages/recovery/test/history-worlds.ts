// Small pasts: fixtures by hand, and random trees of timelines with a model that knows every record.
import fc from 'fast-check'
import type { Base, Branch, History, Span } from '../src/history/history.ts'

// Fixtures: record `lsn` was committed at `lsn * 10` microseconds unless a case says otherwise.
export const time = (lsn: number): number => lsn * 10

export function span(
  timeline: number,
  firstLsn: number,
  lastLsn: number,
  type: 'segment' | 'pieces' | 'backup' = 'segment',
): Span {
  return {
    timeline,
    segmentNumber: firstLsn,
    firstLsn,
    lastLsn,
    firstCommittedAtUs: time(firstLsn),
    lastCommittedAtUs: time(lastLsn),
    bytes: 100 * (lastLsn - firstLsn + 1),
    origin: { type } as Span['origin'],
  }
}

export function base(timeline: number, lsn: number, label = `b${lsn}`): Base {
  return {
    label,
    timeline,
    lsn,
    committedAtUs: time(lsn),
    bytes: 1000,
    origin: { type: 'archive' } as Base['origin'],
  }
}

// The naive model knows every single record; the plan knows only spans. They must agree on every question.
export interface World {
  readonly branches: readonly Branch[]
  readonly times: ReadonlyMap<string, number>
  readonly history: History
}

export const worlds: fc.Arbitrary<World> = fc
  .record({
    steps: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 80, maxLength: 80 }),
    timelines: fc.array(
      fc.record({ parent: fc.nat(3), fork: fc.nat(30), count: fc.integer({ min: 0, max: 20 }) }),
      { minLength: 1, maxLength: 4 },
    ),
    cuts: fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 })), {
      minLength: 40,
      maxLength: 40,
    }),
    bases: fc.array(fc.tuple(fc.nat(3), fc.nat(40)), { maxLength: 4 }),
  })
  .map(({ steps, timelines, cuts, bases }) => {
    const branches: Branch[] = []
    const times = new Map<string, number>()
    const ends: number[] = []
    const spans: Span[] = []
    const found: Base[] = []
    let cut = 0
    timelines.forEach((shape, index) => {
      const timeline = index + 1
      const parent = index === 0 ? undefined : 1 + (shape.parent % index)
      const parentEnd = parent === undefined ? 0 : (ends[parent - 1] ?? 0)
      const parentFork = parent === undefined ? 0 : (branches[parent - 1]?.forkLsn ?? 0)
      const forkLsn = parent === undefined ? 0 : parentFork + (shape.fork % (parentEnd - parentFork + 1))
      branches.push(parent === undefined ? { timeline } : { timeline, parent, forkLsn })
      for (let lsn = 0; lsn <= forkLsn; lsn++) {
        const inherited = parent === undefined ? 0 : times.get(`${parent}:${lsn}`)
        if (inherited !== undefined) times.set(`${timeline}:${lsn}`, inherited)
      }
      const end = forkLsn + shape.count
      for (let lsn = forkLsn + 1; lsn <= end; lsn++) {
        times.set(
          `${timeline}:${lsn}`,
          (times.get(`${timeline}:${lsn - 1}`) ?? 0) + (steps[(lsn + timeline * 7) % 80] ?? 1),
        )
      }
      ends.push(end)
      for (let first = forkLsn + 1; first <= end;) {
        const [length, dice] = cuts[cut++ % 40] ?? [1, 9]
        const last = Math.min(end, first + length - 1)
        const type = dice > 4 ? 'segment' : dice > 2 ? 'pieces' : 'backup'
        if (dice > 1) {
          spans.push({
            ...span(timeline, first, last, type),
            firstCommittedAtUs: times.get(`${timeline}:${first}`) ?? -1,
            lastCommittedAtUs: times.get(`${timeline}:${last}`) ?? -1,
          })
        }
        first = last + 1
      }
    })
    for (const [pick, offset] of bases) {
      const timeline = 1 + (pick % branches.length)
      const forkLsn = branches[timeline - 1]?.forkLsn ?? 0
      const lsn = forkLsn + (offset % ((ends[timeline - 1] ?? 0) - forkLsn + 1))
      found.push({
        ...base(timeline, lsn, `t${timeline}-${lsn}`),
        committedAtUs: times.get(`${timeline}:${lsn}`) ?? -1,
      })
    }
    const known = ends.map((lsn, index) => ({ timeline: index + 1, lsn }))
    return { branches, times, history: { branches, spans, bases: found, marks: [], known } }
  })

/** For each LSN of the path: its owner, and whether it can be read. */
export function walk(
  world: World,
  timeline: number,
): { lsn: number; owner: number; readable: boolean; atUs: number }[] {
  const records = []
  for (let lsn = 1; world.times.has(`${timeline}:${lsn}`); lsn++) {
    let owner = timeline
    for (
      let branch = world.branches[owner - 1];
      branch?.parent !== undefined && lsn <= (branch.forkLsn ?? 0);
      branch = world.branches[owner - 1]
    ) {
      owner = branch.parent
    }
    const readable = world.history.spans.some(
      (part) => part.timeline === owner && part.firstLsn <= lsn && lsn <= part.lastLsn,
    )
    records.push({ lsn, owner, readable, atUs: world.times.get(`${timeline}:${lsn}`) ?? -1 })
  }
  return records
}

export function basesOnPath(world: World, timeline: number): Base[] {
  const allowed = new Map<number, number>([[timeline, Infinity]])
  let limit = Infinity
  for (
    let branch = world.branches[timeline - 1];
    branch?.parent !== undefined;
    branch = world.branches[branch.parent - 1]
  ) {
    limit = Math.min(limit, branch.forkLsn ?? 0)
    allowed.set(branch.parent, limit)
  }
  return world.history.bases.filter((candidate) => candidate.lsn <= (allowed.get(candidate.timeline) ?? -1))
}
