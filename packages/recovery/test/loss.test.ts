// What damage costs, by table; and over random catalogues, against the plan: a point is lost exactly when the plan finds a way
// to it in the whole catalogue and none in the one without the damaged objects.
import type {
  BackupFile,
  BackupRef,
  Catalogue,
  DeltaRef,
  FindingSubject,
  PieceRef,
  SegmentRef,
} from '@timberline/archive'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { lostBy, planRecovery } from '../src/index.ts'

/** Record `lsn` was committed at `lsn * 10` microseconds. */
const time = (lsn: number): number => lsn * 10

interface Scene {
  /** First and last LSN of each segment, from number 1 on; `timeline` 1 unless said. */
  readonly segments?: readonly (readonly [first: number, last: number, timeline?: number])[]
  /** Pieces of segment 9, each a hundred bytes. */
  readonly pieces?: readonly (readonly [first: number, last: number])[]
  readonly backups?: readonly (readonly [lsn: number, endLsn: number, timeline?: number])[]
  readonly forkLsn?: number
}

function segmentOf(
  [firstLsn, lastLsn, timeline = 1]: readonly [number, number, number?],
  at: number,
): SegmentRef {
  return {
    timeline,
    segmentNumber: at + 1,
    firstLsn,
    lastLsn,
    firstCommittedAtUs: time(firstLsn),
    lastCommittedAtUs: time(lastLsn),
    bytes: 100,
    sha256: '',
    storedBytes: 100,
    headerChecksum: 0,
    sealChecksum: 0,
    marks: [],
    name: `segment/${at + 1}`,
  }
}

function pieceOf([firstLsn, lastLsn]: readonly [number, number], at: number): PieceRef {
  return {
    timeline: 1,
    segmentNumber: 9,
    position: at * 100,
    endPosition: at * 100 + 100,
    firstLsn,
    lastLsn,
    lastCommittedAtUs: time(lastLsn),
    epoch: 1,
    name: `piece/${at}`,
    storedBytes: 100,
  }
}

function backupOf([lsn, endLsn, timeline = 1]: readonly [number, number, number?]): BackupRef {
  return {
    label: `b${lsn}`,
    timeline,
    kind: 'full',
    lsn,
    committedAtUs: time(lsn),
    beginLsn: lsn + 1,
    endLsn,
    endCommittedAtUs: time(endLsn),
    bytes: 100,
    name: `backup/b${lsn}`,
    manifestSha256: '',
  }
}

function catalogueOf({ segments = [], pieces = [], backups = [], forkLsn }: Scene): Catalogue {
  const branch = forkLsn === undefined ? [] : [{ timeline: 2, parent: 1, forkLsn, begunAtUs: 0 }]
  return {
    identity: { format: 1, environmentId: 'e', createdAtUs: 0 },
    sequence: 1,
    timelines: [{ timeline: 1, begunAtUs: 0 }, ...branch],
    segments: segments.map(segmentOf),
    pieces: pieces.map(pieceOf),
    backups: backups.map(backupOf),
    deltas: [],
    declinedDeltas: [],
    marks: [],
  }
}

const segment = (from: Catalogue, at: number): FindingSubject => {
  const found = from.segments[at]
  if (found === undefined) throw new Error('no such segment')
  return { type: 'segment', segment: found }
}
const piece = (from: Catalogue, at: number): FindingSubject => {
  const found = from.pieces[at]
  if (found === undefined) throw new Error('no such piece')
  return { type: 'piece', piece: found }
}
const manifest = (from: Catalogue, at: number): FindingSubject & { type: 'manifest' } => {
  const found = from.backups[at]
  if (found === undefined) throw new Error('no such backup')
  return { type: 'manifest', backup: found }
}
const fileOf = (from: Catalogue, at: number, name: string): FindingSubject => {
  const file: BackupFile = { name, bytes: 1, sha256: '' }
  return { type: 'backup-file', backup: manifest(from, at).backup, file }
}

/** `1:5-8` for timeline 1, LSN 5 to 8; `(b1)` for what holds the same. */
function brief(catalogue: Catalogue, subjects: readonly FindingSubject[]): string {
  const { each } = lostBy(catalogue, subjects)
  return each
    .map(({ ranges, coveredBy }) =>
      ranges.length === 0
        ? `(${coveredBy.join(', ')})`
        : ranges.map(({ timeline, fromLsn, throughLsn }) => `${timeline}:${fromLsn}-${throughLsn}`).join(' '),
    )
    .join(' | ')
}

const plain = catalogueOf({
  segments: [
    [1, 4],
    [5, 8],
    [9, 12],
  ],
  backups: [
    [2, 2],
    [8, 10],
  ],
})

