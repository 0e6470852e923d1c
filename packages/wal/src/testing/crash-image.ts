import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import type { CrashFileSystem } from './crash-file-system.ts'
import type { CrashPolicy } from './crash-policy.ts'
import { contentOf, isForeignFolder, isKeptByLeveldb, isOwnLog, namesIn, statOf } from './foreign-folders.ts'
import { type Random, seededRandom } from './random.ts'

/**
 * What became of LevelDB's own log: `kept` whole, `cut` at a random position, from there on `zeroed` or `garbled`, `pierced` by
 * up to three blocks of zeros, or `gone`.
 */
export type OwnLogFate = (typeof OWN_LOG_FATES)[number]

/** How the power was lost: what a crash policy says of our files, and what became of LevelDB's. Open points by seed. */
export interface PowerLoss extends CrashPolicy {
  readonly leveldb?: 'promised' | 'synced'
  readonly ownLog?: OwnLogFate
}

const OWN_LOG_FATES = ['kept', 'cut', 'zeroed', 'garbled', 'pierced', 'gone'] as const
const BLOCK_BYTES = 4096
/** LevelDB's threads go on while its folder is read. */
const READ_TRIES_MAX = 20

interface ImageFile {
  /** The same for all names of one file. */
  readonly identity: string
  readonly content: Buffer
}

/** What has a name in a state of a disk. */
export interface ImageEntry {
  readonly path: string
  readonly identity: string
  readonly content: Buffer | undefined
}

/** A state of a disk as data. */
export class CrashImage {
  readonly #folders: readonly string[]
  readonly #files: ReadonlyMap<string, ImageFile>
  /** The loss as it was drawn, for messages. */
  readonly loss: string

  /** Images come from `MirrorFileSystem.capture`. */
  constructor(loss: string, folders: readonly string[], files: ReadonlyMap<string, ImageFile>) {
    this.loss = loss
    this.#folders = folders
    this.#files = files
  }

