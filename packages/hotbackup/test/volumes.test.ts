/** Backups as a series of volumes: what each call adds, and what is refused. */
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openSeries, seriesFiles } from '@timberline/archive'
import type { TimberLevel } from '@timberline/engine'
import { nodeFileSystem, placeHold, readFully } from '@timberline/wal'
import { failOn, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hotbackup, offlineBackup } from '../src/index.ts'
import type { BackupResult, VolumesTarget } from '../src/index.ts'
import { beginRun } from '../src/backup-run.ts'
import { completeOptions } from '../src/options.ts'
import { beginVolumesSink } from '../src/volumes/volumes-sink.ts'
import { makeFastFolder, openUsedHome, restored, SMALL, write } from './fixture.ts'
import { difference, Model } from './history.ts'

interface Scene {
  readonly folder: string
  readonly home: string
  readonly dir: string
  readonly db: TimberLevel<string, string>
  readonly volumes: VolumesTarget
}

async function scene(): Promise<Scene> {
  const folder = await makeFastFolder()
  const home = join(folder, 'home')
  const dir = join(folder, 'volumes')
  await mkdir(dir)
  const db = await openUsedHome(home)
  onTestFinished(async () => {
    await db.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { folder, home, dir, db, volumes: { prefix: 'z', volumePages: 100, dirs: [dir] } }
}

/** Unpacks the set of a call, as it would be had it gone into a folder at once, and replays it. */
async function stateOf({ folder, dir }: Scene, call: number): Promise<number> {
  const series = await openSeries({ prefix: 'z', dirs: [dir] }, { fileSystem: nodeFileSystem })
  const view = seriesFiles(series)
  const to = join(folder, `set-${String(call)}`)
  for (const { name, bytes } of series.calls.find((index) => index.call === call)?.manifest.files ?? []) {
    const content = Buffer.alloc(bytes)
    await readFully(await view.open(`/${String(call)}/${name}`, 'read'), content, 0)
    await mkdir(join(to, name, '..'), { recursive: true })
    await writeFile(join(to, name), content)
  }
  const { n, state } = await restored(to)
  expect(difference(state, new Model(SMALL).at(n))).toBeUndefined()
  return n
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'not refused'
}

const back = (home: string, volumes: VolumesTarget): Promise<BackupResult> =>
  hotbackup({ home, target: { volumes }, digest: false })

describe('the calls of a series', () => {
  it('are a full backup, then only new files and what was appended to others; each has its own state', async () => {
    const here = await scene()
    const { home, db, dir, volumes } = here
    const first = await hotbackup({ home, target: { volumes } })
    expect(first.volumes).toMatchObject({ call: 1, paths: [join(dir, 'z1.bp')] })
    expect(first.manifest.digest).toBeDefined()
    const second = await back(home, volumes)
    // Nothing but the index: no table and no log is written again.
    expect(second.volumes).toMatchObject({ call: 2, pages: 1, paths: [join(dir, 'z2.bp')] })
    await write(db, 70)
    const third = await back(home, volumes)
    await db.checkpoint()
    await write(db, 80)
    const fourth = await back(home, volumes)
    const pages = [first, second, third, fourth].map((result) => result.volumes?.pages ?? 0)
    expect(pages[2]).toBeLessThan(pages[0] ?? 0)
    expect(await Promise.all([1, 2, 3, 4].map((call) => stateOf(here, call)))).toEqual([60, 60, 70, 80])
    expect(new Set([first, second, third, fourth].map((result) => result.volumes?.seriesId)).size).toBe(1)
    expect(new Set([first, second, third, fourth].map((result) => result.manifest.label)).size).toBe(4)
  })

  it('do not read a table again that the series holds by the word of its checkpoint', async () => {
    const { home, db, volumes } = await scene()
    await db.checkpoint({ hashed: true })
    await back(home, volumes)
    const fileSystem = new FaultFileSystem(nodeFileSystem)
    await hotbackup({ home, target: { volumes }, digest: false, fileSystem })
    const opened = fileSystem.operations.filter(({ kind, path }) => kind === 'open' && path.endsWith('.ldb'))
    expect(opened).toEqual([])
  })

  it('hold a file anew whose beginning is another one', async () => {
    const here = await scene()
    const { home, volumes, db } = here
    await back(home, volumes)
    // Another identity file of the same length: no other file of a home ever changes what it has.
    const path = join(home, 'timberline.json')
    const identity = await readFile(path, 'utf8')
    await writeFile(
      path,
      identity.replace(/"createdAtUs": *\d/, (text) => `${text.slice(0, -1)}2`),
    )
    await write(db, 65)
    await back(home, volumes)
    expect(await stateOf(here, 2)).toBe(65)
  })

  it('hold of a longer file only its end, of another one all of it', async () => {
    const here = await scene()
    const path = join(here.folder, 'file')
    const sizes: number[] = []
    const contents = ['a'.repeat(3000), `${'a'.repeat(3000)}b`, 'c'.repeat(3001), 'c'.repeat(2000)]
    for (const content of contents) {
      await writeFile(path, content)
      const options = completeOptions({ home: here.home, target: { volumes: here.volumes } })
      const run = await beginRun(options, 'hot')
      const sink = await beginVolumesSink(run, here.volumes)
      const file = await sink.copy({ path, bytes: content.length }, 'log/x', run.meter.context)
      const { manifest } = await hotbackup({
        home: here.home,
        target: join(here.folder, 'set'),
        digest: false,
      })
      await sink.complete({ ...manifest, files: [file] })
    }
    const series = await openSeries({ prefix: 'z', dirs: [here.dir] }, { fileSystem: nodeFileSystem })
    for (const [index, call] of series.calls.entries()) {
      const handle = await seriesFiles(series).open(`/${String(call.call)}/log/x`, 'read')
      const content = Buffer.alloc(contents[index]?.length ?? 0)
      await readFully(handle, content, 0)
      expect(content.toString()).toBe(contents[index])
      sizes.push(call.extents[0]?.at(-1)?.bytes ?? 0)
    }
    expect(sizes).toEqual([3000, 1, 3001, 2000])
  })

  it('have parity volumes where they are asked for, which the next call takes as they are', async () => {
    const here = await scene()
    const volumes = { ...here.volumes, parity: 3 }
    const first = await back(here.home, volumes)
    expect(first.volumes).toMatchObject({ parityPaths: [join(here.dir, 'z1-1.parity')] })
    await write(here.db, 70)
    await back(here.home, volumes)
    expect(await readdir(here.dir)).toEqual(['z1-1.parity', 'z1.bp', 'z2-2.parity', 'z2.bp'])
    await rm(join(here.dir, 'z2.bp'))
    expect(await stateOf(here, 2)).toBe(70)
    expect(await codeOf(back(here.home, volumes))).toBe('ARCHIVE_VOLUME_MISSING')
  })

  it('can be made of a closed home too', async () => {
    const here = await scene()
    await here.db.close()
    const { volumes } = await offlineBackup({ home: here.home, target: { volumes: here.volumes } })
    expect(volumes?.call).toBe(1)
    expect(await stateOf(here, 1)).toBe(60)
  })

  it('run beside checkpoints and commits', async () => {
    const here = await scene()
    const { home, db, volumes } = here
    let checkpoints = 0
    let work: Promise<unknown> = Promise.resolve()
    await hotbackup({
      home,
      target: { volumes },
      digest: false,
      onEvent: ({ type }) => {
        if (type !== 'file.copied' || checkpoints >= 5) return
        checkpoints += 1
        work = work.then(async () => {
          await write(db, 60 + checkpoints)
          await db.checkpoint()
        })
      },
    })
    await work
    expect(checkpoints).toBeGreaterThan(2)
    expect(await stateOf(here, 1)).toBeGreaterThanOrEqual(60)
    await back(home, volumes)
    expect(await stateOf(here, 2)).toBe(60 + checkpoints)
  })

  it('go on when what the first one told the home was lost', async () => {
    const here = await scene()
    const { home, volumes } = here
    // The number of the last volume is written after the call has appeared.
    const fileSystem = new FaultFileSystem(
      nodeFileSystem,
      failOn({ kind: 'rename', path: 'volumes.json' }, 'EIO', { after: 1 }),
    )
    const first = await hotbackup({ home, target: { volumes }, digest: false, fileSystem })
    expect(first.leftBehind).toHaveLength(1)
    expect((await back(home, volumes)).volumes?.call).toBe(2)
  })
})

describe('a call is refused', () => {
  it.each([
    [{ prefix: '' }],
    [{ prefix: '../z' }],
    [{ prefix: '/abs/z' }],
    [{ volumePages: 99 }],
    [{ volumePages: 16_777_217 }],
    [{ volumePages: 100.5 }],
    [{ parity: -1 }],
    [{ parity: 256 }],
    [{ parity: 1.5 }],
    [{ dirs: [] }],
    [{ dirs: [''] }],
  ])('with %j', async (change) => {
    const { home, volumes } = await scene()
    expect(await codeOf(back(home, { ...volumes, ...change }))).toBe('HOTBACKUP_OPTIONS')
  })

  it('with a folder that is not there, is no folder, is named twice or lies in the home', async () => {
    const { folder, home, dir, volumes } = await scene()
    await writeFile(join(folder, 'file'), '')
    await symlink(dir, join(folder, 'link'))
    const wrong = [[join(folder, 'none')], [join(folder, 'file')], [dir, join(folder, 'link')]]
    for (const dirs of wrong) expect(await codeOf(back(home, { ...volumes, dirs }))).toBe('HOTBACKUP_OPTIONS')
    await mkdir(join(home, 'inside'))
    const inside = back(home, { ...volumes, dirs: [join(home, 'inside')] })
    expect(await codeOf(inside)).toBe('HOTBACKUP_TARGET_OVERLAPS')
    expect(await readdir(dir)).toEqual([])
  })

  it('as an update, which volumes need not be told', async () => {
    const { home, volumes } = await scene()
    expect(await codeOf(hotbackup({ home, target: { volumes }, update: true }))).toBe('HOTBACKUP_OPTIONS')
  })

  it('with other parameters than those of the series, until a new one is asked for', async () => {
    const { folder, home, dir, volumes } = await scene()
    const other = join(folder, 'other')
    await mkdir(other)
    await back(home, volumes)
    for (const change of [
      { prefix: 'y' },
      { volumePages: 101 },
      { parity: 2 },
      { dirs: [other] },
      { dirs: [other, dir] },
    ])
      expect(await codeOf(back(home, { ...volumes, ...change }))).toBe('HOTBACKUP_SERIES_CHANGED')
    expect(await readdir(other)).toEqual([])
    // A folder behind the others is how a series goes on whose disks are full; from then on it belongs to the series.
    expect((await back(home, { ...volumes, dirs: [dir, other] })).volumes?.call).toBe(2)
    expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_SERIES_CHANGED')
    const next = await back(home, { prefix: 'y', volumePages: 200, dirs: [other], newSeries: true })
    expect(next.volumes).toMatchObject({ call: 1, paths: [join(other, 'y1.bp')] })
    expect(await codeOf(back(home, { ...volumes, dirs: [dir, other] }))).toBe('HOTBACKUP_SERIES_CHANGED')
  })

  it('where volumes of that prefix are already, whosever they are; nothing is overwritten', async () => {
    const { home, dir, volumes } = await scene()
    await back(home, volumes)
    const before = await readFile(join(dir, 'z1.bp'))
    expect(await codeOf(back(home, { ...volumes, newSeries: true }))).toBe('HOTBACKUP_SERIES_PRESENT')
    await rm(join(home, 'volumes.json'))
    expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_SERIES_PRESENT')
    expect(await readFile(join(dir, 'z1.bp'))).toEqual(before)
    await rename(join(dir, 'z1.bp'), join(dir, 'kept-z1.bp'))
    expect((await back(home, volumes)).volumes?.call).toBe(1)
  })

  it('when volumes of the series are gone', async () => {
    const { folder, home, dir, volumes } = await scene()
    await back(home, volumes)
    await back(home, volumes)
    await rename(join(dir, 'z2.bp'), join(folder, 'z2.bp'))
    expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_SERIES_INCOMPLETE')
    await rename(join(dir, 'z1.bp'), join(folder, 'z1.bp'))
    expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_SERIES_INCOMPLETE')
    await rename(join(folder, 'z2.bp'), join(dir, 'z2.bp'))
    expect(await codeOf(back(home, volumes))).toBe('ARCHIVE_VOLUME_MISSING')
    await rename(join(folder, 'z1.bp'), join(dir, 'z1.bp'))
    expect((await back(home, volumes)).volumes?.call).toBe(3)
  })

  it('with a damaged record of the series', async () => {
    const { home, volumes } = await scene()
    for (const text of ['{', '[]', 'null', '{"format":2}']) {
      await writeFile(join(home, 'volumes.json'), text)
      expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_SERIES_RECORD')
    }
    expect((await back(home, { ...volumes, newSeries: true })).volumes?.call).toBe(1)
  })

  it('for a home of another history, which has the record all the same', async () => {
    const { folder, home, volumes, db } = await scene()
    await back(home, volumes)
    await db.close()
    const other = join(folder, 'other')
    await cp(home, other, { recursive: true })
    const path = join(other, 'timberline.json')
    const identity = await readFile(path, 'utf8')
    await writeFile(path, identity.replace(/"timeline": *1/, '"timeline": 7'))
    expect(await codeOf(back(other, volumes))).toBe('HOTBACKUP_SERIES_CHANGED')
  })

  it('while another call of this home runs', async () => {
    const { home, volumes } = await scene()
    const hold = await placeHold(join(home, 'log'), { purpose: 'hotbackup volumes' })
    expect(await codeOf(back(home, volumes))).toBe('HOTBACKUP_TARGET_BUSY')
    await hold.release()
    const both = await Promise.all([codeOf(back(home, volumes)), codeOf(back(home, volumes))])
    expect(both).toContain('HOTBACKUP_TARGET_BUSY')
    expect(await codeOf(back(home, volumes))).toBe('not refused')
  })
})
