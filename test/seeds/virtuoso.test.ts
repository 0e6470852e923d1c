/** What Virtuoso's backup_online does, row by row of docs/coming-from.md, through the command and the public API. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { nodeFileSystem } from '@timberline/wal'
import { failOn, FaultFileSystem, firstFault } from '@timberline/wal/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { timberline, type Result } from '../../packages/cli/test/terminal.ts'
import { contentOf } from '../support/running-application.ts'
import { root } from '../repository.ts'
import { Scenes, stateAfter, write } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

interface Volumes {
  readonly home: string
  readonly db: TimberLevel<string, string>
  readonly dir: string
}

/** A live home, and an empty folder for volumes. */
async function live(): Promise<Volumes> {
  const { home, db } = await scenes.openHome()
  const dir = scenes.path('volumes')
  await mkdir(dir)
  return { home, db, dir }
}

function backup(home: string, dirs: string, more: readonly string[] = []): Promise<Result> {
  const fixed = ['--prefix', 'z', '--volume-pages', '100', '--dirs', dirs]
  return timberline(['hotbackup', '-h', home, ...(more.includes('--prefix') ? [] : fixed), ...more])
}

/** Restores by the command; the digest that the backup recorded is compared on the way. */
async function restored(dir: string): ReturnType<typeof contentOf> {
  const home = scenes.path('restored')
  const result = await timberline(['recover', '--from-volumes', 'z', '--dirs', dir, '-h', home])
  expect(result.err).toBe('')
  expect(result.out).toContain('equal to what the backup recorded')
  return contentOf(home)
}

async function restoreCode(dir: string): Promise<string> {
  const { err } = await timberline(['recover', '--from-volumes', 'z', '--dirs', dir, '-h', scenes.path('no')])
  return /timberline: ([A-Z_]+) /.exec(err)?.[1] ?? 'not refused'
}

describe('V1: a full backup, then only what changed', () => {
  test('by the same command; each call can be restored', async () => {
    const { home, db, dir } = await live()
    expect((await backup(home, dir)).out).toContain('call 1: full')
    await write(db, 70)
    expect((await backup(home, dir)).out).toContain('call 2: what was new')
    expect(await readdir(dir)).toEqual(['z1.bp', 'z2.bp'])
    expect((await stat(join(dir, 'z2.bp'))).size).toBeLessThan((await stat(join(dir, 'z1.bp'))).size)
    expect(await restored(dir)).toEqual(stateAfter(70))
    await rm(join(dir, 'z2.bp'))
    expect(await restored(dir)).toEqual(stateAfter(60))
    await db.close()
  })
})

describe('V2: a new series', () => {
  test('is begun by --new-series, and never over the old one', async () => {
    const { home, db, dir } = await live()
    await backup(home, dir)
    expect(await backup(home, dir, ['--new-series'])).toMatchObject({
      code: 7,
      err: expect.stringContaining('HOTBACKUP_SERIES_PRESENT'),
    })
    const other = ['--new-series', '--prefix', 'y', '--volume-pages', '200', '--dirs', dir]
    expect((await backup(home, dir, other)).out).toContain('call 1: full')
    expect(await readdir(dir)).toEqual(['y1.bp', 'z1.bp'])
    await db.close()
  })
})

describe('V3: parameters of a series', () => {
  test('are remembered, and another value is refused with what to do', async () => {
    const { home, db, dir } = await live()
    await backup(home, dir)
    const elsewhere = scenes.path('elsewhere')
    await mkdir(elsewhere)
    for (const [prefix, pages, dirs] of [
      ['y', '100', dir],
      ['z', '200', dir],
      ['z', '100', elsewhere],
    ]) {
      const more = ['--prefix', String(prefix), '--volume-pages', String(pages), '--dirs', String(dirs)]
      const refused = await backup(home, dir, more)
      expect(refused).toMatchObject({ code: 7, err: expect.stringContaining('HOTBACKUP_SERIES_CHANGED') })
      expect(refused.err).toMatch(/next: .*--new-series/)
    }
    expect(await readdir(elsewhere)).toEqual([])
    await db.close()
  })
})

