/** `archive list` never names a log file that a backup, an archive or recovery still needs, whatever comes together. */
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homeLayout, newestCheckpoint, TimberLevel } from '@timberline/engine'
import { type Hold, placeHold, removeConfirmation, segmentName, writeConfirmation } from '@timberline/wal'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { timberline } from './terminal.ts'

const SEGMENTS = 6
let folder = ''
let home = ''
let logDirectory = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-archive-list-'))
  home = join(folder, 'home')
  logDirectory = homeLayout(home).logDirectory
  const db = new TimberLevel<string, string>(home)
  await db.open()
  const hold = await placeHold(logDirectory, { purpose: 'keep all segments' })
  for (let n = 1; n < SEGMENTS; n++) {
    await db.put(`k${String(n)}`, 'v')
    await db.switchSegment()
  }
  await db.put('last', 'v')
  await db.close()
  await hold.release()
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** The numbers of the segments that the command names. */
async function listed(): Promise<readonly number[]> {
  const { code, out } = await timberline(['archive', 'list', '-h', home])
  expect(code).toBe(0)
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => Number(line.slice('log.'.length)))
}

const upTo = (last: number): readonly number[] => Array.from({ length: Math.max(0, last) }, (_, at) => at + 1)

test('names all below what the checkpoint, each hold and each archive need, and nothing more', async () => {
  const needed = (await newestCheckpoint(home))?.segmentNumber ?? 0
  const present = (await readdir(logDirectory)).filter((name) => name.startsWith('log.')).toSorted()
  expect(present).toEqual(expect.arrayContaining(upTo(SEGMENTS).map(segmentName)))
  expect(needed).toBeGreaterThanOrEqual(SEGMENTS)
  const holds = [undefined, ...upTo(needed + 1)]
  const confirmed = [undefined, 0, ...upTo(needed)]
  for (const held of holds) {
    const hold: Hold | undefined =
      held === undefined
        ? undefined
        : await placeHold(logDirectory, { purpose: 'a backup', fromSegment: held })
    for (const near of confirmed) {
      if (near !== undefined)
        await writeConfirmation(logDirectory, 'near', { segmentNumber: near, lsn: 0, timeline: 1 })
      for (const far of [undefined, 2]) {
        if (far !== undefined)
          await writeConfirmation(logDirectory, 'far', { segmentNumber: far, lsn: 0, timeline: 1 })
        const limits = [needed, held ?? Infinity, (near ?? Infinity) + 1, (far ?? Infinity) + 1]
        const expected = upTo(Math.min(...limits) - 1)
        expect(await listed(), `held ${String(held)}, near ${String(near)}, far ${String(far)}`).toEqual(
          expected,
        )
        await removeConfirmation(logDirectory, 'far')
      }
      await removeConfirmation(logDirectory, 'near')
    }
    await hold?.release()
  }
})

test('names nothing when an archive confirmed another timeline, of which it holds nothing here', async () => {
  await writeConfirmation(logDirectory, 'other', { segmentNumber: 99, lsn: 0, timeline: 2 })
  expect(await listed()).toEqual([])
  await removeConfirmation(logDirectory, 'other')
  expect((await listed()).length).toBeGreaterThan(2)
})
