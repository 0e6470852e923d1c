/*
 * Fault model: the source hands out segments that are whole and not what the plan promised: they end early, skip records, repeat
 * them, or belong to other times than the catalogue says. A reader of the plan's log must refuse each by name; it must never
 * end before the promised record as if that were the end of history.
 */
import { join } from 'node:path'
import { openLog, segmentName, readFileWhole } from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import type { PathSpan } from '../src/history/coverage.ts'
import type { Span } from '../src/history/history.ts'
import { LogReader } from '../src/source/log-reader.ts'
import type { RecoveryPlan } from '../src/plan/plan.ts'
import type { LocalSegment, RecoverySource } from '../src/source/source.ts'
import { resolveEnd } from '../src/restore/target-end.ts'

const environmentId = 'e'.repeat(32)

interface Scene {
  readonly disk: CrashFileSystem
  readonly reader: LogReader
  /** Paths that were given out, in order. */
  readonly fetched: string[]
}

/** Sealed segments of three records each, at ten microseconds a record; a span's origin names the files it is read from. */
async function scene(segments = 3): Promise<Scene> {
  const disk = new CrashFileSystem()
  let clock = 0
  const log = await openLog({
    directory: '/log',
    identity: { environmentId, timeline: 1 },
    fileSystem: disk,
    now: () => (clock += 10),
    preallocateBytes: 0,
    segmentAgeMsMax: 0,
  })
  for (let count = 0; count < segments; count++) {
    await log.commit(Buffer.from('a'))
    await Promise.all([log.commit(Buffer.from('b')), log.commit(Buffer.from('c'))])
    await log.roll()
  }
  await log.close()
  const fetched: string[] = []
  const fetchSpan = ({ origin }: Span): Promise<readonly LocalSegment[]> => {
    const path = origin.type === 'files' ? origin.path : ''
    fetched.push(path)
    return Promise.resolve(path.split('+').map((part) => ({ path: part, last: false, isCopy: false })))
  }
  const source = { environmentId, fetchSpan } as unknown as RecoverySource
  return { disk, fetched, reader: new LogReader(source, { directory: '/log', fileSystem: disk }) }
}

/** Records `fromLsn` to `throughLsn`, to be read from the segments with these numbers. */
function part(fromLsn: number, throughLsn: number, ...numbers: readonly number[]): PathSpan {
  const path = numbers.map((number) => join('/log', segmentName(number))).join('+')
  const span: Span = {
    timeline: 1,
    firstLsn: fromLsn,
    lastLsn: throughLsn,
    lastCommittedAtUs: throughLsn * 10,
    bytes: 1,
    origin: { type: 'files', directory: '/log', path, last: false },
  }
  return { span, fromLsn, throughLsn }
}

async function lsnsOf(reader: LogReader, ...parts: readonly PathSpan[]): Promise<number[]> {
  const lsns: number[] = []
  for await (const group of reader.read(parts)) lsns.push(...group.map(({ lsn }) => lsn))
  return lsns
}

describe('the log of a plan', () => {
  test('is read from span to span, and no file is opened behind the last record that is wanted', async () => {
    const { reader } = await scene()
    expect(await lsnsOf(reader, part(2, 3, 1), part(4, 8, 2, 3))).toEqual([2, 3, 4, 5, 6, 7, 8])
    // The second file does not exist: it must not be looked at.
    expect(await lsnsOf(reader, part(1, 3, 1, 99))).toEqual([1, 2, 3])
  })

  test('is refused when it ends before a promised record', async () => {
    const { reader } = await scene()
    await expect(lsnsOf(reader, part(1, 4, 1))).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
      details: { lsn: 4 },
    })
    await expect(reader.first(part(4, 4, 1))).rejects.toMatchObject({ code: 'RECOVERY_LOG_DAMAGED' })
  })

  test('is refused when records are missing at its beginning or between two spans', async () => {
    const { reader } = await scene()
    await expect(lsnsOf(reader, part(2, 6, 2))).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
      details: { lsn: 4 },
    })
    await expect(lsnsOf(reader, part(1, 3, 1), part(7, 9, 3))).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
      details: { lsn: 7 },
    })
  })

  test('is refused when commit times go back from one span to the next', async () => {
    const { disk, reader } = await scene()
    const late = await openLog({
      directory: '/late',
      identity: { environmentId, timeline: 1 },
      fileSystem: disk,
      now: () => 1_000_000,
      preallocateBytes: 0,
    })
    for (let count = 0; count < 3; count++) await late.commit(Buffer.from('late'))
    await late.roll()
    await late.close()
    const handle = await disk.open('/log/late', 'create')
    await handle.write(await readFileWhole(join('/late', segmentName(1)), disk), 0)
    await handle.close()
    const first = part(1, 3, 1)
    const lateSpan = { ...first.span, origin: { ...first.span.origin, path: '/log/late' } as Span['origin'] }
    await expect(lsnsOf(reader, { ...first, span: lateSpan }, part(4, 6, 2))).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
      details: { lsn: 4 },
    })
  })
})

describe('the end of a recovery to a time inside a span', () => {
  const target = (atUs: number, edge: 'before' | 'through' = 'through') =>
    ({ type: 'time', atUs, edge }) as const
  const plan = (more: Partial<RecoveryPlan>): RecoveryPlan =>
    ({ possible: true, spans: [part(1, 3, 1)], throughLsnMax: 3, ...more }) as RecoveryPlan

  test('is the record before the first that is dropped', async () => {
    const { reader } = await scene()
    const times: number[] = []
    for await (const group of reader.read([part(1, 6, 1, 2)]))
      times.push(...group.map((record) => record.committedAtUs))
    const [, second = 0, third = 0, fourth = 0] = times
    expect(await resolveEnd(plan({ target: target(second) }), reader)).toBe(2)
    expect(await resolveEnd(plan({ target: target(second, 'before') }), reader)).toBe(1)
    // The last record is exactly at the time: nothing behind it need be known.
    expect(await resolveEnd(plan({ target: target(third) }), reader)).toBe(3)
    const next = part(4, 6, 2)
    expect(await resolveEnd(plan({ target: target(fourth - 1), next }), reader)).toBe(3)
  })

  test('is refused when nothing proves that no commit is missing, or when the catalogue has other times', async () => {
    const { reader } = await scene()
    await expect(resolveEnd(plan({ target: target(1e9) }), reader)).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_AFTER_END',
      details: { lsn: 3 },
    })
    await expect(
      resolveEnd(plan({ target: target(1e9), next: part(4, 6, 2) }), reader),
    ).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
      details: { lsn: 4 },
    })
  })

  test('needs no log when the plan knows it, or when there is nothing behind the base', async () => {
    const { reader, fetched } = await scene()
    expect(await resolveEnd(plan({ target: target(5), throughLsn: 2 }), reader)).toBe(2)
    expect(await resolveEnd(plan({ target: target(5), spans: [], throughLsnMax: 0 }), reader)).toBe(0)
    expect(fetched).toEqual([])
  })
})
