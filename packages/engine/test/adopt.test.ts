import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FaultFileSystem, crashAt, immediateFileSystem } from '@timberline/wal/testing'
import { ClassicLevel } from 'classic-level'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { strikesAll } from '../../../tools/matrix-sample.ts'
import { adopt, unadopt } from '../src/adopt/adopt.ts'
import { newestCheckpoint } from '../src/checkpoint/checkpoint-manifest.ts'
import { stateDigest } from '../src/tables/digest.ts'
import { codeOf } from '../src/errors.ts'
import { admitHome } from '../src/home/home-admission.ts'
import { clearBackupDue, readBackupDue } from '../src/home/home-backup-due.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { HomeFixture, visibleState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

/** Between the operations that are struck. */
const STRIDE = strikesAll ? 1 : 3

const folder = scratchFolder()
// The tests that stop at every operation take long on a busy machine.
vi.setConfig({ testTimeout: 180_000 })
const plain = join(folder, 'plain')
const expected = new Map<string, string>()
let homes = 0

function copyOfPlain(): string {
  homes += 1
  const home = join(folder, `home${homes}`)
  cpSync(plain, home, { recursive: true })
  return home
}

beforeAll(async () => {
  const level = new ClassicLevel<string, string>(plain, { writeBufferSize: 64 * 1024 })
  for (let index = 0; index < 600; index += 1) {
    const [key, value] = [`plain${String(index % 500).padStart(5, '0')}`, `${index}`.repeat(20)]
    await level.put(key, value)
    expected.set(key, value)
  }
  // What is only in LevelDB's own log must come along.
  await level.put('plain last', 'in the log only')
  expected.set('plain last', 'in the log only')
  await level.close()
})

async function expectPlain(location: string): Promise<void> {
  const level = new ClassicLevel<string, string>(location, { createIfMissing: false })
  await level.open()
  expect(new Map(await level.iterator().all())).toEqual(
    new Map([...expected].toSorted(([a], [b]) => (a < b ? -1 : 1))),
  )
  await level.close()
}

async function expectAdopted(home: string): Promise<void> {
  const fixture = await HomeFixture.open(home)
  expect(fixture.report).toMatchObject({ created: false, throughLsn: 0 })
  expect(await fixture.state()).toEqual(new Map([...expected].toSorted(([a], [b]) => (a < b ? -1 : 1))))
  await fixture.close()
}

