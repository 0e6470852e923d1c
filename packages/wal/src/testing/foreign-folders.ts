import * as fs from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import type { CrashFileSystem } from './crash-file-system.ts'

/** What LevelDB keeps; its logs are dealt with when the power fails. */
const KEPT = /^(?:\d+\.(?:ldb|sst)|MANIFEST-\d+|CURRENT)$/
const OWN_LOG = /^\d+\.log$/
/** Of one run of the machine, or worth nothing. */
const FLEETING = /(?:^|\/)(?:LOCK|LOG|LOG\.old|lock|lock\.json|control\.sock|[^/]*\.dbtmp)(?:\/|$)/

/** Whether LevelDB works in a folder, by its name in a home, a backup or a recovery. */
export function isForeignFolder(folder: string): boolean {
  return /^data(?:-copy|\.\w+)?$/.test(basename(folder))
}

/** Whether a name in a folder of LevelDB is that of its own log. */
export function isOwnLog(name: string): boolean {
  return OWN_LOG.test(name)
}

/** Whether a name in a folder of LevelDB is that of a table, a MANIFEST or CURRENT. */
export function isKeptByLeveldb(name: string): boolean {
  return KEPT.test(name)
}

/** What a file was when the mirror last looked at it. */
interface Stamp {
  readonly inode: number
  readonly bytes: number
  readonly modifiedAtMs: number
}

