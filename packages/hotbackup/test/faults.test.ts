/**
 * Fault model: the file system below a backup refuses, or stops, at any one operation or at it and all later ones. `crash`
 * stops the process: everything it would still do, cleaning included, does not happen. The owner of the home is another
 * process and is not harmed; here it stands still, so that "unharmed" can be compared byte by byte.
 *
 * After each fault the target is absent, the older backup or the new one, never anything between; the home is as it was but
 * for marks of the dead; and the next backup succeeds and finds nothing left over.
 */
import { rmSync } from 'node:fs'
import { readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBackupManifest } from '@timberline/archive'
import type { TimberLevel } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { FaultFileSystem, failAt, failOn, immediateFileSystem } from '@timberline/wal/testing'
import type { Fault, Injector } from '@timberline/wal/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { contents, copyOf, makeFastFolder, openUsedHome, restored, write } from './fixture.ts'

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
  folder = await makeFastFolder()
  home = join(folder, 'home')
  older = join(folder, 'older')
  db = await openUsedHome(home)
  olderLsn = (await hotbackup({ home, target: older })).lsn
  const { n } = await restored(older)
  await write(db, n + 10)
  newLsn = (await hotbackup({ home, target: join(folder, 'newer') })).lsn
  if (newLsn !== olderLsn + 10) throw new Error('the two backups do not differ by what was written')
})

afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** Which kind of backup. */
interface How {
  readonly update?: boolean
  readonly incremental?: boolean
}

/** One backup with one fault; `undefined` when it failed. */
async function attempt(
  injector: Injector | undefined,
  how: How = {},
): Promise<{ result?: BackupResult; error?: unknown; count: number }> {
  const fileSystem = new FaultFileSystem(immediateFileSystem, injector)
  try {
    const result = await hotbackup({ home, target, fileSystem, digest: false, ...how })
    return { result, count: fileSystem.operations.length }
  } catch (error) {
    return { error, count: fileSystem.operations.length }
  } finally {
    await fileSystem.releaseHandles()
  }
}

async function begin(withOlder: boolean): Promise<void> {
  target = join(folder, 'targets', 'target')
  rmSync(join(folder, 'targets'), { recursive: true, force: true })
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
    if (!name.startsWith('log.')) rmSync(join(home, 'log', name))
  }
  for (const name of await readdir(home)) {
    if (name.startsWith('staging.')) rmSync(join(home, name), { recursive: true })
  }
}

async function homeContents(): Promise<Record<string, string>> {
  const all = await contents(home)
  return Object.fromEntries(
    Object.entries(all).filter(([name]) => !/^(log\/\.?hold\.|staging\.|data\/LOG|lock\/)/.test(name)),
  )
}

/** Where the target stands: `older`, `new`, `absent`, `exchanged` (the older one whole under its other name), or damage. */
async function standing(): Promise<string> {
  const names = await readdir(join(folder, 'targets')).catch((): string[] => [])
  const old = names.find((name) => name.startsWith('target.old-'))
  if (!names.includes('target'))
    return old === undefined ? 'absent' : await labelOf(old, { older: 'exchanged' })
  return labelOf('target', { older: 'older', new: 'new' })
}

async function labelOf(name: string, words: { older: string; new?: string }): Promise<string> {
  const path = join(folder, 'targets', name)
  const findings = await verifyBackup(path)
  if (findings.length > 0) return findings.map((each) => `${each.code} ${each.name}`).join()
  const { endLsn } = decodeBackupManifest(await readFile(join(path, 'backup.json')))
  return (endLsn === newLsn ? words.new : endLsn === olderLsn ? words.older : undefined) ?? `LSN ${endLsn}`
}

async function nextBackupFindsNothingLeft(): Promise<void> {
  await bury(join(home, 'log'))
  for (const name of await readdir(join(folder, 'targets')).catch((): string[] => [])) {
    if (name.startsWith('target.partial-')) await bury(join(folder, 'targets', name))
  }
  await hotbackup({ home, target, digest: false })
  expect(await standing()).toBe('new')
  expect(await readdir(join(folder, 'targets'))).toEqual(['target'])
  expect((await readdir(home)).filter((name) => name.startsWith('staging.'))).toEqual([])
  expect((await readdir(join(home, 'log'))).filter((name) => !name.startsWith('log.'))).toEqual([])
}

const cases: readonly { what: string; withOlder: boolean; how: How }[] = [
  { what: 'a new target', withOlder: false, how: {} },
  { what: 'the place of an older backup', withOlder: true, how: {} },
  // Nothing is moved aside for it: the older backup stands in its place until its manifest is replaced.
  { what: 'an update', withOlder: true, how: { update: true } },
  { what: 'an incremental one', withOlder: true, how: { incremental: true } },
]

