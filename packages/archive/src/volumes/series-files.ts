/**
 * The files of a series as a file system that can only be read, so that whoever reads a backup set reads one in volumes alike,
 * with nothing unpacked: `/<call>/<name in the set>`.
 */
import { posix } from 'node:path'
import type { FileHandle, FileStatus, FileSystem } from '@timberline/wal'
import type { CallIndex, Extent } from './call-index.ts'
import type { Series } from './series-reader.ts'

interface PlacedFile {
  readonly bytes: number
  readonly extents: readonly Extent[]
}

/** The folder that holds the set of one call. */
export function callFolder({ call }: Pick<CallIndex, 'call'>): string {
  return `/${String(call)}`
}

/** A view of all calls of a series. */
export function seriesFiles(series: Series): FileSystem {
  const files = new Map<string, PlacedFile>()
  const folders = new Map<string, Set<string>>()
  for (const index of series.calls) {
    // A set has a log folder, also when another call holds all that was in it.
    enterFolders(posix.join(callFolder(index), 'log'), folders)
    folders.set(posix.join(callFolder(index), 'log'), new Set())
    for (const [position, { name, bytes }] of index.manifest.files.entries()) {
      const path = posix.join(callFolder(index), name)
      files.set(path, { bytes, extents: index.extents[position] ?? [] })
      enterFolders(path, folders)
    }
  }
  return {
    open: (path, mode) => {
      const file = files.get(path)
      if (mode !== 'read') return refuse('EROFS', path)
      return file === undefined ? refuse('ENOENT', path) : Promise.resolve(handleOf(file, series))
    },
    list: (path) => {
      const names = folders.get(path)
      return names === undefined ? refuse('ENOENT', path) : Promise.resolve([...names].toSorted())
    },
    status: (path) => {
      const file = files.get(path)
      const isDirectory = folders.has(path)
      return Promise.resolve(
        file === undefined && !isDirectory ? undefined : statusOf(file?.bytes ?? 0, isDirectory),
      )
    },
    makeDirectory: (path) => refuse('EROFS', path),
    link: (path) => refuse('EROFS', path),
    rename: (path) => refuse('EROFS', path),
    remove: (path) => refuse('EROFS', path),
    removeTree: (path) => refuse('EROFS', path),
    syncDirectory: (path) => refuse('EROFS', path),
    watch: () => () => undefined,
  }
}

function enterFolders(path: string, folders: Map<string, Set<string>>): void {
  for (let child = path; child !== '/'; child = posix.dirname(child)) {
    const parent = posix.dirname(child)
    const names = folders.get(parent) ?? new Set()
    names.add(posix.basename(child))
    folders.set(parent, names)
  }
}

function handleOf(file: PlacedFile, series: Series): FileHandle {
  const refuseWrite = (): never => {
    throw systemError('EROFS', 'a volume')
  }
  return {
    read: async (target, position) => {
      let from = 0
      for (const { at, bytes } of file.extents) {
        const inside = position - from
        from += bytes
        if (inside >= bytes) continue
        // Short at the end of a run: whoever needs all of it asks again.
        const part = Buffer.from(target.buffer, target.byteOffset, Math.min(target.length, bytes - inside))
        await series.read(part, at + inside)
        return part.length
      }
      return 0
    },
    status: () => Promise.resolve(statusOf(file.bytes, false)),
    // Nothing was written, so nothing is left to be made durable.
    sync: () => Promise.resolve(),
    syncNow: () => undefined,
    close: () => Promise.resolve(),
    write: async () => refuseWrite(),
    writeNow: refuseWrite,
    truncate: async () => refuseWrite(),
  }
}

function statusOf(bytes: number, isDirectory: boolean): FileStatus {
  return { bytes, isDirectory, modifiedAtMs: 0, linkCount: 1 }
}

function refuse(code: string, path: string): Promise<never> {
  return Promise.reject(systemError(code, path))
}

function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}
