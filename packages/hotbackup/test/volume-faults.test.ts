/**
 * Fault model: the file system below a call of a series refuses, is full or stops at any one operation. The series then holds
 * the calls before it and this one wholly or not at all, the home is unharmed, and the next call succeeds.
 */
import { mkdirSync, rmSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { openSeries } from '@timberline/archive'
import type { TimberLevel } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { failAt, failOn, FaultFileSystem, firstFault, immediateFileSystem } from '@timberline/wal/testing'
import type { Fault, Injector } from '@timberline/wal/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import { hotbackup } from '../src/index.ts'
import { copyOf, makeFastFolder, openUsedHome, write } from './fixture.ts'

let folder = ''
let home = ''
let db: TimberLevel<string, string>

beforeAll(async () => {
  folder = await makeFastFolder()
  home = join(folder, 'home')
  db = await openUsedHome(home)
  makeDirs()
  await call(undefined)
  await copyOf(join(folder, 'a'), join(folder, 'kept-a'))
  await copyOf(join(home, 'volumes.json'), join(folder, 'kept.json'))
  await write(db, 70)
})

afterAll(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

function makeDirs(): void {
  for (const name of ['a', 'b']) {
    rmSync(join(folder, name), { recursive: true, force: true })
    mkdirSync(join(folder, name))
  }
}

/** The folders as they were after the first call, or before it; and a home that no dead process has marked. */
async function begin(withFirst: boolean): Promise<void> {
  makeDirs()
  rmSync(join(home, 'volumes.json'), { force: true })
  if (withFirst) {
    await copyOf(join(folder, 'kept-a'), join(folder, 'a'))
    await copyOf(join(folder, 'kept.json'), join(home, 'volumes.json'))
  }
  for (const name of await readdir(join(home, 'log')))
    if (!name.startsWith('log.')) rmSync(join(home, 'log', name))
  for (const name of await readdir(home))
    if (name.startsWith('staging.')) rmSync(join(home, name), { recursive: true })
}

async function call(injector: Injector | undefined): Promise<{ error: unknown; count: number }> {
  const fileSystem = new FaultFileSystem(immediateFileSystem, injector)
  const dirs = ['a', 'b'].map((name) => join(folder, name))
  try {
    const target = { volumes: { prefix: 'z', volumePages: 100, dirs } }
    await hotbackup({ home, target, digest: false, fileSystem })
    return { error: undefined, count: fileSystem.operations.length }
  } catch (error) {
    return { error, count: fileSystem.operations.length }
  } finally {
    await fileSystem.releaseHandles()
  }
}

/** How many calls the series holds. */
async function callCount(): Promise<number> {
  const dirs = ['a', 'b'].map((name) => join(folder, name))
  try {
    return (await openSeries({ prefix: 'z', dirs }, { fileSystem: immediateFileSystem })).calls.length
  } catch (error) {
    if ((error as { code: string }).code === 'ARCHIVE_VOLUMES_ABSENT') return 0
    throw error
  }
}

async function nextCallLeavesNothing(): Promise<void> {
  for (const name of await readdir(join(home, 'log')))
    if (!name.startsWith('log.')) rmSync(join(home, 'log', name))
  const before = await callCount()
  expect((await call(undefined)).error).toBeUndefined()
  expect(await callCount()).toBe(before + 1)
  const names = [...(await readdir(join(folder, 'a'))), ...(await readdir(join(folder, 'b')))]
  expect(names.filter((name) => !/^z\d+\.bp$/.test(name))).toEqual([])
}

describe.each([
  { what: 'the first call', withFirst: false },
  { what: 'a later call', withFirst: true },
])('$what', ({ withFirst }) => {
  const before = withFirst ? 1 : 0

  async function countOperations(): Promise<number> {
    await begin(withFirst)
    const { count, error } = await call(undefined)
    if (error !== undefined) throw error
    return count
  }

  it('whose process dies at any operation counts wholly or not at all', async () => {
    const count = await countOperations()
    const seen: Record<number, number> = {}
    for (const index of oneIn(2, operationsOf(count))) {
      await begin(withFirst)
      await call(failAt(index, 'crash'))
      const calls = await callCount()
      seen[calls] = (seen[calls] ?? 0) + 1
      if (index % 5 === 0 || index > count - 30) await nextCallLeavesNothing()
    }
    console.log(`${String(count)} operations; after a crash the series held so many calls:`, seen)
    expect(Object.keys(seen)).toEqual([String(before), String(before + 1)])
  }, 240_000)

  const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'EIO-after']
  it.each(faults)(
    'that meets %s at any operation stands, or leaves everything as it was',
    async (fault) => {
      const count = await countOperations()
      const problems: string[] = []
      for (const index of oneIn(6, operationsOf(count), 2 * faults.indexOf(fault))) {
        await begin(withFirst)
        const { error } = await call(failAt(index, fault))
        const calls = await callCount()
        if (calls !== (error === undefined ? before + 1 : before))
          problems.push(`operation ${String(index)}: ${String(calls)} calls`)
        if (error !== undefined && !(error instanceof TimberlineError))
          problems.push(`operation ${String(index)}: an error without a code`)
        if (index % 5 === 0) await nextCallLeavesNothing()
      }
      expect(problems).toEqual([])
    },
    240_000,
  )
})

it('a call that finds no room removes its own volumes and keeps those of earlier calls', async () => {
  await begin(true)
  const full = (name: string): Injector =>
    failOn({ kind: 'write', path: `/${name}/z` }, 'ENOSPC', { once: false, after: name === 'a' ? 2 : 0 })
  const { error } = await call(firstFault(full('a'), full('b')))
  expect(error).toMatchObject({ code: 'ARCHIVE_VOLUMES_FULL', kind: 'unavailable' })
  expect(await readdir(join(folder, 'a'))).toEqual(['z1.bp'])
  expect(await readdir(join(folder, 'b'))).toEqual([])
  const spilled = await call(full('a'))
  expect(spilled.error).toBeUndefined()
  expect(await readdir(join(folder, 'b'))).toEqual(['z2.bp'])
  expect(await callCount()).toBe(2)
})