it.each([
  ['in full', {}],
  ['by files', { incremental: true }],
] as const)(
  'a backup %s of which any flush fails is none',
  async (_, how) => {
    const flush = { kind: ['sync', 'syncDirectory'], path: 'target.partial-' } as const
    let flushes = 0
    for (let isStruck = true; isStruck; flushes += 1) {
      await begin(how !== undefined && 'incremental' in how)
      const before = await standing()
      const { result, error } = await attempt(failOn(flush, 'EIO', { after: flushes }), how)
      isStruck = error !== undefined
      expect(result === undefined ? await standing() : 'whole', `flush ${flushes}`).toBe(
        isStruck ? before : 'whole',
      )
    }
    // Each file, each folder and the mark; a failure that nobody told would have ended this sooner.
    expect(flushes).toBeGreaterThan(10)
    await clearHome()
  },
  120_000,
)

describe.each(cases)('a backup to $what', ({ withOlder, how }) => {
  const before = withOlder ? 'older' : 'absent'

  it('whose process dies at any operation leaves a whole backup or none, and the home unharmed', async () => {
    const count = await countOperations(withOlder, how)
    const homeBefore = await homeContents()
    const seen: Record<string, number> = {}
    let tried = 0
    const strikes = oneIn(2, operationsOf(count)).map(
      (index) => [`operation ${index}`, failAt(index, 'crash')] as const,
    )
    // One operation of all, between the two renames of an exchange: struck whichever were chosen.
    const appearing = failOn({ kind: 'rename', path: /target\.partial-\d+$/ }, 'crash')
    for (const [where, injector] of [...strikes, ['the appearing', appearing] as const]) {
      await begin(withOlder)
      await attempt(injector, how)
      const stands = await standing()
      tried += 1
      seen[stands] = (seen[stands] ?? 0) + 1
      expect(await homeContents(), where).toEqual(homeBefore)
      if (tried % 7 === 0 || stands === 'exchanged') await nextBackupFindsNothingLeft()
      else await clearHome()
    }
    console.log(`${tried} of ${count} operations; after a crash the target was`, seen)
    const moved = how.update === true ? [] : ['exchanged']
    expect(Object.keys(seen).toSorted()).toEqual(withOlder ? [...moved, 'new', 'older'] : ['absent', 'new'])
    expect(seen[before]).toBeGreaterThan(tried / 2)
  }, 240_000)

  const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'EIO-after']
  it.each(faults)(
    'that meets %s at any operation stands, or leaves everything as it was',
    async (fault) => {
      const count = await countOperations(withOlder, how)
      const homeBefore = await homeContents()
      const problems: string[] = []
      let failed = 0
      let tried = 0
      for (const index of oneIn(6, operationsOf(count), 2 * faults.indexOf(fault))) {
        tried += 1
        await begin(withOlder)
        const { result, error } = await attempt(failAt(index, fault), how)
        const stands = await standing()
        if (stands !== (result === undefined ? before : 'new')) problems.push(`operation ${index}: ${stands}`)
        if (result === undefined && !(error instanceof TimberlineError))
          problems.push(`operation ${index}: ${String(error)}`)
        failed += result === undefined ? 1 : 0
        expect(await homeContents(), `operation ${index}`).toEqual(homeBefore)
        const names = await readdir(join(folder, 'targets')).catch((): string[] => [])
        const leftovers = names.filter((name) => name !== 'target')
        // One fault can hit the cleaning after a success: what stays then is told.
        if (leftovers.length > (result?.leftBehind ?? []).length)
          problems.push(`operation ${index}: ${leftovers.join()}`)
        if (leftovers.length > 0) await nextBackupFindsNothingLeft()
        await clearHome()
      }
      expect(problems).toEqual([])
      expect(failed).toBeGreaterThan(tried / 2)
    },
    240_000,
  )

  it('that meets a broken disk from any operation on leaves a whole backup or none', async () => {
    const count = await countOperations(withOlder, how)
    const seen = new Set<string>()
    for (const index of oneIn(9, operationsOf(count))) {
      await begin(withOlder)
      await attempt(failAt(index, 'EIO', { once: false }), how)
      seen.add(await standing())
      await clearHome()
    }
    await nextBackupFindsNothingLeft()
    const allowed = withOlder ? ['older', 'exchanged', 'new'] : ['absent', 'new']
    expect([...seen].filter((each) => !allowed.includes(each))).toEqual([])
  }, 240_000)
})

async function countOperations(withOlder: boolean, how: How): Promise<number> {
  await begin(withOlder)
  const { count, error } = await attempt(undefined, how)
  if (error !== undefined) throw error
  return count
}
