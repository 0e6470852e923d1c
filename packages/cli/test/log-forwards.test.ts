// What is removed between two looks at the folder of a log is no failure of who reads it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSegments, openLog, segmentName } from '@timberline/wal'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { readForwards } from '../src/log-forwards.ts'

const ALL = { beginLsn: 1, endLsn: Number.MAX_SAFE_INTEGER, sinceUs: 0, untilUs: Infinity }
let directory = ''

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'timberline-log-'))
  const log = await openLog({ directory, identity: { environmentId: '00'.repeat(16), timeline: 1 } })
  for (let turn = 0; turn < 3; turn += 1) {
    await log.commit(Buffer.from(`turn ${turn}`))
    await log.roll()
  }
  await log.close()
})

afterEach(() => rmSync(directory, { recursive: true }))

async function shown(removedAt: (look: number) => number | undefined): Promise<number[]> {
  let looks = 0
  const list: typeof listSegments = async (...words) => {
    const found = await listSegments(...words)
    const number = removedAt(looks++)
    if (number !== undefined) rmSync(join(directory, segmentName(number)), { force: true })
    return found
  }
  const lsns: number[] = []
  for await (const group of readForwards(directory, ALL, { list })) lsns.push(...group.map(({ lsn }) => lsn))
  return lsns
}

it('reads all records in order', async () => {
  expect(await shown(() => undefined)).toEqual([1, 2, 3])
})

it('begins where the log begins by now, as often as it is shortened meanwhile', async () => {
  expect(await shown((look) => [1, 2][look])).toEqual([3])
})

it('fails when a segment that is still listed cannot be read from', async () => {
  const gone = await listSegments(directory)
  rmSync(join(directory, segmentName(1)))
  const reading = readForwards(directory, ALL, { list: () => Promise.resolve(gone) })
  await expect(reading.next()).rejects.toMatchObject({ code: 'WAL_GAP' })
})
