/*
 * Power loss for programs that keep files of their own beside ours: LevelDB reads and writes a real folder, past the port.
 *
 * Model. Everything that goes through the port is done twice: on a real folder, and on a `CrashFileSystem`, which knows what of it
 * is durable. `capture` gives a state that the disk could be in if the power failed at that moment, as bytes; the image can be
 * written into any empty folder, hard links as hard links, and opened there by anybody, LevelDB included. Our own files are in
 * it as the simulated disk's model (`posix` or `ext4`) gives them.
 *
 * LevelDB's files are made behind the port. Whenever the port touches a folder of LevelDB, what LevelDB did there since is
 * entered in the mirror:
 *
 * - a table is complete and fdatasynced before anything relies on it: its bytes are durable; its name, as any name, is durable once
 *   the folder is synced. In the `ext4` model that fdatasync also commits the journal, and the mirror lets it do so when it
 *   learns of the table, which may be a little late: there alone the mirror promises more than a disk might. `posix` does not.
 * - CURRENT is renamed over: one change of names, not synced by LevelDB.
 * - MANIFEST grows by writes that are durable once they are synced; the mirror counts only the syncs that came through the port.
 *
 * At a power loss LevelDB's folder is then in one of two states, by choice or by seed:
 *
 * - `promised`: as LevelDB promises. It syncs the folder and the MANIFEST at every change of tables before it goes on, so
 *   tables, MANIFEST and CURRENT are those that are there now.
 * - `synced`: only what was synced through the port is certain; the rest has the fates of any unsynced change, so CURRENT and
 *   MANIFEST may be rolled back to any state since, and tables may be gone. Harder than any disk that keeps LevelDB's syncs.
 *
 * In both, LevelDB's own log `N.log`, which is written unsynced, is kept, cut, zeroed from somewhere on, garbled from somewhere on,
 * pierced by blocks of zeros, or gone; and a log that was removed through the port may be back. Locks, LOG and sockets belong to
 * one run of the machine, and are left out. A folder made behind the port counts as durable: only the lock of a home does so,
 * which syncs it.
 */
import { dirname, relative } from 'node:path'
import type { FileHandle, FileStatus, FileSystem, OpenMode } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import { copyByBytes } from './simulated-copy.ts'
import type { CrashFileHandle } from './crash-file-handle.ts'
import { CrashFileSystem } from './crash-file-system.ts'
import { type CrashImage, type PowerLoss, captureImage } from './crash-image.ts'
import { ForeignFolders } from './foreign-folders.ts'
import type { CrashModel } from './memory-disk.ts'

export interface MirrorFileSystemOptions {
  /** Which promises about names hold; default `posix`, the stricter one. */
  readonly model?: CrashModel
  /** Start of the sequence that captures without a seed of their own draw from; any integer, default 1. */
  readonly seed?: number
  /** The way to the real folder; default `nodeFileSystem`. */
  readonly real?: FileSystem
}

/** A mirrored disk that stands still. */
export interface FrozenMirror {
  readonly image: CrashImage
  readonly disk: CrashFileSystem
}

/**
 * The real file system below one folder, with a simulated disk beside it that knows what a power loss would leave. Paths outside
 * the folder go to the real file system alone.
 *
 * @example
 * const mirror = new MirrorFileSystem(root)
 * const db = new TimberLevel(join(root, 'home'), { fileSystem: mirror })
 * await db.put('a', '1')
 * const image = mirror.capture({ seed: 7 })
 * await image.writeTo(emptyFolder)
 */
export class MirrorFileSystem implements FileSystem {
  readonly root: string
  readonly disk: CrashFileSystem
  readonly #foreign: ForeignFolders
  readonly #real: FileSystem

  /** A mirror of a folder that has something in it, all of it durable: for a life that begins on a captured state. */
  static async over(root: string, options: MirrorFileSystemOptions = {}): Promise<MirrorFileSystem> {
    const mirror = new MirrorFileSystem(root, options)
    await mirror.#foreign.adoptAll()
    return mirror
  }

  /** A mirror of an empty folder, into which what was frozen is written first. */
  static thaw(
    root: string,
    { image, disk }: FrozenMirror,
    options: Pick<MirrorFileSystemOptions, 'real'> = {},
  ): MirrorFileSystem {
    image.writeTo(root)
    const mirror = new MirrorFileSystem(root, options, disk.fork())
    mirror.#foreign.stampAll()
    return mirror
  }

  /** @param root - an existing folder, empty so far. */
  constructor(root: string, options: MirrorFileSystemOptions = {}, disk?: CrashFileSystem) {
    this.root = root
    this.disk = disk ?? new CrashFileSystem(options)
    this.#real = options.real ?? nodeFileSystem
    this.#foreign = new ForeignFolders(root, this.disk)
  }

  /**
   * What is on the disk, and what of it is durable: the past of any number of mirrors over other folders. Locks and whatever else
   * belongs to one run of the machine is left out, open handles stay with this one.
   */
  async freeze(): Promise<FrozenMirror> {
    await this.#foreign.surveyAround(this.root)
    const image = this.capture({ writes: 'kept', names: 'kept', leveldb: 'promised', ownLog: 'kept' })
    return { image, disk: this.disk.fork() }
  }

