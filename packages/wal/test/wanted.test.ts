import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openWanted, readConfirmationOf, readWanted, WantedReader } from '../src/index.ts'
import { CrashFileSystem, failAt, FaultFileSystem } from '../src/testing/index.ts'
import { DIRECTORY, IDENTITY } from './log-scenario.ts'

const SCOPE = { directory: DIRECTORY, timeline: IDENTITY.timeline }

async function folder(): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(DIRECTORY)
  await disk.syncDirectory('/')
  return disk
}

async function content(disk: CrashFileSystem, text: string): Promise<void> {
  const file = await disk.open(`${DIRECTORY}/wanted.json`, 'create')
  await file.write(Buffer.from(text), 0)
  await file.close()
}

describe('what is wanted', () => {
  it('is nothing at first, then the last record named, and nobody’s wish after the end', async () => {
    const disk = await folder()
    expect(await readWanted(SCOPE, disk)).toBeUndefined()
    const wanted = await openWanted(SCOPE, disk)
    expect(await readWanted(SCOPE, disk)).toBe(0)
    for (const lsn of [9, 10, Number.MAX_SAFE_INTEGER]) {
      await wanted.write(lsn)
      expect(await readWanted(SCOPE, disk)).toBe(lsn)
    }
    await wanted.close()
    expect(await readWanted(SCOPE, disk)).toBeUndefined()
  })

  it('of a folder that takes no file is refused, and so is a file that takes no write', async () => {
    const disk = await folder()
    for (const [index, systemCode] of [
      [1, 'EIO'],
      [2, 'ENOSPC'],
    ] as const) {
      const faulty = new FaultFileSystem(disk, failAt(index, systemCode))
      await expect(openWanted(SCOPE, faulty)).rejects.toMatchObject({ code: systemCode })
      expect(faulty.injected).toHaveLength(1)
      expect(faulty.openPaths).toEqual([])
    }
  })

  it('leaves no file open once it is closed or was read', async () => {
    const disk = new FaultFileSystem(await folder())
    const wanted = await openWanted(SCOPE, disk)
    await wanted.write(3)
    expect(await readWanted(SCOPE, disk)).toBe(3)
    expect(disk.openPaths).toHaveLength(1)
    await wanted.close()
    expect(disk.openPaths).toEqual([])
  })

  it('is read in a real folder without being told which file system', async () => {
    const path = await mkdtemp(join(tmpdir(), 'timberline-wanted-'))
    try {
      const wanted = await openWanted({ ...SCOPE, directory: path })
      await wanted.write(3)
      const reader = new WantedReader({ ...SCOPE, directory: path })
      expect(await reader.read()).toBe(3)
      await reader.close()
      await wanted.close()
      expect(await readWanted({ ...SCOPE, directory: path })).toBeUndefined()
      expect(await readConfirmationOf(path, 'none')).toBeUndefined()
    } finally {
      await rm(path, { recursive: true })
    }
  })

  it('is taken over from a process that died', async () => {
    const disk = await folder()
    await (await openWanted(SCOPE, disk)).write(7)
    const wanted = await openWanted(SCOPE, disk)
    expect(await readWanted(SCOPE, disk)).toBe(0)
    await wanted.close()
  })

  it.each([
    '',
    '{"lsn":',
    '{"lsn":              12}\n',
    '{"lsn":              12,"timeline":               1,"check":"00000000"}\n',
    '{"lsn":1.5}',
    '{"lsn":"7"}',
    'null',
    '[]',
    '{}',
    '\0\0\0',
    ' '.repeat(5000),
  ])('is no record when the file says %j', async (text) => {
    const disk = await folder()
    await content(disk, text)
    expect(await readWanted(SCOPE, disk)).toBe(0)
  })

  it('is no record of another timeline', async () => {
    const disk = await folder()
    const wanted = await openWanted({ directory: DIRECTORY, timeline: 2 }, disk)
    await wanted.write(7)
    expect(await readWanted(SCOPE, disk)).toBe(0)
    expect(await readWanted({ directory: DIRECTORY, timeline: 2 }, disk)).toBe(7)
    await wanted.close()
  })

  it('is read again and again from one open file, and soon from another that took the name', async () => {
    const disk = await folder()
    const counted = new FaultFileSystem(disk)
    let nowMs = 0
    const reader = new WantedReader(SCOPE, counted, () => nowMs)
    expect(await reader.read()).toBeUndefined()
    const wanted = await openWanted(SCOPE, disk)
    for (const lsn of [5, 6]) {
      await wanted.write(lsn)
      expect(await reader.read()).toBe(lsn)
    }
    expect(counted.operations.map(({ kind }) => kind)).toEqual(['open', 'open', 'read', 'read'])
    await wanted.close()
    const next = await openWanted(SCOPE, disk)
    await next.write(7)
    nowMs = 1000
    expect(await reader.read()).toBe(7)
    await reader.close()
    await next.close()
    const unreadable = new WantedReader(SCOPE, new FaultFileSystem(disk, failAt(1, 'EIO')), () => nowMs)
    await expect(unreadable.read()).rejects.toMatchObject({ code: 'EIO' })
  })
})
