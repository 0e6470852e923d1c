/**
 * Situations of somebody who backs up into files of a limited size, each made on both systems by the same steps. What a situation returns
 * is words for what was seen.
 */
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SmallDisk } from './small-disk.ts'
import type { BackupSide, Call, Series } from './virtuoso-sides.ts'

/** A place for one situation on one side. */
export interface Place {
  readonly side: BackupSide
  /** A folder that is empty. */
  readonly folder: () => Promise<string>
  /** A path that nothing has. */
  readonly path: () => string
  /** A full backup in several files, made once, and the pages that a restore of it tells. */
  readonly whole: { readonly dir: string; readonly pages: number; readonly restoredPages: number }
}

type Situation = (place: Place) => Promise<string>

const PAGES = 100

const told = (call: Call): string => (call.type === 'refused' ? `refused: \`${call.code}\`` : 'done')
const words = (...facts: readonly (string | undefined)[]): string =>
  facts.filter((fact) => fact !== undefined).join('; ')

/** The numbers of the files `z<n>.bp` in a folder, ascending. */
async function numbersIn(dir: string): Promise<readonly number[]> {
  const names = await readdir(dir)
  return names.flatMap((name) => Number(/^z(\d+)\.bp$/.exec(name)?.[1] ?? [])).toSorted((a, b) => a - b)
}

/** The pages that Virtuoso says it restored; ours compares the state instead, and tells none. */
export function restoredPages(text: string): number {
  return Number(/restoring from backup, (\d+) pages/.exec(text)?.[1] ?? 0)
}

/** A first call with these parameters, everything else as it should be. */
function first(change: Partial<Series>): Situation {
  return async ({ side, folder }) => {
    const dir = await folder()
    return told(await side.call({ prefix: 'z', pages: PAGES, dirs: [dir], ...change }, 'begin'))
  }
}

/** A restore of the whole series after something was done to its files. */
function restoreAfter(harm: (dir: string, place: Place) => Promise<string | undefined>): Situation {
  return async (place) => {
    const { side, whole, path } = place
    const dir = await place.folder()
    for (const name of await readdir(whole.dir)) await copyFile(join(whole.dir, name), join(dir, name))
    const harmed = await harm(dir, place)
    const { code, text } = await side.restore({ prefix: 'z', dirs: [dir] }, path())
    return words(
      `exit ${String(code)}`,
      harmed !== undefined && text.includes(harmed) ? 'names it' : undefined,
      code === 0 && restoredPages(text) < whole.restoredPages ? 'restores less' : undefined,
    )
  }
}

async function exchange(a: string, b: string): Promise<void> {
  await rename(a, `${a}.spare`)
  await rename(b, a)
  await rename(`${a}.spare`, b)
}

/** A backup into a disk of a megabyte, and what it leaves there. */
function ontoFullDisk(folderBehind: boolean): Situation {
  return async ({ side, path, folder, whole }) => {
    const disk = SmallDisk.mount(path(), { bytes: 1024 * 1024, inodes: 100 })
    try {
      const dirs = [disk.path, ...(folderBehind ? [await folder()] : [])]
      const call = await side.call({ prefix: 'z', pages: PAGES, dirs }, 'begin')
      const left = await Promise.all(dirs.map(async (dir) => (await readdir(dir)).length))
      const isLess = call.type === 'made' && call.pages < whole.pages
      return words(
        told(call),
        isLess ? 'backs up less' : undefined,
        left.every((count) => count === 0) ? 'leaves nothing' : undefined,
      )
    } finally {
      disk.unmount()
    }
  }
}