describe('V4: files of at most so many pages', () => {
  test('named prefix, number, .bp; compressed', async () => {
    const home = scenes.path('large')
    const dir = scenes.path('volumes')
    await mkdir(dir)
    const db = new TimberLevel(home)
    // 3 MiB of hexadecimal digits, which no log record shortens: more than three times 100 pages.
    for (let n = 0; n < 48; n += 1) await db.put(`key ${String(n)}`, randomBytes(32_768).toString('hex'))
    const { out } = await backup(home, dir, ['--json'])
    const { volumes } = JSON.parse(out) as { volumes: { pages: number; paths: string[] } }
    expect(volumes.paths.length).toBe(Math.ceil(volumes.pages / 100))
    expect(volumes.paths.length).toBeGreaterThan(3)
    expect((await readdir(dir)).toSorted()).toEqual(
      volumes.paths.map((_, index) => `z${String(index + 1)}.bp`).toSorted(),
    )
    for (const path of volumes.paths) expect((await stat(path)).size).toBeLessThan(100 * 8192)
    await restored(dir)
    await db.close()
  })
})

describe('V5: under 100 pages', () => {
  test('is refused when writing, 100 is not; a volume that says less is refused when reading', async () => {
    const { home, db, dir } = await live()
    for (const pages of ['0', '50', '99']) {
      const more = ['--prefix', 'z', '--volume-pages', pages, '--dirs', dir]
      expect((await backup(home, dir, more)).err).toContain('HOTBACKUP_OPTIONS')
    }
    expect((await backup(home, dir)).code).toBe(0)
    const path = join(dir, 'z1.bp')
    const volume = await readFile(path)
    volume.writeUInt32LE(99, 44)
    await writeFile(path, volume)
    expect(await restoreCode(dir)).toBe('ARCHIVE_VOLUME_DAMAGED')
    await db.close()
  })
})

describe('V6: several folders', () => {
  test('are used one after the other as their disks fill up; with none left, the files of this call are gone', async () => {
    const { home, db, dir } = await live()
    const second = scenes.path('second')
    await mkdir(second)
    const volumes = { prefix: 'z', volumePages: 100, dirs: [dir, second] }
    await hotbackup({ home, target: { volumes } })
    await write(db, 70)
    const full = (folder: string) => failOn({ kind: 'write', path: `${folder}/z` }, 'ENOSPC', { once: false })
    const bothFull = new FaultFileSystem(nodeFileSystem, firstFault(full(dir), full(second)))
    await expect(hotbackup({ home, target: { volumes }, fileSystem: bothFull })).rejects.toMatchObject({
      code: 'ARCHIVE_VOLUMES_FULL',
    })
    expect([await readdir(dir), await readdir(second)]).toEqual([['z1.bp'], []])
    const oneFull = new FaultFileSystem(nodeFileSystem, full(dir))
    await hotbackup({ home, target: { volumes }, fileSystem: oneFull })
    expect([await readdir(dir), await readdir(second)]).toEqual([['z1.bp'], ['z2.bp']])
    expect(await restored(`${dir},${second}`)).toEqual(stateAfter(70))
    await db.close()
  })
})

describe('V7: the number of pages', () => {
  test('is told, in words and in JSON', async () => {
    const { home, db, dir } = await live()
    expect((await backup(home, dir)).out).toMatch(/pages +\d+ of 8 KiB in 1 volumes/)
    const { volumes } = JSON.parse((await backup(home, dir, ['--json'])).out) as { volumes: unknown }
    expect(volumes).toMatchObject({ call: 2, pages: expect.any(Number), paths: [join(dir, 'z2.bp')] })
    await db.close()
  })

  test('is told beforehand too, and of each folder how many volumes it would get', async () => {
    const { home, db, dir } = await live()
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const estimate = await backup(home, dir, ['--estimate'])
    expect(estimate).toMatchObject({ code: 0, err: '' })
    expect(await readdir(dir)).toEqual([])
    const [pages] = /\d+ of 8 KiB in 1 volumes/.exec(estimate.out) ?? []
    expect(estimate.out).toMatch(new RegExp(`^ +${dir}: 1 volumes, at most .* of `, 'm'))
    expect((await backup(home, dir)).out).toContain(pages)
    await db.close()
  })
})

