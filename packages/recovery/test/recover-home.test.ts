import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { placeHold, segmentName } from '@timberline/wal'
import { expect, test } from 'vitest'
import { recoverHome } from '../src/index.ts'
import { exists, scratchFolder } from './environment.ts'

/** A home with twenty commits. */
async function writtenHome(): Promise<string> {
  const home = join(await scratchFolder(), 'home')
  const db = new TimberLevel(home)
  for (let n = 1; n <= 10; n++) await db.put(`k${n}`, `v${n}`)
  await db.checkpoint()
  for (let n = 11; n <= 20; n++) await db.put(`k${n}`, `v${n}`)
  await db.close()
  return home
}

async function valuesOf(home: string): Promise<readonly string[]> {
  const db = new TimberLevel(home, { createIfMissing: false })
  const values = await db.values().all()
  await db.close()
  return values.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))
}

const all = Array.from({ length: 20 }, (_, index) => `v${index + 1}`)

test('normal recovery replays the log and says so', async () => {
  const home = await writtenHome()
  const report = await recoverHome(home)
  expect(report).toMatchObject({ home, timeline: 1, catastrophic: false, opened: { created: false } })
  expect(await valuesOf(home)).toEqual(all)
})

test('catastrophic recovery rebuilds the data files from checkpoint and log', async () => {
  const home = await writtenHome()
  const report = await recoverHome(home, { catastrophic: true })
  expect(report.opened.state.rebuilt).toBe(true)
  expect(await valuesOf(home)).toEqual(all)
  expect(await exists(join(home, 'data.aside'))).toBe(false)
})

test('a mistyped home is an error, and nothing is made there', async () => {
  const home = join(await scratchFolder(), 'hmoe')
  await expect(recoverHome(home)).rejects.toMatchObject({ code: 'ENGINE_HOME_MISSING' })
  expect(await exists(home)).toBe(false)
})

test('under a live process it is refused, with -c too', async () => {
  const home = await writtenHome()
  const db = new TimberLevel(home)
  await db.open()
  await expect(recoverHome(home)).rejects.toMatchObject({ code: 'ENGINE_HOME_LOCKED' })
  await expect(recoverHome(home, { catastrophic: true })).rejects.toMatchObject({
    code: 'ENGINE_HOME_LOCKED',
  })
  expect(await db.get('k7')).toBe('v7')
  await db.close()
})

test('a home whose log is gone is refused, not opened empty', async () => {
  const home = await writtenHome()
  const { logDirectory, checkpointDirectory, dataDirectory } = homeLayout(home)
  await rm(logDirectory, { recursive: true })
  await expect(recoverHome(home)).rejects.toMatchObject({
    code: 'RECOVERY_LOG_LOST',
    details: { logDirectory },
  })
  await rm(checkpointDirectory, { recursive: true })
  await rm(dataDirectory, { recursive: true })
  await expect(recoverHome(home, { catastrophic: true })).rejects.toMatchObject({ code: 'RECOVERY_LOG_LOST' })
})

test('a missing segment is named, and a rebuild that fails costs no data files', async () => {
  const home = join(await scratchFolder(), 'home')
  const { logDirectory, checkpointDirectory, dataDirectory } = homeLayout(home)
  const db = new TimberLevel(home)
  await db.open()
  const hold = await placeHold(logDirectory, { purpose: 'keep all segments' })
  for (let part = 0; part < 3; part++) {
    await db.put(`k${part}`, `v${part}`)
    await db.checkpoint()
  }
  await db.close()
  await hold.release()
  const tables = async (): Promise<readonly string[]> =>
    (await readdir(dataDirectory)).filter((name) => name.endsWith('.ldb'))
  const before = await tables()
  await cp(join(logDirectory, segmentName(2)), join(home, 'aside'))
  await rm(join(logDirectory, segmentName(2)))
  await expect(recoverHome(home)).rejects.toMatchObject({ code: 'WAL_GAP', details: { segmentNumber: 2 } })
  await cp(join(home, 'aside'), join(logDirectory, segmentName(2)))
  // Without its first segment and without a checkpoint, the log cannot rebuild anything.
  await rm(join(logDirectory, segmentName(1)))
  await rm(checkpointDirectory, { recursive: true })
  await expect(recoverHome(home, { catastrophic: true })).rejects.toMatchObject({ code: 'ENGINE_STATE_LOST' })
  expect(await tables()).toEqual(before)
})

test('catastrophic recovery of a home without data files rebuilds them, or leaves the home as it was', async () => {
  const home = await writtenHome()
  const { dataDirectory, checkpointDirectory, logDirectory } = homeLayout(home)
  await rm(dataDirectory, { recursive: true })
  expect((await recoverHome(home, { catastrophic: true })).opened.state.rebuilt).toBe(true)
  expect(await valuesOf(home)).toEqual(all)
  await rm(dataDirectory, { recursive: true })
  await rm(checkpointDirectory, { recursive: true })
  await rm(join(logDirectory, segmentName(1)), { force: true })
  await expect(recoverHome(home, { catastrophic: true })).rejects.toMatchObject({ code: 'ENGINE_STATE_LOST' })
  expect(await exists(join(home, 'data.aside'))).toBe(false)
})

test('a log folder without a segment is no log', async () => {
  const home = await writtenHome()
  const { logDirectory } = homeLayout(home)
  for (const name of await readdir(logDirectory)) await rm(join(logDirectory, name))
  await cp(join(home, 'timberline.json'), join(logDirectory, 'readme'))
  await expect(recoverHome(home)).rejects.toMatchObject({ code: 'RECOVERY_LOG_LOST' })
})