/** All situations, by the words that the table of the document has for them. */
export const situations: Readonly<Record<string, Situation>> = {
  '50 pages to a file': first({ pages: 50 }),
  '99 pages': first({ pages: 99 }),
  '100 pages': first({}),
  'no prefix': first({ prefix: '' }),
  'an absolute path as prefix': first({ prefix: '/z' }),
  'a prefix with `..`': first({ prefix: '../z' }),
  'a prefix that ends in a digit': first({ prefix: 'z1' }),
  'a folder that is not there': async ({ side, path }) =>
    told(await side.call({ prefix: 'z', pages: PAGES, dirs: [path()] }, 'begin')),
  'the files of a full backup': async ({ whole }) => {
    const numbers = await numbersIn(whole.dir)
    const isGapless = numbers.every((number, index) => number === index + 1) && numbers.length > 2
    const isTold = Math.ceil(whole.pages / PAGES) === numbers.length
    return words(
      isGapless ? '`z1.bp`, `z2.bp` and so on' : numbers.join(),
      isTold ? 'as many as the pages told' : undefined,
    )
  },
  'a second call, nothing changed': async ({ side, folder, whole }) => {
    const series = { prefix: 'z', pages: PAGES, dirs: [await folder()] }
    await side.call(series, 'begin')
    const before = await numbersIn(series.dirs[0] ?? '')
    const call = await side.call(series, 'next')
    const after = await numbersIn(series.dirs[0] ?? '')
    const isLess = call.type === 'made' && call.pages < whole.pages / 10
    return words(
      told(call),
      after.length === before.length + 1 ? 'one file more' : undefined,
      isLess ? 'few pages' : undefined,
    )
  },
  'a later call with another prefix, number of pages and folder': async ({ side, folder }) => {
    const [dir, other] = [await folder(), await folder()]
    await side.call({ prefix: 'z', pages: PAGES, dirs: [dir] }, 'begin')
    const before = await numbersIn(dir)
    const call = await side.call({ prefix: 'y', pages: 5000, dirs: [other] }, 'next')
    const added = [dir, other].map(async (each) => (await numbersIn(each)).includes(before.length + 1))
    const [inOld = false, inNew = false] = await Promise.all(added)
    return words(
      told(call),
      inOld || inNew ? 'under the old prefix' : undefined,
      inNew ? 'in the new folder' : undefined,
    )
  },
  'a new series where files of its prefix are': async ({ side, folder }) => {
    const series = { prefix: 'z', pages: PAGES, dirs: [await folder()] }
    await side.call(series, 'begin')
    return told(await side.call(series, 'begin'))
  },
  'a full disk, no folder behind it': ontoFullDisk(false),
  'a full disk, a folder behind it': ontoFullDisk(true),
  'a restore': restoreAfter(() => Promise.resolve(undefined)),
  'its files in two folders, both named': async ({ side, folder, path, whole }) => {
    const dirs = [await folder(), await folder()]
    for (const name of await readdir(whole.dir))
      await copyFile(join(whole.dir, name), join(dirs[name === 'z2.bp' ? 1 : 0] ?? '', name))
    return `exit ${String((await side.restore({ prefix: 'z', dirs }, path())).code)}`
  },
  'into a folder that has a database': async ({ side, path, whole }) => {
    const into = path()
    await side.restore({ prefix: 'z', dirs: [whole.dir] }, into)
    return `exit ${String((await side.restore({ prefix: 'z', dirs: [whole.dir] }, into)).code)}`
  },
  'with a prefix that has no files': async ({ side, path, whole }) =>
    `exit ${String((await side.restore({ prefix: 'y', dirs: [whole.dir] }, path())).code)}`,
  'the first file missing': restoreAfter(async (dir) => {
    await rm(join(dir, 'z1.bp'))
    return 'z1.bp'
  }),
  'one in the middle missing': restoreAfter(async (dir) => {
    await rm(join(dir, 'z2.bp'))
    return 'z2.bp'
  }),
  'the last one missing': restoreAfter(async (dir) => {
    const last = `z${String((await numbersIn(dir)).at(-1))}.bp`
    await rm(join(dir, last))
    return last
  }),
  'two files exchanged': restoreAfter(async (dir) => {
    await exchange(join(dir, 'z2.bp'), join(dir, 'z3.bp'))
    return 'z2.bp'
  }),
  'a file of another series in place of one': restoreAfter(async (dir, { side, folder }) => {
    const other = await folder()
    await side.call({ prefix: 'z', pages: PAGES, dirs: [other] }, 'begin')
    await copyFile(join(other, 'z2.bp'), join(dir, 'z2.bp'))
    return 'z2.bp'
  }),
  'one byte of a file changed': restoreAfter(async (dir) => {
    const path = join(dir, 'z2.bp')
    const content = await readFile(path)
    const at = Math.floor(content.length / 2)
    content[at] = (content[at] ?? 0) ^ 1
    await writeFile(path, content)
    // Whether Virtuoso says anything depends on the byte.
    return undefined
  }),
  'the last file cut to half': restoreAfter(async (dir) => {
    const last = `z${String((await numbersIn(dir)).at(-1))}.bp`
    await truncate(join(dir, last), Math.floor((await stat(join(dir, last))).size / 2))
    return last
  }),
}

/** What all situations of a side share. */
export async function wholeSeries(side: BackupSide, dir: string, into: string): Promise<Place['whole']> {
  await mkdir(dir, { recursive: true })
  const series = { prefix: 'z', pages: PAGES, dirs: [dir] }
  const call = await side.call(series, 'begin')
  const { code, text } = await side.restore(series, into)
  if (call.type === 'refused' || code !== 0) throw new Error(`no whole series could be made: ${text}`)
  return { dir, pages: call.pages, restoredPages: restoredPages(text) }
}