describe('damage to', () => {
  test('a segment costs its records and all after them, as far as the next backup', () => {
    expect(brief(plain, [segment(plain, 0)])).toBe('1:3-7')
    expect(brief(plain, [segment(plain, 1)])).toBe('1:5-7')
    expect(brief(plain, [segment(plain, 2)])).toBe('1:11-12')
    expect(lostBy(plain, [segment(plain, 1)]).total).toEqual([
      { timeline: 1, fromLsn: 5, throughLsn: 7, fromCommittedAtUs: 50, throughCommittedAtUs: 80 },
    ])
  })

  test('a delta costs nothing, for the log that it shortens is there', () => {
    const delta = { timeline: 1, firstLsn: 3, lastLsn: 7, name: 'delta/1' } as DeltaRef
    const { total, each } = lostBy(plain, [{ type: 'delta', delta }])
    expect(total).toEqual([])
    expect(each).toEqual([{ ranges: [], coveredBy: ['the log of lsn 3 to 7'] }])
  })

  test('what something else holds costs nothing, and that is named', () => {
    const doubled = catalogueOf({
      segments: [
        [1, 4],
        [5, 8],
      ],
      backups: [[2, 9]],
    })
    expect(brief(doubled, [segment(doubled, 1)])).toBe('(backup b2)')
    expect(brief(doubled, [fileOf(doubled, 0, 'log/log.0000000001')])).toBe('1:9-9')
    const shorter = catalogueOf({
      segments: [
        [1, 4],
        [5, 8],
      ],
      backups: [[2, 7]],
    })
    expect(brief(shorter, [fileOf(shorter, 0, 'log/log.0000000001')])).toBe('(segment/1, segment/2)')
    const single = catalogueOf({
      segments: [
        [1, 2],
        [3, 3],
      ],
      backups: [[2, 3]],
    })
    expect(brief(single, [segment(single, 1)])).toBe('(backup b2)')
  })

  test('both of two that hold the same costs what they hold, and is told of each', () => {
    const doubled = catalogueOf({
      segments: [
        [1, 4],
        [5, 8],
      ],
      backups: [[2, 8]],
    })
    const both = [segment(doubled, 1), fileOf(doubled, 0, 'log/log.0000000001')]
    expect(brief(doubled, both)).toBe('1:5-8 | 1:5-8')
  })

  test('two that follow each other is told of each, though mending one alone would not help', () => {
    expect(brief(plain, [segment(plain, 0), segment(plain, 1)])).toBe('1:3-7 | 1:5-7')
    expect(lostBy(plain, [segment(plain, 0), segment(plain, 1)]).total).toMatchObject([
      { fromLsn: 3, throughLsn: 7 },
    ])
  })

  test('a backup costs what no older one reaches', () => {
    expect(brief(plain, [manifest(plain, 0)])).toBe('1:2-7')
    expect(brief(plain, [fileOf(plain, 0, 'checkpoint/tables/000005.ldb')])).toBe('1:2-7')
    expect(brief(plain, [manifest(plain, 1)])).toBe('(backup b2, segment/3)')
    expect(brief(plain, [fileOf(plain, 1, 'checkpoint/tables/000005.ldb')])).toBe('(backup b2)')
  })

  test('a file of a backup that recovery does not need, or a pushed file, costs no point in time', () => {
    expect(brief(plain, [fileOf(plain, 0, 'timberline.json')])).toBe('()')
    expect(brief(plain, [{ type: 'file', name: 'file/a' }])).toBe('()')
  })

  test('a piece costs its records and those of the pieces behind it', () => {
    const pieced = catalogueOf({
      pieces: [
        [1, 4],
        [5, 8],
        [9, 12],
      ],
      backups: [
        [1, 1],
        [9, 9],
      ],
    })
    expect(brief(pieced, [piece(pieced, 1)])).toBe('1:5-8 1:10-12')
    expect(brief(pieced, [piece(pieced, 2)])).toBe('1:10-12')
    const held = catalogueOf({ segments: [[1, 4]], pieces: [[5, 6]], backups: [[1, 6]] })
    expect(brief(held, [piece(held, 0)])).toBe('(backup b1)')
    const other = catalogueOf({
      segments: [[1, 4]],
      pieces: [[5, 6]],
      backups: [
        [1, 4],
        [4, 6],
      ],
    })
    expect(brief(other, [fileOf(other, 1, 'log/log.0000000009')])).toBe('(pieces of segment 9)')
  })

  test('an object that no backup reaches costs nothing that could be had before', () => {
    const early = catalogueOf({
      segments: [
        [1, 4],
        [5, 8],
      ],
      backups: [[5, 5]],
    })
    expect(brief(early, [segment(early, 0)])).toBe('()')
    const none = catalogueOf({ segments: [[1, 4]] })
    expect(brief(none, [segment(none, 0)])).toBe('()')
    const first = catalogueOf({ backups: [[5, 5]] })
    expect(brief(first, [manifest(first, 0)])).toBe('1:5-5')
  })

  test('log before a fork costs the timeline that goes on from there too', () => {
    const forked = catalogueOf({
      segments: [
        [1, 4],
        [5, 8],
        [7, 9, 2],
      ],
      backups: [[2, 2]],
      forkLsn: 6,
    })
    expect(brief(forked, [segment(forked, 1)])).toBe('1:5-8 2:7-9')
    expect(brief(forked, [segment(forked, 2)])).toBe('2:7-9')
  })
})