  /**
   * A state that a power loss at this moment could leave. Runs at once, between two turns of the event loop, and changes nothing.
   *
   * @param loss - what is known of the outcome; what is left open is drawn from the seed.
   */
  capture(loss: PowerLoss = {}): CrashImage {
    return captureImage(this.root, this.disk, loss)
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    if (!this.#isBelow(path)) return this.#real.open(path, mode)
    await this.#foreign.survey(dirname(path))
    const inner = await this.#real.open(path, mode)
    if (mode !== 'create') await this.#foreign.adopt(path)
    else await this.#foreign.adoptFolder(dirname(path))
    const mirrored = await this.disk.open(this.#inside(path), mode).catch((error: unknown) => {
      if (mode === 'read') return undefined
      throw error
    })
    if (mode === 'create') this.#foreign.stamp(path)
    return mirrored === undefined ? inner : new MirrorFileHandle(inner, mirrored)
  }

  async makeDirectory(path: string): Promise<void> {
    if (!this.#isBelow(path)) return this.#real.makeDirectory(path)
    await this.#foreign.adoptFolder(path)
    await this.#real.makeDirectory(path)
    await this.disk.makeDirectory(this.#inside(path))
  }

  list(path: string): Promise<readonly string[]> {
    return this.#real.list(path)
  }

  status(path: string): Promise<FileStatus | undefined> {
    return this.#real.status(path)
  }

  async link(existing: string, path: string): Promise<void> {
    await this.#foreign.survey(dirname(existing))
    await this.#real.link(existing, path)
    if (!this.#isBelow(path)) return
    await this.#foreign.adopt(existing)
    await this.#foreign.adoptFolder(dirname(path))
    if (!(await this.#isMirrored(existing))) return
    await this.disk.link(this.#inside(existing), this.#inside(path))
    this.#foreign.stamp(path)
  }

  copyFile(from: string, to: string): Promise<void> {
    return copyByBytes(from, to, this)
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#foreign.surveyAround(from)
    await this.#real.rename(from, to)
    if (!(await this.#isMirrored(from))) return
    await this.#foreign.adoptFolder(dirname(to))
    await this.disk.rename(this.#inside(from), this.#inside(to))
    this.#foreign.renamed(from, to)
  }

  async remove(path: string): Promise<void> {
    await this.#foreign.survey(dirname(path))
    // What LevelDB wrote and we remove may be back after a power loss, so the mirror must have had it.
    if (this.#isBelow(path)) await this.#foreign.adopt(path)
    await this.#real.remove(path)
    if (await this.#isMirrored(path)) await this.disk.remove(this.#inside(path))
  }

  async removeTree(path: string): Promise<void> {
    await this.#foreign.surveyAround(path)
    await this.#real.removeTree(path)
    if (this.#isBelow(path)) await this.disk.removeTree(this.#inside(path))
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#foreign.survey(path)
    if (!this.#isBelow(path)) return this.#real.syncDirectory(path)
    await this.#foreign.adoptFolder(path)
    await Promise.all([this.#real.syncDirectory(path), this.disk.syncDirectory(this.#inside(path))])
  }

  watch(path: string, onChange: () => void): () => void {
    return this.#real.watch(path, onChange)
  }

  /** Locks and the like have no part in a power loss, so they are not mirrored. */
  async #isMirrored(path: string): Promise<boolean> {
    return this.#isBelow(path) && (await this.disk.status(this.#inside(path))) !== undefined
  }

  #isBelow(path: string): boolean {
    return path === this.root || path.startsWith(`${this.root}/`)
  }

  #inside(path: string): string {
    return `/${relative(this.root, path)}`
  }
}

/** Reads the real file; writes and syncs both. */
class MirrorFileHandle implements FileHandle {
  readonly #inner: FileHandle
  readonly #mirrored: CrashFileHandle

  constructor(inner: FileHandle, mirrored: CrashFileHandle) {
    this.#inner = inner
    this.#mirrored = mirrored
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return this.#inner.read(target, position)
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    await Promise.all([this.#mirrored.write(source, position), this.#inner.write(source, position)])
  }

  async sync(): Promise<void> {
    await Promise.all([this.#mirrored.sync(), this.#inner.sync()])
  }

  writeNow(source: Uint8Array, position: number): void {
    this.#mirrored.writeNow(source, position)
    this.#inner.writeNow(source, position)
  }

  syncNow(): void {
    this.#inner.syncNow()
    this.#mirrored.syncNow()
  }

  async truncate(bytes: number): Promise<void> {
    await Promise.all([this.#mirrored.truncate(bytes), this.#inner.truncate(bytes)])
  }

  status(): Promise<FileStatus> {
    return this.#inner.status()
  }

  async close(): Promise<void> {
    await Promise.all([this.#mirrored.close(), this.#inner.close()])
  }

  failSync(): void {
    this.#mirrored.failSync()
  }
}
