import { posix } from 'node:path'
import { type MemoryNode, MemoryFile, MemoryFolder } from './memory-node.ts'
import { type SystemErrorSite, systemError } from './system-error.ts'

/** A change of one folder's names that is atomic on disk; a rename inside one folder is one such change. */
export interface NameChange {
  /** Parts of one operation (a rename between folders) share their order. */
  readonly order: number
  readonly folder: MemoryFolder
  readonly entries: readonly NameEntry[]
}

/** A name and what it stands for from now on; `undefined` when the name is gone. */
export interface NameEntry {
  readonly name: string
  readonly node: MemoryNode | undefined
}

/** Where a path leads: the folder that holds (or would hold) its last name, and what has that name. */
export interface Place {
  readonly folder: MemoryFolder
  readonly name: string
  readonly node: MemoryNode | undefined
}

/** The tree of folders with the changes of names that are not durable yet, oldest first. */
export class NameSpace {
  readonly root: MemoryFolder
  #changes: NameChange[]

  /** @param changes - those that are not durable yet. */
  constructor(root: MemoryFolder, changes: readonly NameChange[] = []) {
    this.root = root
    this.#changes = [...changes]
  }

  get changes(): readonly NameChange[] {
    return this.#changes
  }

  /** What has this path, if anything; nothing can be below a file. */
  look(path: string): MemoryNode | undefined {
    let node: MemoryNode | undefined = this.root
    for (const name of namesOf(path)) node = node?.isFolder === true ? node.live.get(name) : undefined
    return node
  }

  /** What has this path, if anything; throws ENOTDIR when a file is in the way. */
  seek(path: string, site: SystemErrorSite): MemoryNode | undefined {
    return this.#walk(namesOf(path), site)
  }

  /** What has this path; throws ENOENT or ENOTDIR. */
  find(path: string, site: SystemErrorSite): MemoryNode {
    const node = this.seek(path, site)
    if (node === undefined) throw systemError('ENOENT', site)
    return node
  }

  findFolder(path: string, site: SystemErrorSite): MemoryFolder {
    const node = this.find(path, site)
    if (!node.isFolder) throw systemError('ENOTDIR', site)
    return node
  }

  place(path: string, site: SystemErrorSite): Place {
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) throw systemError('EBUSY', site)
    const folder = this.#walk(names, site)
    if (folder === undefined) throw systemError('ENOENT', site)
    if (!folder.isFolder) throw systemError('ENOTDIR', site)
    return { folder, name, node: folder.live.get(name) }
  }

  apply(change: NameChange): void {
    for (const { name, node } of change.entries) {
      const before = change.folder.live.get(name)
      if (before !== undefined && !before.isFolder)
        before.parents.splice(before.parents.indexOf(change.folder), 1)
      if (node === undefined) {
        change.folder.live.delete(name)
        continue
      }
      change.folder.live.set(name, node)
      if (!node.isFolder) node.parents.push(change.folder)
    }
    this.#changes.push(change)
  }

  makeDurable(isCovered: (change: NameChange) => boolean): void {
    const left: NameChange[] = []
    for (const change of this.#changes) {
      if (isCovered(change)) putEntries(change.folder.durable, change.entries)
      else left.push(change)
    }
    this.#changes = left
  }

  /** The same tree of other folders and files, those included that only the platter knows. */
  copy(): NameSpace {
    const copies = new Map<MemoryNode, MemoryNode>()
    const folderOf = (folder: MemoryFolder): MemoryFolder => {
      const known = copies.get(folder)
      if (known?.isFolder === true) return known
      const copy = new MemoryFolder(folder.number, folder.modifiedAtMs)
      copies.set(folder, copy)
      for (const [name, node] of folder.live) {
        const inner = nodeOf(node)
        copy.live.set(name, inner)
        if (!inner.isFolder) inner.parents.push(copy)
      }
      for (const [name, node] of folder.durable) copy.durable.set(name, nodeOf(node))
      return copy
    }
    const nodeOf = (node: MemoryNode): MemoryNode => {
      if (node.isFolder) return folderOf(node)
      const known = copies.get(node) ?? node.copy()
      copies.set(node, known)
      return known
    }
    const root = folderOf(this.root)
    const changes = this.#changes.map(({ order, folder, entries }) => ({
      order,
      folder: folderOf(folder),
      entries: entries.map(({ name, node }) => ({ name, node: node === undefined ? node : nodeOf(node) })),
    }))
    // As `MemoryDisk.release`: without a name and a handle the bytes are readable by nobody.
    for (const node of copies.values()) if (!node.isFolder && node.parents.length === 0) node.live.truncate(0)
    return new NameSpace(root, changes)
  }

  /** Bytes of all files that have a name. */
  usedBytes(): number {
    const files = new Set<MemoryFile>()
    const folders = [this.root]
    for (const { live } of folders) {
      for (const node of live.values()) {
        if (node.isFolder) folders.push(node)
        else files.add(node)
      }
    }
    return [...files].reduce((sum, file) => sum + file.live.bytes, 0)
  }

  #walk(names: readonly string[], site: SystemErrorSite): MemoryNode | undefined {
    let node: MemoryNode = this.root
    for (const name of names) {
      if (!node.isFolder) throw systemError('ENOTDIR', site)
      const next = node.live.get(name)
      if (next === undefined) return undefined
      node = next
    }
    return node
  }
}

/** Puts names into a folder as they were found on the platter. */
export function putEntries(names: Map<string, MemoryNode>, entries: readonly NameEntry[]): void {
  for (const { name, node } of entries) {
    if (node === undefined) names.delete(name)
    else names.set(name, node)
  }
}

/** The names along a path; a relative one starts at the root, since the simulated machine has no current folder. */
export function namesOf(path: string): string[] {
  return posix
    .resolve('/', path)
    .split('/')
    .filter((name) => name !== '')
}
