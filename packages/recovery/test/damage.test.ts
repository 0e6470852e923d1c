// Fault model: one object or file of the source is not what was written: a bit flipped, the end cut off, the whole thing gone,
// or another one of the same kind in its place. Whatever it is, recovery must refuse it by name, or end in exactly the right
// state. Digests are left out on purpose: they would find everything, and the checks before them are what is tested.
import { readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createArchive, directoryStore, openArchive } from '@timberline/archive'
import { TimberlineError } from '@timberline/wal'
import { seededRandom } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { recover, type RecoverOptions } from '../src/index.ts'
import { backupInto, backupTo, contentOf, Environment, scratchFolder, ship } from './environment.ts'

interface Victim {
  readonly env: Environment
  /** The folder whose files are damaged, one at a time. */
  readonly place: string
  attempt(home: string): Promise<RecoverOptions>
}

interface Tally {
  readonly refused: Record<string, number>
  right: number
  shorter: string[]
}

async function filesOf(place: string): Promise<readonly string[]> {
  const entries = await readdir(place, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return files.toSorted((a, b) => (a < b ? -1 : 1))
}

/** Damages a file, recovers, judges, and puts the file back. */
async function strike(
  victim: Victim,
  file: string,
  damage: () => Promise<void>,
  tally: Tally,
): Promise<void> {
  const whole = await readFile(file)
  const home = join(victim.place, '..', 'attempt')
  await damage()
  try {
    const report = await recover({ ...(await victim.attempt(home)), digest: false })
    expect(await contentOf(home), file).toEqual(victim.env.content(report.lsn))
    if (report.lsn === victim.env.lsn) tally.right += 1
    else tally.shorter.push(file)
  } catch (error) {
    if (!(error instanceof TimberlineError)) throw error
    tally.refused[error.code] = (tally.refused[error.code] ?? 0) + 1
  } finally {
    await writeFile(file, whole)
    await rm(home, { recursive: true, force: true })
  }
}

async function strikeEverything(victim: Victim, seed: number): Promise<Tally> {
  const files = await filesOf(victim.place)
  const random = seededRandom(seed)
  const tally: Tally = { refused: {}, right: 0, shorter: [] }
  for (let flip = 0; flip < 100; flip++) {
    const file = files[random.integer(files.length)] ?? ''
    const position = random.integer((await stat(file)).size)
    const bit = 1 << random.integer(8)
    const damage = async (): Promise<void> => {
      const content = await readFile(file)
      content[position] = (content[position] ?? 0) ^ bit
      await writeFile(file, content)
    }
    await strike(victim, file, damage, tally)
  }
  for (const file of files) {
    const { size } = await stat(file)
    await strike(victim, file, () => truncate(file, Math.floor(size / 2)), tally)
    await strike(victim, file, () => rm(file), tally)
  }
  return tally
}

test('an archive with one damaged object is refused by name or gives exactly the right state', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const place = join(folder, 'archive')
  const archive = await createArchive(directoryStore(place), { environmentId: env.identity.environmentId })
  await env.writeMany(5)
  await backupInto(env, archive, { label: 'b1', digest: false })
  for (let part = 0; part < 3; part++) {
    await env.writeMany(4)
    await env.log.roll()
  }
  await env.writeMany(6)
  await ship(env, archive)
  await env.close()
  const victim: Victim = {
    env,
    place,
    attempt: async (home) => ({ from: { archive: await openArchive(directoryStore(place)) }, home }),
  }
  const tally = await strikeEverything(victim, 1)
  // That the newest piece or event was taken away cannot be told from its never having been there.
  const last = (await filesOf(place)).filter((file) => /\/(piece|journal)\//.test(file))
  for (const file of tally.shorter) expect(last).toContain(file)
  expect(tally.shorter.length).toBeLessThanOrEqual(2)
  expect(Object.values(tally.refused).reduce((a, b) => a + b, 0)).toBeGreaterThan(50)
}, 120_000)

test('a backup folder with one damaged file is refused by name or gives exactly the right state', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(30)
  const checkpoint = await env.checkpoint()
  await env.writeMany(10)
  await env.log.roll()
  await env.writeMany(10)
  const place = join(folder, 'backup')
  const { digest: _, ...rest } = await backupTo(env, place, { checkpoint })
  await rm(place, { recursive: true })
  await backupTo(env, place, { checkpoint, change: () => rest })
  await env.close()
  const tally = await strikeEverything(
    { env, place, attempt: (home) => Promise.resolve({ from: { backup: place }, home }) },
    2,
  )
  expect(tally.shorter).toEqual([])
  expect(Object.values(tally.refused).reduce((a, b) => a + b, 0)).toBeGreaterThan(100)
}, 120_000)

test('a whole object in the place of another one is refused', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const place = join(folder, 'archive')
  const archive = await createArchive(directoryStore(place), { environmentId: env.identity.environmentId })
  await env.writeMany(5)
  await backupInto(env, archive, { label: 'b1', digest: false })
  for (let part = 0; part < 2; part++) {
    await env.writeMany(4)
    await env.log.roll()
  }
  await ship(env, archive)
  await env.close()
  const [first = '', second = '', third = ''] = (await filesOf(place)).filter((file) =>
    file.includes('/segment/'),
  )
  expect(third).not.toBe('')
  await writeFile(third, await readFile(second))
  const attempt = recover({ from: { archive }, home: join(folder, 'x'), digest: false })
  await expect(attempt).rejects.toMatchObject({ kind: 'corruption' })
  expect(first).not.toBe('')
})