describe('a hole that the catalogue shows', () => {
  test('costs all behind it as far as the next backup', () => {
    const holed = catalogueOf({
      segments: [
        [1, 4],
        [9, 12],
      ],
      backups: [
        [2, 2],
        [11, 11],
      ],
    })
    const gap = { type: 'gap', timeline: 1, lsn: 5 } as const
    expect(lostBy(holed, [gap]).total).toMatchObject([{ fromLsn: 5, throughLsn: 10 }])
    expect(brief(holed, [gap])).toBe('1:5-10')
    const early = catalogueOf({
      segments: [
        [1, 4],
        [9, 12],
      ],
      backups: [[11, 11]],
    })
    expect(brief(early, [gap])).toBe('()')
    // Without a finding it is what retention let go.
    expect(lostBy(holed, []).total).toEqual([])
  })

  test('has the times of what is known around it, where anything is', () => {
    const open = catalogueOf({ segments: [], backups: [[2, 2]], pieces: [] })
    expect(lostBy(open, [manifest(open, 0)]).total).toEqual([
      { timeline: 1, fromLsn: 2, throughLsn: 2, fromCommittedAtUs: 20, throughCommittedAtUs: 20 },
    ])
    const behind = catalogueOf({
      pieces: [
        [1, 4],
        [5, 8],
        [9, 12],
      ],
      backups: [[2, 2]],
    })
    const holed = { ...behind, pieces: behind.pieces.toSpliced(1, 1) }
    expect(lostBy(holed, [{ type: 'gap', timeline: 1, lsn: 9 }]).each).toEqual([
      { ranges: [{ timeline: 1, fromLsn: 5, throughLsn: 12, fromCommittedAtUs: 40 }], coveredBy: [] },
    ])
  })
})

test('a timeline whose ancestry cannot be followed loses nothing that it had', () => {
  const broken: Catalogue = { ...plain, timelines: [{ timeline: 1, parent: 1, forkLsn: 3, begunAtUs: 0 }] }
  expect(lostBy(broken, [segment(broken, 0)])).toEqual({ total: [], each: [{ ranges: [], coveredBy: [] }] })
})

test('a point is lost exactly when the plan no longer finds a way to it', () => {
  const scene = fc.record({
    lengths: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
    backups: fc.uniqueArray(fc.tuple(fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 4 })), {
      maxLength: 3,
      selector: ([lsn]) => lsn,
    }),
    pieces: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
    damaged: fc.array(fc.boolean(), { minLength: 11, maxLength: 11 }),
  })
  fc.assert(
    fc.property(scene, ({ lengths, backups, pieces, damaged }) => {
      let end = 0
      const next = (length: number): readonly [number, number] => [end + 1, (end += length)]
      const segments = lengths.map(next)
      const tail = pieces.map(next)
      const ends = backups.map(([lsn, more]) => [Math.min(lsn, end), Math.min(lsn + more, end)] as const)
      const unique = ends.filter(([lsn], at) => ends.findIndex(([other]) => other === lsn) === at)
      const catalogue = catalogueOf({ segments, pieces: tail, backups: unique })
      const all = [
        ...catalogue.segments.map((_, at) => segment(catalogue, at)),
        ...catalogue.pieces.map((_, at) => piece(catalogue, at)),
        ...catalogue.backups.map((_, at) => manifest(catalogue, at)),
      ]
      const subjects = all.filter((_, at) => damaged[at] === true)
      const gone = new Set<unknown>(
        subjects.map((subject) =>
          subject.type === 'segment'
            ? subject.segment
            : subject.type === 'piece'
              ? subject.piece
              : subject.type === 'manifest'
                ? subject.backup
                : undefined,
        ),
      )
      const left = {
        ...catalogue,
        segments: catalogue.segments.filter((one) => !gone.has(one)),
        pieces: catalogue.pieces.filter((one) => !gone.has(one)),
        backups: catalogue.backups.filter((one) => !gone.has(one)),
      }
      const canReach = (from: Catalogue, lsn: number): boolean =>
        planRecovery(from, { type: 'lsn', lsn, edge: 'through' }, { timeline: 1 }).possible
      const { total } = lostBy(catalogue, subjects)
      for (let lsn = 1; lsn <= end; lsn++) {
        const isLost = total.some((range) => range.fromLsn <= lsn && lsn <= range.throughLsn)
        expect(isLost, `lsn ${lsn}`).toBe(canReach(catalogue, lsn) && !canReach(left, lsn))
      }
    }),
    { numRuns: 500 },
  )
})
