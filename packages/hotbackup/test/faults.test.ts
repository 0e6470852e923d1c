/**
 * Fault model: the file system below a backup refuses, or stops, at any one operation or at it and all later ones. `crash`
 * stops the process: everything it would still do, cleaning included, does not happen. The owner of the home is another
 * process and is not harmed; here it stands still, so that "unharmed" can be compared byte by byte.
 *
 * After each fault the target is absent, the older backup or the new one, never anything between; the home is as it was but
 * for marks of the dead; and the next backup succeeds and finds nothing left over.
 */
import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBackupManifest } from '@timberline/archive'
import type { TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { FaultFileSystem, failAt } from '@timberline/wal/testing'
import type { Fault, Injector } from '@timberline/wal/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { contents, copyOf, makeFolder, openUsedHome, restored, write } from './fixture.ts'

/** Above what Linux gives out. */
const DEAD_PID = 2 ** 22 + 1

let folder = ''
let home = ''
let older = ''
let olderLsn = 0
let newLsn = 0
let db: TimberLevel<string, string>
let target = ''

beforeAll(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  older = join(folder, 'older')
  db = await openUsedHome(home)
  olderLsn = (await hotbackup({ home, target: older })).lsn
  const { n } = await restored(older)
  await write(db, n + 10)
  newLsn = (await hotbackup({ home, target: join(folder, 'newer') })).lsn
  expect(newLsn).toBe(olderLsn + 10)
  expect((await restored(join(folder, 'newer'))).n).toBe(n + 10)
})

afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** One backup with one fault; `undefined` when it failed. */
async function attempt(
  injector: Injector | undefined,
  update = false,
): Promise<{ result?: BackupResult; error?: unknown; count: number }> {
  const fileSystem = new FaultFileSystem(nodeFileSystem, injector)
  try {
    const result = await hotbackup({ home, target, fileSystem, digest: false, update })
    return { result, count: fileSystem.operations.length }
  } catch (error) {
    return { error, count: fileSystem.operations.length }
  } finally {
    await fileSystem.releaseHandles()
  }
}

async function begin(withOlder: boolean): Promise<void> {
  target = join(folder, 'targets', 'target')
  await rm(join(folder, 'targets'), { recursive: true, force: true })
  if (withOlder) await copyOf(older, target)
}

/** Makes the marks in a folder those of a process that died. */
async function bury(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    if (name.endsWith('.tmp'))
      await rename(path, path.replace(/\.\d+(\.[0-9a-f]{12}\.tmp)$/, `.${DEAD_PID}$1`))
    if (!name.startsWith('hold.')) continue
    const text = await readFile(path, 'utf8')
    await writeFile(path, text.replace(/"startedAt":\s*"\d+"/, '"startedAt":"1"'))
  }
}

/** Takes away what a dead backup left in the home, so that the next attempt does just the same operations. */
async function clearHome(): Promise<void> {
  for (const name of await readdir(join(home, 'log'))) {
    if (!name.startsWith('log.')) await rm(join(home, 'log', name))
  }
  for (const name of await readdir(home)) {
    if (name.startsWith('staging.')) await rm(join(home, name), { recursive: true })
  }
}

async function homeContents(): Promise<Record<string, string>> {
  const all = await contents(home)
  return Object.fromEntries(
    Object.entries(all).filter(([name]) => !/^(log\/\.?hold\.|staging\.|data\/LOG|lock\/)/.test(name)),
  )
}

/** Where the target stands: `older`, `new`, or `absent`; anything else fails. */
async function standing(): Promise<string> {
  const names = await readdir(join(folder, 'targets')).catch(() => [])
  if (!names.includes('target')) return 'absent'
  expect(await verifyBackup(target)).toEqual([])
  const { endLsn } = decodeBackupManifest(await readFile(join(target, 'backup.json')))
  if (endLsn === newLsn) return 'new'
  expect(endLsn).toBe(olderLsn)
  return 'older'
}

/** The old backup, if it is not the target, is whole under its `.old-` name. */
async function oldIsWhole(): Promise<boolean> {
  const name = (await readdir(join(folder, 'targets'))).find((each) => each.startsWith('target.old-'))
  return name !== undefined && (await verifyBackup(join(folder, 'targets', name))).length === 0
}

