// Small functions of data on the way from catalogue to report, each at its borders.
import type { Catalogue, PieceRef } from '@timberline/archive'
import { encodeTransaction } from '@timberline/engine'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { planRecovery } from '../src/index.ts'
import { atBoundary } from '../src/errors.ts'
import { type Branch, pathTo, rooted } from '../src/history/history.ts'
import { hasNoLinks } from '../src/restore/link-tree.ts'
import { ProgressMeter, type RecoveryProgress } from '../src/restore/progress.ts'
import { decodeReport } from '../src/restore/report.ts'
import { formatTimeUs } from '../src/plan/target.ts'
import { briefOf } from '../src/history/transaction-brief.ts'
import { transferAll, transfersMax } from '../src/transfer.ts'

afterEach(() => {
  vi.useRealTimers()
})

describe('the path to a timeline', () => {
  test('goes from the root to it, each with its own LSNs', () => {
    const branches: Branch[] = [
      { timeline: 1 },
      { timeline: 2, parent: 1, forkLsn: 10 },
      { timeline: 5, parent: 2, forkLsn: 4 },
    ]
    expect(pathTo(branches, 5)).toEqual([
      { timeline: 1, fromLsn: 1, throughLsn: 4 },
      { timeline: 2, fromLsn: 11, throughLsn: 4 },
      { timeline: 5, fromLsn: 5, throughLsn: Number.MAX_SAFE_INTEGER },
    ])
  })

  test('is none when an ancestor is unknown, a fork is untold, or a parent is not older', () => {
    expect(pathTo([{ timeline: 2, parent: 1, forkLsn: 4 }], 2)).toBeUndefined()
    expect(pathTo([{ timeline: 1 }, { timeline: 2, parent: 1 }], 2)).toBeUndefined()
    expect(pathTo([{ timeline: 2, parent: 2, forkLsn: 4 }], 2)).toBeUndefined()
  })
})

test('a timeline whose parent nobody knows is a root, and its other links stay', () => {
  const branches: Branch[] = [
    { timeline: 2, parent: 1, forkLsn: 4 },
    { timeline: 3, parent: 2, forkLsn: 6 },
  ]
  expect(rooted(branches)).toEqual([{ timeline: 2 }, { timeline: 3, parent: 2, forkLsn: 6 }])
  expect(rooted([{ timeline: 1 }, ...branches])).toEqual([{ timeline: 1 }, ...branches])
})

describe('pieces of one segment', () => {
  const piece = (position: number, endPosition: number, firstLsn: number, lastLsn: number): PieceRef => ({
    timeline: 1,
    segmentNumber: 1,
    position,
    endPosition,
    firstLsn,
    lastLsn,
    lastCommittedAtUs: lastLsn * 10,
    epoch: 1,
    name: `piece ${position}-${endPosition}`,
    storedBytes: 1,
  })
  const backup = {
    label: 'b1',
    timeline: 1,
    kind: 'full',
    lsn: 1,
    committedAtUs: 10,
    beginLsn: 2,
    endLsn: 1,
    endCommittedAtUs: 10,
    bytes: 1,
    name: 'b1',
    manifestSha256: '',
  } as const
  const planOf = (pieces: readonly PieceRef[], lsn: number): ReturnType<typeof planRecovery> =>
    planRecovery(
      {
        timelines: [{ timeline: 1 }],
        segments: [],
        pieces,
        backups: [backup],
        marks: [],
      } as unknown as Catalogue,
      { type: 'lsn', lsn, edge: 'through' },
    )
  const used = (pieces: readonly PieceRef[], lsn: number): unknown => {
    const plan = planOf(pieces, lsn)
    return plan.possible
      ? plan.spans.flatMap(({ span: { origin } }) => (origin.type === 'pieces' ? origin.pieces : []))
      : plan.code
  }

  test('that two shippers cut differently are put together without reading a byte twice', () => {
    const short = piece(0, 200, 1, 2)
    const long = piece(0, 300, 1, 3)
    const inside = piece(200, 300, 3, 3)
    const behind = piece(300, 400, 4, 4)
    expect(used([short, inside, long, behind], 4)).toEqual([long, behind])
    expect(used([behind, inside, short], 4)).toEqual([short, inside, behind])
  })

  test('behind a hole are known and cannot be read', () => {
    expect(used([piece(0, 200, 1, 2), piece(300, 400, 4, 4)], 2)).toHaveLength(1)
    expect(planOf([piece(0, 200, 1, 2), piece(300, 400, 4, 4)], 4)).toMatchObject({
      code: 'RECOVERY_LOG_GAP',
      missing: { fromLsn: 3, throughLsn: 4 },
    })
    expect(planOf([piece(96, 200, 1, 2)], 2)).toMatchObject({ code: 'RECOVERY_LOG_GAP' })
  })
})

