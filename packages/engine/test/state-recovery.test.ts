import { copyFileSync, cpSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import { FaultFileSystem, crashAt, immediateFileSystem } from '@timberline/wal/testing'
import { describe, expect, test, vi } from 'vitest'
import { strikesAll } from '../../../tools/matrix-sample.ts'
import { BULK_LOAD_MARK } from '../src/records/bulk-load-mark.ts'
import { LoadStage } from '../src/checkpoint/checkpoint-load.ts'
import { newestCheckpoint } from '../src/checkpoint/checkpoint-manifest.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { VersionReader } from '../src/leveldb/leveldb-version.ts'
import { verifyData } from '../src/state/state-verify.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'
import { HomeFixture, expectedState, inData, operationsOf } from './support/home-fixture.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

/** Between the operations that are struck. */
const STRIDE = strikesAll ? 1 : 3

const folder = scratchFolder()
// The tests that stop at every operation take long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })
let homes = 0

function newHome(): string {
  homes += 1
  return join(folder, `home${homes}`)
}

/** A closed home: transactions through `checkpointLsn` in a checkpoint, then more that only the log has for sure. */
async function makeHome(checkpointLsn: number, more: number): Promise<string> {
  const home = newHome()
  const fixture = await HomeFixture.open(home)
  await fixture.commit(checkpointLsn)
  if (checkpointLsn > 0) await fixture.checkpoint()
  await fixture.commit(more)
  await fixture.close()
  return home
}

/** From how many records on a rebuilt state comes forward before LevelDB opens it: a rebuild must come to the same both ways. */
const WAYS = [
  ['in tables made beside LevelDB', 1],
  ['through LevelDB', 1_000_000],
] as const

async function reopened(home: string, lsn: number, atRestRecordsMin?: number): Promise<HomeFixture> {
  const fixture = await HomeFixture.open(home, atRestRecordsMin === undefined ? {} : { atRestRecordsMin })
  expect(fixture.report.throughLsn).toBe(lsn)
  expect(await fixture.level.applied()).toMatchObject({ lsn })
  expect(await fixture.state()).toEqual(expectedState(lsn))
  return fixture
}

function leveldbLogs(home: string): string[] {
  const { dataDirectory } = homeLayout(home)
  return readdirSync(dataDirectory).filter((name) => name.endsWith('.log'))
}

describe('recovery at open', () => {
  test('makes a new environment new and empty', async () => {
    const fixture = await HomeFixture.open(newHome())
    expect(fixture.report).toMatchObject({ created: true, replayed: 0, throughLsn: 0, rebuilt: false })
    await fixture.close()
  })

  test('replays what LevelDB had only in its own log, from the flush on', async () => {
    const fixture = await reopened(await makeHome(100, 40), 140)
    expect(fixture.report).toMatchObject({ created: false, replayed: 40, fromLsn: 101, rebuilt: false })
    await fixture.close()
  })

  test('replays nothing after a checkpoint', async () => {
    const fixture = await reopened(await makeHome(100, 0), 100)
    expect(fixture.report).toMatchObject({ replayed: 0, fromLsn: 101, rebuilt: false })
    await fixture.close()
  })

  test('survives any damage of the LevelDB log, which it never trusts', async () => {
    const home = await makeHome(200, 150)
    const random = seededRandom(5)
    const damages = {
      cut: (bytes: Buffer) => bytes.subarray(0, Math.floor(random() * bytes.length)),
      zeroedTail: (bytes: Buffer) => Buffer.from(bytes).fill(0, Math.floor(random() * bytes.length)),
      zeroedBlock: (bytes: Buffer) => {
        const at = Math.floor(random() * bytes.length)
        return Buffer.from(bytes).fill(0, at, Math.min(at + 4096, bytes.length))
      },
      garbage: (bytes: Buffer) =>
        Buffer.concat([bytes, Buffer.from(Array.from({ length: 500 }, () => random() * 256))]),
      movedBlock: (bytes: Buffer) => {
        const moved = Buffer.from(bytes)
        bytes.copy(moved, Math.floor(random() * bytes.length), 0, 4096)
        return moved
      },
    }
    let damaged = 0
    for (const damage of Object.values(damages)) {
      for (let trial = 0; trial < 6; trial += 1) {
        const copy = newHome()
        cpSync(home, copy, { recursive: true })
        for (const name of leveldbLogs(copy)) {
          const path = inData(homeLayout(copy), name)
          const bytes = readFileSync(path)
          if (bytes.length === 0) continue
          writeFileSync(path, damage(bytes))
          damaged += 1
        }
        const fixture = await reopened(copy, 350)
        expect(fixture.report.rebuilt).toBe(false)
        await fixture.close()
        rmSync(copy, { recursive: true })
      }
    }
    expect(damaged).toBeGreaterThanOrEqual(30)
  })

  test.each(WAYS)(
    'rebuilds from the checkpoint when CURRENT is gone, and deletes no table before: %s',
    async (_, atRestRecordsMin) => {
      const home = await makeHome(300, 60)
      rmSync(inData(homeLayout(home), 'CURRENT'))
      const fixture = await reopened(home, 360, atRestRecordsMin)
      expect(fixture.report).toMatchObject({
        rebuilt: true,
        reason: 'missing',
        checkpointLsn: 300,
        replayed: 60,
      })
      await fixture.close()
    },
  )

  test.each(WAYS)('rebuilds from the checkpoint when data/ is gone: %s', async (_, atRestRecordsMin) => {
    const home = await makeHome(300, 60)
    rmSync(homeLayout(home).dataDirectory, { recursive: true })
    const fixture = await reopened(home, 360, atRestRecordsMin)
    expect(fixture.report).toMatchObject({
      rebuilt: true,
      reason: 'missing',
      checkpointLsn: 300,
      created: false,
      fromLsn: 301,
      replayed: 60,
    })
    await fixture.close()
  })

  test.each(WAYS)(
    'rebuilds from nothing but the log when there is no checkpoint: %s',
    async (_, atRestRecordsMin) => {
      const home = await makeHome(0, 120)
      rmSync(homeLayout(home).dataDirectory, { recursive: true })
      const fixture = await reopened(home, 120, atRestRecordsMin)
      expect(fixture.report).toMatchObject({
        rebuilt: true,
        reason: 'missing',
        fromLsn: 1,
        replayed: 120,
        created: false,
      })
      expect(fixture.report.checkpointLsn).toBeUndefined()
      await fixture.close()
    },
  )

  test('rebuilds what LevelDB cannot open: a missing table, a cut MANIFEST, a CURRENT that leads nowhere', async () => {
    const damages: ((home: string) => void)[] = [
      (home) => {
        const { dataDirectory } = homeLayout(home)
        rmSync(join(dataDirectory, readdirSync(dataDirectory).find((name) => name.endsWith('.ldb')) ?? ''))
      },
      (home) => {
        const { dataDirectory } = homeLayout(home)
        writeFileSync(
          join(dataDirectory, readdirSync(dataDirectory).find((name) => name.startsWith('MANIFEST')) ?? ''),
          '',
        )
      },
      (home) => writeFileSync(inData(homeLayout(home), 'CURRENT'), 'MANIFEST-999999\n'),
      (home) => writeFileSync(inData(homeLayout(home), 'CURRENT'), 'nothing'),
    ]
    for (const damage of damages) {
      const home = await makeHome(300, 60)
      damage(home)
      const fixture = await reopened(home, 360)
      expect(fixture.report).toMatchObject({ rebuilt: true, checkpointLsn: 300 })
      expect(['unopenable', 'behind']).toContain(fixture.report.reason)
      await fixture.close()
    }
  })

  test('rebuilds a state that a power cut took back behind its checkpoint', async () => {
    const home = newHome()
    let fixture = await HomeFixture.open(home)
    await fixture.commit(100)
    await fixture.checkpoint()
    await fixture.close()
    const old = `${home}.old`
    cpSync(homeLayout(home).dataDirectory, old, { recursive: true })
    fixture = await HomeFixture.open(home)
    await fixture.commit(100)
    await fixture.checkpoint()
    await fixture.commit(7)
    await fixture.close()
    rmSync(homeLayout(home).dataDirectory, { recursive: true })
    cpSync(old, homeLayout(home).dataDirectory, { recursive: true })
    fixture = await reopened(home, 207)
    expect(fixture.report).toMatchObject({ rebuilt: true, reason: 'behind', checkpointLsn: 200 })
    await fixture.close()
  })

  test('rebuilds a state that is ahead of the log, and keeps the old one', async () => {
    const home = await makeHome(100, 20)
    const level = new RawLevel(homeLayout(home).dataDirectory)
    await level.open()
    const batch = level.operationBatch()
    batch.put(Buffer.from('never durable'), Buffer.from('x'))
    await batch.write({ lsn: 130, committedAtUs: 1 })
    await level.compactRange(Buffer.alloc(32, 0xff), Buffer.alloc(32, 0xff))
    await level.close()
    const fixture = await reopened(home, 120)
    expect(fixture.report).toMatchObject({ rebuilt: true, reason: 'ahead', checkpointLsn: 100 })
    expect(existsSync(fixture.report.keptAt ?? '')).toBe(true)
    await fixture.close()
  })

  test('finds a flipped byte in a table when asked to verify, and rebuilds', async () => {
    const home = await makeHome(300, 60)
    const layout = homeLayout(home)
    // A copy of its own, so that the checkpoint's link keeps the sound content.
    const name = readdirSync(layout.dataDirectory).find((entry) => entry.endsWith('.ldb')) ?? ''
    const bytes = readFileSync(inData(layout, name))
    rmSync(inData(layout, name))
    bytes.writeUInt8(bytes.readUInt8(500) ^ 4, 500)
    writeFileSync(inData(layout, name), bytes)
    expect(await verifyData(layout)).toMatchObject([{ table: name, code: 'ENGINE_TABLE_DAMAGED' }])
    const fixture = await HomeFixture.open(home, { verify: true })
    expect(fixture.report).toMatchObject({ rebuilt: true, reason: 'damaged' })
    expect(await fixture.state()).toEqual(expectedState(360))
    expect(await verifyData(layout)).toEqual([])
    await fixture.close()
  })

  test('refuses by name when the checkpoint is damaged too and the log does not begin at 1', async () => {
    const home = newHome()
    const fixture = await HomeFixture.open(home)
    await fixture.commit(50)
    await fixture.log.roll()
    await fixture.commit(50)
    const { manifest } = await fixture.checkpoint()
    await fixture.log.removeSegmentsBelow(manifest.segmentNumber)
    await fixture.close()
    const layout = homeLayout(home)
    rmSync(layout.dataDirectory, { recursive: true })
    for (const { name } of manifest.tables) {
      const bytes = readFileSync(join(layout.tablesDirectory, name))
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)
      writeFileSync(join(layout.tablesDirectory, name), bytes)
    }
    await expect(HomeFixture.open(home)).rejects.toMatchObject({ code: 'ENGINE_STATE_LOST' })
    expect(existsSync(layout.dataDirectory)).toBe(false)
  })

  test('names what is missing when the log does not reach back to the state', async () => {
    const home = newHome()
    const fixture = await HomeFixture.open(home)
    await fixture.commit(50)
    await fixture.log.roll()
    await fixture.commit(50)
    await fixture.log.removeSegmentsBelow(2)
    await fixture.close()
    await expect(HomeFixture.open(home)).rejects.toMatchObject({
      code: 'ENGINE_LOG_GAP',
      details: { missingThroughLsn: 50 },
    })
  })

  test('refuses when the end of the log was taken away', async () => {
    const home = newHome()
    const fixture = await HomeFixture.open(home)
    await fixture.commit(50)
    await fixture.log.roll()
    await fixture.commit(50)
    await fixture.checkpoint()
    await fixture.close()
    rmSync(join(homeLayout(home).logDirectory, 'log.0000000002'))
    await expect(HomeFixture.open(home)).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENGINE_LOG_LOST|WAL_)/) as unknown,
    })
  })

  test('an interrupted switch to the rebuilt folder is done again', async () => {
    const home = await makeHome(100, 20)
    const layout = homeLayout(home)
    // As after a crash between the two renames, and with the debris of an older attempt.
    cpSync(layout.dataDirectory, join(home, 'data.rebuilding'), { recursive: true })
    cpSync(layout.dataDirectory, join(home, 'data.replaced'), { recursive: true })
    rmSync(layout.dataDirectory, { recursive: true })
    const fixture = await reopened(home, 120)
    expect(fixture.report).toMatchObject({ rebuilt: true, reason: 'missing' })
    await fixture.close()
    expect(readdirSync(home).filter((name) => name.startsWith('data'))).toEqual(['data'])
  })

  test.each(WAYS)(
    'stopped before any single operation on files while it rebuilds, it does it again: %s',
    async (_, atRestRecordsMin) => {
      const home = await makeHome(150, 20)
      rmSync(inData(homeLayout(home), 'CURRENT'))
      let stops = 0
      for (let index = 1; ; index += STRIDE) {
        const copy = newHome()
        cpSync(home, copy, { recursive: true })
        const fileSystem = new FaultFileSystem(immediateFileSystem, crashAt(index))
        const opened = await HomeFixture.open(copy, { fileSystem, atRestRecordsMin }).catch(() => undefined)
        if (opened !== undefined) {
          await opened.close()
          break
        }
        stops += 1
        const fixture = await reopened(copy, 170, atRestRecordsMin)
        await fixture.close()
        rmSync(copy, { recursive: true })
      }
      expect(stops * STRIDE).toBeGreaterThan(40)
    },
  )

  test.each(WAYS)(
    'goes on counting tables after a rebuild without spoiling the checkpoint: %s',
    async (_, atRestRecordsMin) => {
      const home = await makeHome(300, 60)
      rmSync(homeLayout(home).dataDirectory, { recursive: true })
      let fixture = await reopened(home, 360, atRestRecordsMin)
      for (let round = 0; round < 5; round += 1) {
        await fixture.commit(200)
        await fixture.checkpoint()
      }
      await fixture.close()
      rmSync(homeLayout(home).dataDirectory, { recursive: true })
      fixture = await reopened(home, 1360, atRestRecordsMin)
      expect(fixture.report).toMatchObject({ reason: 'missing', checkpointLsn: 1360, replayed: 0 })
      await fixture.close()
      expect((await newestCheckpoint(home))?.lsn).toBe(1360)
    },
  )

  test.each(WAYS)(
    'begins behind the mark of a load that no checkpoint holds yet: %s',
    async (_, atRestRecordsMin) => {
      const home = newHome()
      const loading = await HomeFixture.open(home)
      await loading.commit(50)
      const { layout, identity, level, log } = loading
      const reader = new VersionReader(layout.dataDirectory, nodeFileSystem)
      const stage = new LoadStage({ layout, identity, level, reader, fileSystem: nodeFileSystem }, undefined)
      await stage.write(51, { newest: undefined })
      log.append(Buffer.from(BULK_LOAD_MARK), { kind: 'mark' })
      for (let lsn = 52; lsn <= 60; lsn += 1) log.append(encodeTransaction({ operations: operationsOf(lsn) }))
      await log.sync()
      await loading.close()
      const fixture = await HomeFixture.open(home, { atRestRecordsMin })
      expect(fixture.report).toMatchObject({ reason: 'loaded', fromLsn: 52, replayed: 9, throughLsn: 60 })
      await fixture.close()
    },
  )

  test('an old LevelDB log put back by hand changes nothing', async () => {
    const home = await makeHome(100, 20)
    const [log = ''] = leveldbLogs(home)
    copyFileSync(inData(homeLayout(home), log), inData(homeLayout(home), '999999.log'))
    const fixture = await reopened(home, 120)
    expect(fixture.report.rebuilt).toBe(false)
    await fixture.close()
  })
})