/** Enters in a simulated disk what LevelDB did in a real folder behind the port. The model is told by `MirrorFileSystem`. */
export class ForeignFolders {
  readonly #root: string
  readonly #disk: CrashFileSystem
  readonly #stamps = new Map<string, Stamp>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(root: string, disk: CrashFileSystem) {
    this.#root = root
    this.#disk = disk
  }

  /** Enters what happened in a folder, if it is one of LevelDB's. */
  survey(folder: string): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#isBelow(folder) && isForeignFolder(folder)) await this.#survey(folder)
    })
  }

  /** Enters what happened in all folders of LevelDB at or below a path, or that hold it. */
  surveyAround(path: string): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isBelow(path)) return
      for (const folder of [dirname(path), ...foldersFrom(path)]) {
        if (isForeignFolder(folder)) await this.#survey(folder)
      }
    })
  }

  /** Remembers how all files of LevelDB look, which the mirror knows already. */
  stampAll(): void {
    for (const folder of foldersFrom(this.#root).filter(isForeignFolder)) {
      for (const name of namesIn(folder) ?? []) this.stamp(join(folder, name))
    }
  }

  /** Makes sure that the mirror knows a file that is there. */
  adopt(path: string): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isBelow(path) || FLEETING.test(relative(this.#root, path))) return
      if ((await this.#disk.status(this.#inside(path))) === undefined && statOf(path)?.isFile() === true) {
        await this.#adoptFolder(dirname(path))
        await this.#enter(path, !isOwnLog(basename(path)))
      }
    })
  }

  /** Enters all that is there, hard links as such, and makes it durable. */
  adoptAll(): Promise<void> {
    return this.#inTurn(async () => {
      const firstNames = new Map<number, string>()
      for (const folder of foldersFrom(this.#root)) {
        if (FLEETING.test(relative(this.#root, folder))) continue
        await this.#disk.makeDirectory(this.#inside(folder))
        for (const name of namesIn(folder) ?? []) {
          const path = join(folder, name)
          const stat = statOf(path)
          const isLeveldbs = isForeignFolder(folder) && !KEPT.test(name)
          if (stat?.isFile() !== true || isLeveldbs || FLEETING.test(relative(this.#root, path))) continue
          const first = firstNames.get(stat.ino)
          firstNames.set(stat.ino, first ?? path)
          if (first === undefined) await this.#enter(path, true)
          else await this.#disk.link(this.#inside(first), this.#inside(path))
          this.stamp(path)
        }
        await this.#disk.syncDirectory(this.#inside(dirname(folder)))
        await this.#disk.syncDirectory(this.#inside(folder))
      }
    })
  }

  /** Makes sure that the mirror knows the folders on the way that are there. */
  adoptFolder(folder: string): Promise<void> {
    return this.#inTurn(() => this.#adoptFolder(folder))
  }

  /** Remembers how a file looks that was made through the port. */
  stamp(path: string): void {
    if (!isForeignFolder(dirname(path))) return
    const stat = statOf(path)
    if (stat !== undefined) this.#stamps.set(path, stampOf(stat))
  }

  /** Moves what is remembered of a path, and of all below it. */
  renamed(from: string, to: string): void {
    const moved = [...this.#stamps].filter(([path]) => path === from || path.startsWith(`${from}/`))
    for (const [path, stamp] of moved) {
      this.#stamps.delete(path)
      this.#stamps.set(to + path.slice(from.length), stamp)
    }
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  async #survey(folder: string): Promise<void> {
    const names = namesIn(folder)
    if (names === undefined) return
    await this.#adoptFolder(folder)
    const known = new Set(await this.#disk.list(this.#inside(folder)))
    for (const name of names) {
      if (!KEPT.test(name)) continue
      const path = join(folder, name)
      const stat = statOf(path)
      if (stat === undefined) continue
      if (!known.has(name)) await this.#enter(path, !name.startsWith('MANIFEST'))
      else await this.#update(path, stampOf(stat))
    }
    for (const name of known) {
      if (names.includes(name) || !(KEPT.test(name) || OWN_LOG.test(name))) continue
      await this.#disk.remove(this.#inside(join(folder, name)))
    }
  }

  async #update(path: string, now: Stamp): Promise<void> {
    const before = this.#stamps.get(path)
    if (before !== undefined && before.inode !== now.inode) return this.#replace(path)
    const grown =
      before === undefined || before.bytes !== now.bytes || before.modifiedAtMs !== now.modifiedAtMs
    if (!grown) return
    const content = contentOf(path)
    if (content === undefined) return
    const handle = await this.#disk.open(this.#inside(path), 'write')
    const { bytes } = await handle.status()
    const isManifest = basename(path).startsWith('MANIFEST')
    if (isManifest && content.length >= bytes) handle.writeNow(content.subarray(bytes), bytes)
    else if (!isManifest || content.length < bytes) {
      await handle.truncate(0)
      handle.writeNow(content, 0)
      if (!isManifest) handle.syncNow()
    }
    await handle.close()
    this.#stamps.set(path, now)
  }

  /** Another file has the name: LevelDB renames over CURRENT, which is one change. */
  async #replace(path: string): Promise<void> {
    const beside = `${path}.dbtmp`
    await this.#enter(path, true, beside)
    if ((await this.#disk.status(this.#inside(beside))) === undefined) return
    await this.#disk.rename(this.#inside(beside), this.#inside(path))
  }

  async #enter(path: string, isSynced: boolean, under = path): Promise<void> {
    const stat = statOf(path)
    const content = contentOf(path)
    if (stat === undefined || content === undefined) return
    const handle = await this.#disk.open(this.#inside(under), 'create')
    handle.writeNow(content, 0)
    if (isSynced) handle.syncNow()
    await handle.close()
    this.#stamps.set(path, { ...stampOf(stat), bytes: content.length })
  }

  async #adoptFolder(folder: string): Promise<void> {
    if (!this.#isBelow(folder)) return
    const parts = relative(this.#root, folder)
      .split('/')
      .filter((part) => part !== '')
    let path = ''
    for (const part of parts) {
      const parent = path === '' ? '/' : path
      path = `${path}/${part}`
      if ((await this.#disk.status(path)) !== undefined || statOf(join(this.#root, path)) === undefined)
        continue
      await this.#disk.makeDirectory(path)
      if (!isForeignFolder(path)) await this.#disk.syncDirectory(parent)
    }
  }

  #isBelow(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`)
  }

  #inside(path: string): string {
    return `/${relative(this.#root, path)}`
  }
}

/** The folders at and below a path, each before what is in it; none when it is no folder. */
export function foldersFrom(path: string): readonly string[] {
  if (statOf(path)?.isDirectory() !== true) return []
  const found = [path]
  for (const folder of found) {
    const entries = unlessGone(() => fs.readdirSync(folder, { withFileTypes: true })) ?? []
    const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name)
    found.push(...names.sort().map((name) => join(folder, name)))
  }
  return found
}

/** What stands behind a path; `undefined` when nothing does, or no more. */
export function statOf(path: string): fs.Stats | undefined {
  return fs.statSync(path, { throwIfNoEntry: false })
}

/** The bytes of a file; `undefined` when it is gone. */
export function contentOf(path: string): Buffer | undefined {
  return unlessGone(() => fs.readFileSync(path))
}

/** The names in a folder; `undefined` when it is gone. */
export function namesIn(folder: string): readonly string[] | undefined {
  return unlessGone(() => fs.readdirSync(folder).sort())
}

function unlessGone<Result>(read: () => Result): Result | undefined {
  try {
    return read()
  } catch (error) {
    // LevelDB removes files while we look.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function stampOf(stat: fs.Stats): Stamp {
  return { inode: stat.ino, bytes: stat.size, modifiedAtMs: stat.mtimeMs }
}