describe('V8: errors', () => {
  test('each has a stable code, whose meaning and next step stand in one page', async () => {
    const page = await readFile(join(root, 'docs/errors.md'), 'utf8')
    const codes = ['CHANGED', 'PRESENT', 'INCOMPLETE', 'RECORD'].map((what) => `HOTBACKUP_SERIES_${what}`)
    const ofVolumes = ['MISSING', 'DAMAGED', 'FOREIGN', 'ORDER'].map((what) => `ARCHIVE_VOLUME_${what}`)
    const all = [...codes, ...ofVolumes, 'ARCHIVE_VOLUMES_FULL', 'ARCHIVE_VOLUMES_ABSENT']
    expect(all.filter((code) => !page.includes(`\`${code}\``))).toEqual([])
  })
})

describe('V9: a checkpoint during a backup', () => {
  test('does not wait, nor does the backup', async () => {
    const { home, db, dir } = await live()
    const lsns: number[] = []
    let work: Promise<void> = Promise.resolve()
    await hotbackup({
      home,
      target: { volumes: { prefix: 'z', volumePages: 100, dirs: [dir] } },
      onEvent: ({ type }) => {
        if (type !== 'pinned' && type !== 'log.begun') return
        work = work.then(async () => {
          await write(db, 61 + lsns.length)
          lsns.push((await db.checkpoint()).lsn)
        })
      },
    })
    await work
    expect(lsns).toHaveLength(2)
    expect((await restored(dir)).n).toBeGreaterThanOrEqual(60)
    await db.close()
  })
})

describe('V10: restoring', () => {
  test('by the prefix, from one folder or several, into a new home only', async () => {
    const { home, db, dir } = await live()
    await backup(home, dir)
    await write(db, 70)
    await backup(home, dir)
    const second = scenes.path('second')
    await mkdir(second)
    await rename(join(dir, 'z1.bp'), join(second, 'z1.bp'))
    expect(await restored(`${dir},${second}`)).toEqual(stateAfter(70))
    const into = ['recover', '--from-volumes', 'z', '--dirs', `${dir},${second}`, '-h', home]
    expect((await timberline(into)).err).toContain('RECOVERY_TARGET_NOT_EMPTY')
    await db.close()
  })

  test('what is missing, damaged, out of place, of another series, or not there at all is refused by name', async () => {
    const { home, db, dir } = await live()
    for (let n = 60; n < 63; n += 1) {
      await write(db, n)
      await backup(home, dir)
    }
    const path = (number: number): string => join(dir, `z${String(number)}.bp`)
    const spare = scenes.path('spare')
    expect(await restoreCode(scenes.path('nowhere'))).toBe('ARCHIVE_VOLUMES_ABSENT')
    await rename(path(2), spare)
    expect(await restoreCode(dir)).toBe('ARCHIVE_VOLUME_MISSING')
    await rename(path(3), path(2))
    await rename(spare, path(3))
    expect(await restoreCode(dir)).toBe('ARCHIVE_VOLUME_ORDER')
    await rename(path(2), spare)
    await rename(path(3), path(2))
    const other = await live()
    await backup(other.home, other.dir)
    await rename(join(other.dir, 'z1.bp'), path(3))
    expect(await restoreCode(dir)).toBe('ARCHIVE_VOLUME_FOREIGN')
    await rename(spare, path(3))
    const volume = await readFile(path(1))
    volume[200] = (volume[200] ?? 0) ^ 1
    await writeFile(path(1), volume)
    expect(await restoreCode(dir)).toBe('ARCHIVE_VOLUME_DAMAGED')
    await other.db.close()
    await db.close()
  })
})

describe('V11: copying while checkpoints happen', () => {
  test('is what a hot backup does', async () => {
    const { home, db } = await scenes.openHome()
    let last = 60
    const work: Promise<unknown>[] = []
    const target = scenes.path('copy')
    await hotbackup({
      home,
      target,
      onEvent: ({ type }) => {
        if (type !== 'file.copied') return
        last += 1
        work.push(write(db, last).then(() => db.checkpoint()))
      },
    })
    await Promise.all(work)
    expect(work.length).toBeGreaterThan(1)
    expect((await scenes.recovered(target)).n).toBeGreaterThanOrEqual(60)
    await db.close()
  })
})