  /** Equal for equal states, whatever their files were numbered. */
  get fingerprint(): string {
    const hash = createHash('sha256')
    const firstNames = new Map<string, string>()
    for (const folder of [...this.#folders].sort()) hash.update(`${folder}/\n`)
    for (const [path, { identity, content }] of [...this.#files].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const first = firstNames.get(identity) ?? path
      firstNames.set(identity, first)
      hash.update(`${path}=${first}:${String(content.length)}\n`)
      if (first === path) hash.update(content)
    }
    return hash.digest('hex')
  }

  /** Every name, with `/` before each, folders first; names of one file have the same `identity`, a folder has no content. */
  get entries(): readonly ImageEntry[] {
    const folders = this.#folders.map((path) => ({ path, identity: path, content: undefined }))
    return [...folders, ...[...this.#files].map(([path, file]) => ({ path, ...file }))]
  }

  /** All file names, with `/` before each. */
  get paths(): readonly string[] {
    return [...this.#files.keys()]
  }

  /** The bytes of one file. */
  content(path: string): Buffer | undefined {
    return this.#files.get(path)?.content
  }

  /**
   * Writes the state into an empty folder.
   *
   * @param isWanted - of a folder or file, with `/` before it; default: all of them.
   */
  writeTo(folder: string, isWanted: (path: string) => boolean = () => true): void {
    const written = new Map<string, string>()
    fs.mkdirSync(folder, { recursive: true })
    for (const inner of this.#folders.filter(isWanted)) fs.mkdirSync(join(folder, inner), { recursive: true })
    for (const [inner, { identity, content }] of this.#files) {
      if (!isWanted(inner)) continue
      const path = join(folder, inner)
      const first = written.get(identity)
      if (first === undefined) fs.writeFileSync(path, content)
      else fs.linkSync(first, path)
      written.set(identity, first ?? path)
    }
  }
}

/** What a power loss at this moment could leave below a folder that a simulated disk mirrors. */
export function captureImage(root: string, disk: CrashFileSystem, loss: PowerLoss): CrashImage {
  const survivors = disk.ifCrashed(loss).entries()
  const random = seededRandom((loss.seed ?? survivors.length) ^ 0x5eed)
  const leveldb = loss.leveldb ?? (random.chance(0.5) ? 'promised' : 'synced')
  const folders = new Set<string>()
  const files = new Map<string, ImageFile>()
  for (const { path, number, content } of survivors) {
    if (content === undefined) folders.add(path)
    else files.set(path, { identity: `disk ${String(number)}`, content })
  }
  const fates: string[] = []
  for (const folder of [...folders].filter(isForeignFolder)) {
    const real = join(root, folder)
    if (namesIn(real) === undefined) continue
    if (leveldb === 'promised') putPromised({ root, folder }, files)
    for (const name of namesIn(real)?.filter(isOwnLog) ?? []) {
      const fate = loss.ownLog ?? OWN_LOG_FATES[random.integer(OWN_LOG_FATES.length)] ?? 'kept'
      fates.push(`${name} ${fate}`)
      const content = damage(contentOf(join(real, name)) ?? Buffer.alloc(0), fate, random)
      if (fate !== 'gone') files.set(`${folder}/${name}`, { identity: `log ${folder}/${name}`, content })
    }
  }
  const drawn = { ...loss, writes: String(loss.writes ?? 'any'), names: String(loss.names ?? 'any'), leveldb }
  return new CrashImage(`${JSON.stringify(drawn)} ${fates.join(', ')}`.trim(), [...folders], files)
}

/** Puts LevelDB's files of now in the place of those that survived; what shares a file with a survivor goes on sharing it. */
function putPromised(
  place: { readonly root: string; readonly folder: string },
  files: Map<string, ImageFile>,
): void {
  const { root, folder } = place
  for (const path of files.keys()) if (dirname(path) === folder) files.delete(path)
  const settled = readSettled(join(root, folder))
  // Only what has the length of one of them can be the same file: to ask the system for each costs more than all the rest.
  const lengths = new Set([...settled.values()].map(({ content }) => content.length))
  const byInode = new Map<number, ImageFile>()
  for (const [path, file] of files) {
    const inode = lengths.has(file.content.length) ? statOf(join(root, path))?.ino : undefined
    if (inode !== undefined) byInode.set(inode, file)
  }
  for (const [name, found] of settled) {
    const shared = byInode.get(found.inode)
    const isShared = shared?.content.equals(found.content) === true
    const identity = `real ${String(found.inode)}`
    files.set(`${folder}/${name}`, isShared ? shared : { identity, content: found.content })
  }
}

interface Found {
  readonly inode: number
  readonly content: Buffer
}

/** The files of a folder of LevelDB as of one moment, as well as that can be told from outside. */
function readSettled(folder: string): ReadonlyMap<string, Found> {
  let found = readOnce(folder)
  for (let tries = 1; tries < READ_TRIES_MAX; tries += 1) {
    const again = readOnce(folder)
    const isSame =
      again.size === found.size &&
      [...again].every(([name, { content }]) => found.get(name)?.content.equals(content))
    if (isSame) break
    found = again
  }
  return found
}

function readOnce(folder: string): Map<string, Found> {
  const found = new Map<string, Found>()
  for (const name of namesIn(folder)?.filter(isKeptByLeveldb) ?? []) {
    const path = join(folder, name)
    const inode = statOf(path)?.ino
    const content = contentOf(path)
    if (inode !== undefined && content !== undefined) found.set(name, { inode, content })
  }
  return found
}

function damage(log: Buffer, fate: OwnLogFate, random: Random): Buffer {
  const content = Buffer.from(log)
  const from = random.integer(content.length + 1)
  if (fate === 'cut') return content.subarray(0, from)
  if (fate === 'zeroed') content.fill(0, from)
  if (fate === 'garbled') for (let at = from; at < content.length; at += 1) content[at] = random.integer(256)
  if (fate === 'pierced') {
    for (let holes = 1 + random.integer(3); holes > 0; holes -= 1) {
      const at = random.integer(Math.ceil(content.length / BLOCK_BYTES) + 1) * BLOCK_BYTES
      content.fill(0, Math.min(at, content.length), Math.min(at + BLOCK_BYTES, content.length))
    }
  }
  return content
}
