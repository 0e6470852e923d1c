/*
 * Fault model.
 *
 * Files. A file has the bytes that readers see and the bytes on the platter. `write` and `truncate` change the first; `sync`
 * carries every change made before it began over to the second, length included. After a power loss each change that no
 * finished sync covers has, independently of the others, one of these fates: lost; kept; torn at 512 or 4,096 bytes (some of
 * its sectors old, some new, in any order); zeroed (the length survived, the bytes did not). Since fates are independent, a
 * later write may survive an earlier one: writes are reordered at will between syncs. Bytes of a gap read as zeros. What a
 * sync has covered is never lost. A sync under way while the power fails has covered nothing yet.
 *
 * Names. Creating, linking, renaming and removing change a folder, not a file, and likewise exist once for readers and once on
 * the platter. A change inside one folder (a rename too) happened or did not; nobody sees half of it.
 *
 * - `posix`, the stricter reading: only `syncDirectory` on the folder that holds the name makes its changes durable. Unsynced
 *   ones are lost or kept independently, and a rename between folders is two changes: until both folders are synced the file
 *   may have both names or none. A synced file whose name was lost is lost, and so is all below a folder whose name was lost.
 * - `ext4`: changes of names go through one journal, whose order is kept: after a power loss some beginning of the unsynced
 *   changes has happened. `syncDirectory` commits the journal up to the last change in that folder, changes elsewhere
 *   included; `sync` commits it up to the moment at which the file was created or its length last changed, so a new file's
 *   own name comes with its first sync, while a later rename does not. Not granted, because it is a heuristic of a mount
 *   option: that replacing a file by rename flushes the new one's bytes first.
 *
 * The start. The root folder is there and durable; every other folder is a name like any other. Files that had no surviving
 * name are gone. A crash leaves everything that survived durable.
 *
 * Failed sync. See `CrashFileHandle.failSync`.
 *
 * Space. With `capacityBytes`, lengths of all files that have a name or a handle count, holes included; a write that does not
 * fit writes what does and fails with ENOSPC. Overwriting needs no space, names need none.
 *
 * Not modelled: bit rot, stale foreign blocks in a file, a disk that lies about its cache, permissions, symbolic links.
 */
import type { FileStatus, FileSystem, OpenMode } from '../files/file-system.ts'
import { copyByBytes } from './simulated-copy.ts'
import { type CrashFileHandle, nextTurn, openHandle, statusOf } from './crash-file-handle.ts'
import type { CrashPolicy } from './crash-policy.ts'
import { type CrashModel, MemoryDisk } from './memory-disk.ts'
import type { MemoryFolder } from './memory-node.ts'
import { namesOf } from './name-space.ts'
import { type Random, seededRandom } from './random.ts'
import { systemError } from './system-error.ts'

export interface CrashFileSystemOptions {
  /** Start of the sequence that crashes without a seed of their own draw from; any integer, default 1. */
  readonly seed?: number
  /** Which promises about names hold; default `posix`, the stricter one. */
  readonly model?: CrashModel
  /** Room for the bytes of all files; default unlimited. */
  readonly capacityBytes?: number
  /** Clock of modification times, milliseconds since the epoch; default: a counter, so that runs repeat exactly. */
  readonly nowMs?: () => number
}

/** What has a name on the simulated disk. */
export interface DiskEntry {
  readonly path: string
  /** The same for all names of one file. */
  readonly number: number
  /** A copy of the bytes; `undefined` for a folder. */
  readonly content: Buffer | undefined
}

/**
 * A file system in memory that can lose its power: `crash()` gives the file system that the next start would find. The fault
 * model is the comment at the head of this file. Errors have Node's shape and codes.
 *
 * @example
 * const before = new CrashFileSystem({ model: 'posix' })
 * const file = await before.open('/a', 'create')
 * await file.write(Buffer.from('x'), 0)
 * await file.sync()
 * const after = before.crash({ names: 'lost' })
 * await after.status('/a') // undefined: the folder was never synced
 */
export class CrashFileSystem implements FileSystem {
  readonly #random: Random
  #disk: MemoryDisk

