// The label of an unfinished recovery that says something else than this run expects, and a home that fills while it is locked. The
// home is on the simulated disk; only its lock is real.
import { join } from 'node:path'
import { homeLayout, RECOVERY_LABEL } from '@timberline/engine'
import { writeFileAtomic, readFileWhole } from '@timberline/wal'
import { CrashFileSystem, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { openWorkplace } from '../src/restore/workplace.ts'
import { scratchFolder } from './environment.ts'

async function homeOn(disk: CrashFileSystem): Promise<string> {
  const home = join(await scratchFolder(), 'home')
  await disk.makeDirectory(home)
  return home
}

async function withLabel(label: unknown): Promise<{ disk: CrashFileSystem; home: string }> {
  const disk = new CrashFileSystem()
  const home = await homeOn(disk)
  await writeFileAtomic(join(home, RECOVERY_LABEL), Buffer.from(JSON.stringify(label)), disk)
  return { disk, home }
}

describe('the label of an unfinished recovery', () => {
  test('that is none of ours is refused: what lies there may be somebody’s', async () => {
    for (const label of [
      null,
      7,
      'build',
      [],
      {},
      { phase: 'build' },
      { request: 'x' },
      { phase: 'build', request: 7 },
    ]) {
      const { disk, home } = await withLabel(label)
      await expect(
        openWorkplace(home, { request: 'x', inPlace: false, fileSystem: disk }),
      ).rejects.toMatchObject({
        code: 'RECOVERY_TARGET_NOT_EMPTY',
      })
    }
  })

  test('lets only its own recovery complete what was begun in a backup, and gives its report', async () => {
    const label = { format: 1, phase: 'clear', request: 'mine', report: { lsn: 3 } }
    const { disk, home } = await withLabel(label)
    const options = { inPlace: true, fileSystem: disk }
    await expect(openWorkplace(home, { ...options, request: 'another' })).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_NOT_EMPTY',
      details: { unfinished: 'mine', asked: 'another' },
    })
    const workplace = await openWorkplace(home, { ...options, request: 'mine' })
    expect(workplace.finished).toEqual({ lsn: 3 })
    expect(await disk.status(join(home, RECOVERY_LABEL))).toBeUndefined()
    await workplace.release()
  })

  test('of a phase that no version knows begins anew', async () => {
    const { disk, home } = await withLabel({ format: 1, phase: 'dance', request: 'old' })
    const workplace = await openWorkplace(home, { request: 'new', inPlace: false, fileSystem: disk })
    expect(workplace.finished).toBeUndefined()
    const label = JSON.parse((await readFileWhole(join(home, RECOVERY_LABEL), disk)).toString()) as unknown
    expect(label).toMatchObject({ phase: 'build', request: 'new' })
    await workplace.release()
  })

  test('carries a report with integers that JSON has no form for', async () => {
    const disk = new CrashFileSystem()
    const home = await homeOn(disk)
    const workplace = await openWorkplace(home, { request: 'x', inPlace: false, fileSystem: disk })
    const { building } = workplace
    for (const directory of [building.dataDirectory, building.checkpointDirectory, building.logDirectory])
      await disk.makeDirectory(directory)
    await writeFileAtomic(building.identityPath, Buffer.from('{}'), disk)
    await workplace.install({ meta: 2n ** 64n })
    expect(await disk.status(join(home, RECOVERY_LABEL))).toBeUndefined()
    expect(await disk.status(homeLayout(home).identityPath)).toBeDefined()
    await workplace.release()
  })
})

describe('a home that was free', () => {
  test('is refused when something came into it before it was locked', async () => {
    const disk = new CrashFileSystem()
    const home = await homeOn(disk)
    let looks = 0
    const seen = new FaultFileSystem(disk, ({ kind, path }) => {
      if (kind === 'list' && path === home && ++looks === 2) void disk.open(join(home, 'precious'), 'create')
      return undefined
    })
    const attempt = openWorkplace(home, { request: 'x', inPlace: false, fileSystem: seen })
    await expect(attempt).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_NOT_EMPTY',
      details: { names: ['precious'] },
    })
    // The lock was given back: the next run is refused for what lies there, not for the lock.
    await expect(
      openWorkplace(home, { request: 'x', inPlace: false, fileSystem: disk }),
    ).rejects.toMatchObject({
      code: 'RECOVERY_TARGET_NOT_EMPTY',
    })
  })
})
