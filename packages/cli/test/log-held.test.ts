// `stat` says for whom log is held: bytes, records, and the age of the oldest. A log of three segments, three archives, a given clock.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { listSegments, openLog, writeConfirmation } from '@timberline/wal'
import { expect, onTestFinished, test } from 'vitest'
import { heldFor, type HeldLog } from '../src/commands/log-held.ts'
import { limitRows } from '../src/commands/log-limit-rows.ts'
import { outcome, timberline } from './terminal.ts'

async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-held-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** Segments 1 and 2 of ten records each, and five in the third. */
async function threeSegments(): Promise<{ readonly log: HeldLog; readonly at: readonly number[] }> {
  const directory = await scratch()
  const log = await openLog({
    directory,
    identity: { environmentId: 'e0'.repeat(16), timeline: 2 },
    preallocateBytes: 0,
  })
  const at = [0]
  for (const count of [10, 10, 5]) {
    for (let index = 0; index < count; index++) at.push((await log.commit(Buffer.from('x'))).committedAtUs)
    if (count === 10) await log.roll()
  }
  await log.close()
  const segments = await listSegments(directory)
  return {
    log: { directory, timeline: 2, segments, neededFrom: 3, nowMs: (at[25] ?? 0) / 1000 + 60_000 },
    at,
  }
}

const confirmed = (segmentNumber: number, lsn: number, timeline = 2) => ({
  name: 'nas',
  segmentNumber,
  lsn,
  timeline,
  confirmedAtMs: 0,
})

test('what is held for an archive is what it lacks below the checkpoint', async () => {
  const { log, at } = await threeSegments()
  const [first, second] = log.segments.map(({ bytes }) => bytes)
  const bytes = { first: first ?? 0, second: second ?? 0 }
  const all = {
    heldSegments: 2,
    heldBytes: bytes.first + bytes.second,
    lackingRecords: 25,
    oldestLackingAtUs: at[1],
  }
  expect(await heldFor(log, confirmed(0, 0))).toMatchObject(all)
  expect(await heldFor(log, confirmed(40, 400, 1))).toMatchObject({ ...all, timeline: 1, lsn: 400 })
  // A piece of the second segment is there: its first three records are not lacking.
  expect(await heldFor(log, confirmed(1, 13))).toMatchObject({
    heldSegments: 1,
    heldBytes: bytes.second,
    lackingRecords: 12,
    oldestLackingAtUs: at[14],
  })
  expect(await heldFor(log, confirmed(2, 22))).toMatchObject({
    heldSegments: 0,
    heldBytes: 0,
    lackingRecords: 3,
  })
  expect(await heldFor(log, confirmed(2, 25))).toMatchObject({
    lackingRecords: 0,
    oldestLackingAtUs: null,
    oldestLackingSeconds: 0,
  })
  const { oldestLackingSeconds } = await heldFor(log, confirmed(2, 24))
  expect(oldestLackingSeconds).toBeCloseTo(60, 3)
})

test('what was released is not held, and without a checkpoint nothing is', async () => {
  const { log, at } = await threeSegments()
  const left = { ...log, segments: log.segments.slice(1) }
  expect(await heldFor(left, confirmed(0, 0))).toMatchObject({
    heldSegments: 1,
    lackingRecords: 15,
    oldestLackingAtUs: at[11],
  })
  expect(await heldFor({ ...log, neededFrom: 0 }, confirmed(0, 0))).toMatchObject({
    heldSegments: 0,
    lackingRecords: 25,
  })
})

test('stat tells it in words and as a document', async () => {
  const home = join(await scratch(), 'home')
  const db = new TimberLevel(home)
  await db.put('a', '1')
  await db.open()
  await writeConfirmation(join(home, 'log'), 'nas', { segmentNumber: 0, lsn: 0, timeline: 1 })
  await db.checkpoint()
  await db.close()
  const { archives } = await outcome(['stat', '-h', home])
  expect(archives).toMatchObject([
    {
      name: 'nas',
      heldSegments: expect.any(Number),
      heldBytes: expect.any(Number),
      lackingRecords: expect.any(Number),
    },
  ])
  expect((await timberline(['stat', '-h', home])).out).toMatch(
    /^archive nas +has no whole segment, LSN 0; \d+ segments, .*B, are held for it; it lacks \d+ records, the oldest .* old$/m,
  )
})

test('what the owner tells of its limits becomes rows', () => {
  const live = {
    logBytes: 830,
    stalled: false,
    logLimits: { logBytesMax: 1000, logAgeMsMax: 0, logFullPolicy: 'release' },
    fillingFor: [],
  }
  expect(limitRows(live)).toEqual([['log limit', '83 % of 1.0 kB; at the limit: release']])
  const both = { logBytesMax: 1000, logAgeMsMax: 7_200_000, logFullPolicy: 'stall' }
  expect(limitRows({ ...live, logLimits: both, stalled: true, fillingFor: ['nas', 's3'] })).toEqual([
    ['log limit', '83 % of 1.0 kB, 2 h 00 min of waiting; at the limit: stall'],
    ['FILLING', 'the log comes near its limit because of nas, s3'],
    ['STALLED', 'commits wait until the archives confirm'],
  ])
  expect(limitRows({ ...live, logLimits: { logBytesMax: 0, logAgeMsMax: 0 } })).toEqual([
    ['log limit', expect.stringMatching(/^none/)],
  ])
  for (const silent of [null, { unanswered: 'ENGINE_CONTROL_TIMEOUT' }, { logBytes: 1 }, 'x'])
    expect(limitRows(silent)).toEqual([])
})