async function nextBackupFindsNothingLeft(): Promise<void> {
  await bury(join(home, 'log'))
  for (const name of await readdir(join(folder, 'targets')).catch(() => [])) {
    if (name.startsWith('target.partial-')) await bury(join(folder, 'targets', name))
  }
  await hotbackup({ home, target, digest: false })
  expect(await standing()).toBe('new')
  expect(await readdir(join(folder, 'targets'))).toEqual(['target'])
  expect((await readdir(home)).filter((name) => name.startsWith('staging.'))).toEqual([])
  expect((await readdir(join(home, 'log'))).filter((name) => !name.startsWith('log.'))).toEqual([])
}

const cases = [
  { what: 'a new target', withOlder: false, update: false },
  { what: 'the place of an older backup', withOlder: true, update: false },
  { what: 'an update', withOlder: true, update: true },
]

describe.each(cases)('a backup to $what', ({ withOlder, update }) => {
  it('whose process dies at any operation leaves a whole backup or none, and the home unharmed', async () => {
    await begin(withOlder)
    const { count, result } = await attempt(undefined, update)
    expect(result?.manifest.files.length).toBeGreaterThan(3)
    const before = await homeContents()
    const seen = { absent: 0, older: 0, new: 0 }
    for (let index = 1; index <= count; index += 1) {
      await begin(withOlder)
      await attempt(failAt(index, 'crash'), update)
      const stands = await standing()
      if (stands === 'absent' && withOlder) expect(await oldIsWhole(), `operation ${index}`).toBe(true)
      seen[stands as keyof typeof seen] += 1
      expect(await homeContents()).toEqual(before)
      if (index % 7 === 0 || stands === 'absent') await nextBackupFindsNothingLeft()
      else await clearHome()
    }
    console.log(`${count} operations; after a crash the target was`, seen)
    expect(seen.new).toBeGreaterThan(0)
    expect(withOlder ? seen.older : seen.absent).toBeGreaterThan(count / 2)
  }, 240_000)

  const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'EIO-after']
  it.each(faults)(
    'that meets %s at any operation either stands or leaves everything as it was',
    async (fault) => {
      await begin(withOlder)
      const { count } = await attempt(undefined, update)
      const before = await homeContents()
      let failed = 0
      for (let index = 1; index <= count; index += 1) {
        await begin(withOlder)
        const { result, error } = await attempt(failAt(index, fault), update)
        const stands = await standing()
        if (result !== undefined) expect(stands, `operation ${index}`).toBe('new')
        else {
          failed += 1
          expect(stands, `operation ${index}: ${String(error)}`).toBe(withOlder ? 'older' : 'absent')
          expect(error, `operation ${index}`).toMatchObject({
            code: expect.stringMatching(/^[A-Z]+_[A-Z_]+$/) as string,
          })
        }
        expect(await homeContents()).toEqual(before)
        const names = await readdir(join(folder, 'targets')).catch(() => [])
        const leftovers = names.filter((name) => name !== 'target')
        const told = [...(result?.leftBehind ?? [])].length
        // One fault can hit the cleaning itself; what stays then is told, and removed by the next backup.
        expect(leftovers.length, `operation ${index}: ${leftovers.join()}`).toBeLessThanOrEqual(
          Math.max(told, result === undefined ? 0 : 1),
        )
        if (leftovers.length > 0) await nextBackupFindsNothingLeft()
        await bury(join(home, 'log'))
      }
      expect(failed).toBeGreaterThan(count / 2)
    },
    240_000,
  )

  it('that meets a broken disk from any operation on leaves a whole backup or none', async () => {
    await begin(withOlder)
    const { count } = await attempt(undefined, update)
    for (let index = 1; index <= count; index += 3) {
      await begin(withOlder)
      await attempt(failAt(index, 'EIO', { once: false }), update)
      const stands = await standing()
      if (stands === 'absent' && withOlder) expect(await oldIsWhole(), `operation ${index}`).toBe(true)
      await clearHome()
    }
    await nextBackupFindsNothingLeft()
  }, 240_000)
})