  constructor(options: CrashFileSystemOptions = {}) {
    this.#random = seededRandom(options.seed ?? 1)
    this.#disk = new MemoryDisk({
      model: options.model ?? 'posix',
      capacityBytes: options.capacityBytes ?? Infinity,
      nowMs: options.nowMs,
    })
  }

  get model(): CrashModel {
    return this.#disk.model
  }

  /** Operations begun so far, those on handles and the failed ones included. */
  get operationCount(): number {
    return this.#disk.operationCount
  }

  /** Bytes of all files that have a name or a handle. */
  get usedBytes(): number {
    return this.#disk.usedBytes
  }

  get capacityBytes(): number {
    return this.#disk.capacityBytes
  }

  /** Changes the room on the disk, as an operator would who frees some; files already there stay whatever it is. */
  set capacityBytes(bytes: number) {
    this.#disk.capacityBytes = bytes
  }

  /**
   * Cuts the power and gives the file system as the next start finds it; everything on this one, open handles included, fails
   * with `SimulatedCrash` from then on. May be called again with another seed or policy, for another outcome of the same crash.
   *
   * @param policy - a seed, or what is known of the outcome; what is left open is drawn from the seed.
   */
  crash(policy: number | CrashPolicy = {}): CrashFileSystem {
    this.#disk.cutPower()
    return this.ifCrashed(policy)
  }

  /**
   * What `crash` would give at this moment, while this file system goes on: to hold a promise against every moment of one run.
   *
   * @param policy - as for `crash`.
   */
  ifCrashed(policy: number | CrashPolicy = {}): CrashFileSystem {
    const chosen = typeof policy === 'number' ? { seed: policy } : policy
    const seed = chosen.seed ?? this.#random.integer(0x7fffffff)
    const random = seededRandom(seed)
    const next = new CrashFileSystem({ seed: random.integer(0x7fffffff) })
    next.#disk = this.#disk.afterCrash(chosen, random)
    return next
  }

  /**
   * Another disk in the same state, what is not durable included: one more future of the same past. Handles stay with this one, as
   * if a process had ended and another began.
   */
  fork(): CrashFileSystem {
    const next = new CrashFileSystem()
    next.#disk = this.#disk.copy()
    return next
  }

  /** Every name below the root, each folder before what is in it: to write the disk out elsewhere. Counts as no operation. */
  entries(): readonly DiskEntry[] {
    const found: DiskEntry[] = []
    const queue: { path: string; folder: MemoryFolder }[] = [{ path: '', folder: this.#disk.names.root }]
    for (const { path, folder } of queue) {
      for (const [name, node] of folder.live) {
        const own = `${path}/${name}`
        if (node.isFolder) queue.push({ path: own, folder: node })
        found.push({
          path: own,
          number: node.number,
          content: node.isFolder ? undefined : node.live.bytesOf(),
        })
      }
    }
    return found
  }

  async open(path: string, mode: OpenMode): Promise<CrashFileHandle> {
    const site = { syscall: 'open', path }
    this.#disk.begin('open')
    const { folder, name, node } = this.#disk.names.place(path, site)
    if (mode === 'create') {
      if (node !== undefined) throw systemError('EEXIST', site)
      const file = this.#disk.makeFile()
      this.#disk.changeNames([{ folder, entries: [{ name, node: file }] }])
      return openHandle({ disk: this.#disk, file, isWritable: true })
    }
    if (node === undefined) throw systemError('ENOENT', site)
    if (node.isFolder) throw systemError('EISDIR', site)
    return openHandle({ disk: this.#disk, file: node, isWritable: mode === 'write' })
  }

  async makeDirectory(path: string): Promise<void> {
    const site = { syscall: 'mkdir', path }
    this.#disk.begin('mkdir')
    let folder = this.#disk.names.root
    const names = namesOf(path)
    for (const [index, name] of names.entries()) {
      const found = folder.live.get(name)
      // As Node: a file in the way is ENOTDIR, a file at the very end is EEXIST.
      if (found?.isFolder === false)
        throw systemError(index === names.length - 1 ? 'EEXIST' : 'ENOTDIR', site)
      folder = found ?? this.#addFolder(folder, name)
    }
  }

  async list(path: string): Promise<readonly string[]> {
    this.#disk.begin('scandir')
    const names = [...this.#disk.names.findFolder(path, { syscall: 'scandir', path }).live.keys()]
    return names.sort()
  }

  async status(path: string): Promise<FileStatus | undefined> {
    this.#disk.begin('stat')
    const node = this.#disk.names.look(path)
    return node === undefined ? undefined : statusOf(node)
  }

  async link(existing: string, path: string): Promise<void> {
    const site = { syscall: 'link', path: existing, dest: path }
    this.#disk.begin('link')
    const node = this.#disk.names.find(existing, site)
    const target = this.#disk.names.place(path, site)
    if (target.node !== undefined) throw systemError('EEXIST', site)
    if (node.isFolder) throw systemError('EPERM', site)
    this.#disk.changeNames([{ folder: target.folder, entries: [{ name: target.name, node }] }])
  }

  copyFile(from: string, to: string): Promise<void> {
    return copyByBytes(from, to, this)
  }

  async rename(from: string, to: string): Promise<void> {
    const site = { syscall: 'rename', path: from, dest: to }
    this.#disk.begin('rename')
    const source = this.#disk.names.place(from, site)
    const target = this.#disk.names.place(to, site)
    const node = source.node
    if (node === undefined) throw systemError('ENOENT', site)
    // POSIX: two names of one file stay as they are.
    if (target.node === node) return
    if (isWithin(to, from)) throw systemError('EINVAL', site)
    if (isWithin(from, to)) throw systemError('ENOTEMPTY', site)
    if (node.isFolder) {
      if (target.node?.isFolder === false) throw systemError('ENOTDIR', site)
      if ((target.node?.live.size ?? 0) > 0) throw systemError('ENOTEMPTY', site)
    } else if (target.node?.isFolder === true) throw systemError('EISDIR', site)
    const gone = { name: source.name, node: undefined }
    const come = { name: target.name, node }
    this.#disk.changeNames(
      source.folder === target.folder
        ? [{ folder: source.folder, entries: [gone, come] }]
        : [
            { folder: target.folder, entries: [come] },
            { folder: source.folder, entries: [gone] },
          ],
    )
  }

  async remove(path: string): Promise<void> {
    const site = { syscall: 'unlink', path }
    this.#disk.begin('unlink')
    const { folder, name, node } = this.#disk.names.place(path, site)
    if (node === undefined) throw systemError('ENOENT', site)
    if (node.isFolder) throw systemError('EISDIR', site)
    this.#removeName(folder, name)
  }

  async removeTree(path: string): Promise<void> {
    const site = { syscall: 'rm', path }
    this.#disk.begin('rm')
    if (this.#disk.names.seek(path, site) === undefined) return
    const top = this.#disk.names.place(path, site)
    const found: { folder: MemoryFolder; name: string }[] = [{ folder: top.folder, name: top.name }]
    for (const { folder, name } of found) {
      const node = folder.live.get(name)
      if (node?.isFolder !== true) continue
      for (const inner of node.live.keys()) found.push({ folder: node, name: inner })
    }
    // One change for each name, the innermost first: a crash may leave a part of the tree.
    for (const { folder, name } of found.reverse()) this.#removeName(folder, name)
  }

  async syncDirectory(path: string): Promise<void> {
    const end = this.beginDirectorySync(path)
    await nextTurn()
    end()
  }

  /** The counterpart of `CrashFileHandle.beginSync` for a folder. */
  beginDirectorySync(path: string): () => void {
    this.#disk.begin('fsync')
    const endSync = this.#disk.beginFolderSync(this.#disk.names.findFolder(path, { syscall: 'fsync', path }))
    return () => {
      this.#disk.checkPower('fsync')
      endSync()
    }
  }

  watch(path: string, onChange: () => void): () => void {
    this.#disk.begin('watch')
    const { listeners } = this.#disk.names.findFolder(path, { syscall: 'watch', path })
    const listener = (): void => onChange()
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
    }
  }

  #addFolder(parent: MemoryFolder, name: string): MemoryFolder {
    const folder = this.#disk.makeFolder()
    this.#disk.changeNames([{ folder: parent, entries: [{ name, node: folder }] }])
    return folder
  }

  #removeName(folder: MemoryFolder, name: string): void {
    this.#disk.changeNames([{ folder, entries: [{ name, node: undefined }] }])
  }
}

function isWithin(path: string, folder: string): boolean {
  const inner = namesOf(path)
  return namesOf(folder).every((name, index) => inner[index] === name)
}