describe('errors that reach the caller', () => {
  const run = (error: unknown, signal?: AbortSignal): Promise<unknown> =>
    // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- anything can be thrown, and must come out right
    atBoundary(signal, () => Promise.reject(error))

  test('are those of the system with a code, and an abort where one was asked for', async () => {
    const refused = Object.assign(new Error('no'), { code: 'ENOSPC' })
    await expect(run(refused)).rejects.toMatchObject({ code: 'RECOVERY_IO_FAILED', cause: refused })
    await expect(run(refused, AbortSignal.abort())).rejects.toMatchObject({
      code: 'RECOVERY_ABORTED',
      cause: refused,
    })
    await expect(run({ code: 'EIO' })).rejects.toMatchObject({ code: 'RECOVERY_IO_FAILED' })
  })

  test('are mistakes of ours as they are: nobody must take them for an answer of the disk', async () => {
    const mistake = new TypeError('x is not a function')
    await expect(run(mistake, new AbortController().signal)).rejects.toBe(mistake)
    const other = Object.assign(new Error('x'), { code: 'ERR_ASSERTION' })
    await expect(run(other)).rejects.toBe(other)
  })

  test('that a link cannot be made is told from every other failure', () => {
    for (const code of ['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK', 'EXDEV'])
      expect(hasNoLinks(Object.assign(new Error(code), { code }))).toBe(true)
    for (const error of [new Error('x'), undefined, Object.assign(new Error('x'), { code: 'EIO' })])
      expect(hasNoLinks(error)).toBe(false)
  })
})

describe('what a person reads', () => {
  test('a time has all six digits, also outside the years that a date can have', () => {
    expect(formatTimeUs(1_700_000_000_000_001)).toBe('2023-11-14T22:13:20.000001Z')
    expect(formatTimeUs(0)).toBe('1970-01-01T00:00:00.000000Z')
    expect(formatTimeUs(8.64e18)).toBe('+275760-09-13T00:00:00.000000Z')
    expect(formatTimeUs(8.65e18)).toBe('8650000000000000000 us')
  })

  test('a record is told by what it is, also one that cannot be read', () => {
    const record = { lsn: 3, committedAtUs: 30 }
    const operations = [{ type: 'put' as const, key: Buffer.from('k'), value: Buffer.from('v') }]
    const entry = { ...record, kind: 'entry' as const }
    expect(briefOf({ ...entry, payload: encodeTransaction({ operations, meta: { who: 'me' } }) })).toEqual({
      ...entry,
      operations: 1,
      meta: { who: 'me' },
    })
    expect(briefOf({ ...entry, payload: encodeTransaction({ operations }) })).not.toHaveProperty('meta')
    expect(briefOf({ ...entry, payload: Buffer.from('none of ours') })).toEqual({
      ...entry,
      unreadable: true,
    })
    expect(briefOf({ ...record, kind: 'note', payload: Buffer.from('{}') })).toEqual({
      ...record,
      kind: 'note',
    })
    expect(briefOf({ ...record, kind: 'mark', payload: Buffer.from('m') })).toMatchObject({ name: 'm' })
  })

  test('a label without a report is refused, so that no undefined report is printed', () => {
    expect(decodeReport({ lsn: 1, timeline: 2, proofs: [] })).toMatchObject({ lsn: 1 })
    for (const value of [undefined, null, 7, {}, { lsn: 1 }, { lsn: 1, timeline: 2 }]) {
      expect(() => decodeReport(value)).toThrow(
        expect.objectContaining({ code: 'RECOVERY_TARGET_NOT_EMPTY' }),
      )
    }
  })
})

describe('progress', () => {
  test('estimates by usual rates at first, and by its own once they are more than noise', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const seen: RecoveryProgress[] = []
    const meter = new ProgressMeter({ baseBytes: 1000, records: 100 }, (progress) => seen.push(progress))
    meter.begin('restore')
    expect(seen.at(-1)?.secondsLeft).toBeCloseTo(1000 / 100e6 + 100 / 100e3)
    vi.advanceTimersByTime(500)
    meter.addBaseBytes(500)
    // 500 bytes in half a second: as much again for the other half.
    expect(seen.at(-1)).toMatchObject({ baseBytes: 500, secondsLeft: 0.5 + 100 / 100e3 })
    meter.addBaseBytes(500)
    meter.begin('replay')
    vi.advanceTimersByTime(1000)
    meter.setRecords(0)
    meter.setRecords(50)
    vi.advanceTimersByTime(100)
    meter.setRecords(55)
    expect(seen.at(-1)).toMatchObject({ phase: 'replay', records: 55, recordsTotal: 100 })
    expect(seen.at(-1)?.secondsLeft).toBeCloseTo(45 / 50)
    meter.setRecordsTotal(55)
    meter.begin('checkpoint')
    expect(seen.at(-1)?.secondsLeft).toBe(0)
  })

  test('is told at most ten times a second, and to nobody when nobody asked', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const seen: number[] = []
    const meter = new ProgressMeter({ baseBytes: 100, records: 0 }, ({ baseBytes }) => seen.push(baseBytes))
    vi.advanceTimersByTime(1000)
    for (let count = 0; count < 50; count++) {
      meter.addBaseBytes(1)
      vi.advanceTimersByTime(10)
    }
    expect(seen).toEqual([1, 11, 21, 31, 41])
    expect(() => new ProgressMeter({ baseBytes: 1, records: 1 }, undefined).begin('digest')).not.toThrow()
  })
})

describe('transfers', () => {
  test('begin no further item after the first failure, and end those that were begun', async () => {
    const begun: number[] = []
    let ended = 0
    const work = async (item: number): Promise<void> => {
      begun.push(item)
      await new Promise((resolve) => setTimeout(resolve, item === 0 ? 1 : 20))
      if (item === 0) throw new Error('the first')
      ended += 1
    }
    const items = Array.from({ length: 40 }, (_, index) => index)
    await expect(transferAll(items, work)).rejects.toThrow('the first')
    expect(begun).toEqual(items.slice(0, transfersMax))
    expect(ended).toBe(transfersMax - 1)
  })
})