describe('adopting a plain LevelDB', () => {
  test('moves its files, keeps all of its data, and is then due for a full backup', async () => {
    const home = copyOfPlain()
    await expect(admitHome(home)).rejects.toMatchObject({ code: 'ENGINE_HOME_NOT_ADOPTED' })
    const report = await adopt(home)
    expect(report.tables).toBeGreaterThan(0)
    expect(report.identity.adoptedAtUs).toBe(report.identity.createdAtUs)
    expect(readdirSync(home).toSorted()).toEqual([
      'backup-due.json',
      'checkpoint',
      'data',
      'lock',
      'timberline.json',
    ])
    expect(await admitHome(home)).toEqual(report.identity)
    expect((await newestCheckpoint(home))?.lsn).toBe(0)
    await expectAdopted(home)
    expect(await readBackupDue(home)).toMatchObject({ reason: 'adopted' })
    await clearBackupDue(home)
    await clearBackupDue(home)
    expect(await readBackupDue(home)).toBeUndefined()
  })

  test('can be rebuilt from its first checkpoint, and without that is never taken for empty', async () => {
    const home = copyOfPlain()
    await adopt(home)
    rmSync(homeLayout(home).dataDirectory, { recursive: true })
    await expectAdopted(home)
    rmSync(homeLayout(home).dataDirectory, { recursive: true })
    rmSync(homeLayout(home).checkpointDirectory, { recursive: true })
    await expect(HomeFixture.open(home)).rejects.toMatchObject({ code: 'ENGINE_STATE_LOST' })
  })

  test('has a way back that keeps what was committed since', async () => {
    const home = copyOfPlain()
    await adopt(home)
    const fixture = await HomeFixture.open(home)
    await fixture.commit(30)
    const digest = await stateDigest(fixture.level, 0)
    await fixture.close()
    const report = await unadopt(home)
    expect(report.lsn).toBe(30)
    expect(readdirSync(home).filter((name) => !/^(\d+\.|MANIFEST|CURRENT|LOCK|LOG)/.test(name))).toEqual([
      'timberline.released',
    ])
    const level = new RawLevel(home)
    await level.open({ createIfMissing: false })
    expect(await stateDigest(level, 0)).toEqual(digest)
    // No key of ours is left in it.
    expect((await visibleState(level)).size).toBe((await level.keys().all()).length)
    await level.close()
    await adopt(home)
    await unadopt(home)
  })

  test('stopped before any single operation on files, is finished by running it again', async () => {
    let stops = 0
    for (let index = 1; ; index += STRIDE) {
      const home = copyOfPlain()
      const fileSystem = new FaultFileSystem(immediateFileSystem, crashAt(index))
      const stopped = await adopt(home, { fileSystem }).then(
        () => false,
        () => true,
      )
      if (!stopped) break
      stops += 1
      // Whatever a plain LevelDB makes of the folder as it is now, it must not take it for new.
      const names = readdirSync(home)
      expect(names.includes('CURRENT') || !names.some((name) => name.endsWith('.ldb'))).toBe(true)
      const admitted = await admitHome(home).then(() => 'admitted', codeOf)
      expect(['ENGINE_ADOPT_UNFINISHED', 'ENGINE_HOME_NOT_ADOPTED', 'admitted']).toContain(admitted)
      // Refused: it had ended but for the last words.
      const again = await adopt(home).then(() => 'done', codeOf)
      expect(again).toBe(admitted === 'admitted' ? 'ENGINE_ADOPT_REFUSED' : 'done')
      await expectAdopted(home)
      rmSync(home, { recursive: true })
    }
    expect(stops * STRIDE).toBeGreaterThan(40)
  })

  test('the way back, stopped before any single operation on files, is finished by running it again', async () => {
    const adopted = copyOfPlain()
    await adopt(adopted)
    let stops = 0
    for (let index = 1; ; index += STRIDE) {
      homes += 1
      const home = join(folder, `home${homes}`)
      cpSync(adopted, home, { recursive: true })
      const fileSystem = new FaultFileSystem(immediateFileSystem, crashAt(index))
      const stopped = await unadopt(home, { fileSystem }).then(
        () => false,
        () => true,
      )
      if (!stopped) break
      stops += 1
      const names = readdirSync(home)
      expect(names.includes('CURRENT') || !names.some((name) => name.endsWith('.ldb'))).toBe(true)
      // Missing: the way back had ended but for the last words.
      expect(['done', 'ENGINE_HOME_MISSING']).toContain(await unadopt(home).then(() => 'done', codeOf))
      await expectPlain(home)
      rmSync(home, { recursive: true })
    }
    expect(stops * STRIDE).toBeGreaterThan(40)
  })

  test('refuses what is no closed plain LevelDB, and leaves it as it was', async () => {
    const home = copyOfPlain()
    await adopt(home)
    await expect(adopt(home)).rejects.toMatchObject({ code: 'ENGINE_ADOPT_REFUSED' })
    await expect(adopt(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'ENGINE_ADOPT_REFUSED' })
    await expect(unadopt(join(folder, 'nowhere'))).rejects.toMatchObject({ code: 'ENGINE_HOME_MISSING' })
    const broken = copyOfPlain()
    writeFileSync(join(broken, 'CURRENT'), 'MANIFEST-999999\n')
    await expect(adopt(broken)).rejects.toMatchObject({ code: 'ENGINE_ADOPT_REFUSED' })
    expect(readdirSync(broken)).not.toContain('data')
  })

  test('refuses a database with keys in the reserved zone', async () => {
    const home = copyOfPlain()
    const level = new RawLevel(home)
    await level.open()
    await level.put(Buffer.alloc(20, 0xff), Buffer.from('mine'))
    await level.close()
    await expect(adopt(home)).rejects.toMatchObject({ code: 'ENGINE_ADOPT_KEY_RESERVED' })
    expect(readdirSync(home)).toContain('CURRENT')
    expect(readdirSync(home)).not.toContain('adopt.json')
  })
})
