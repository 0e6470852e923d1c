import { join } from 'node:path'
import type { FileSystem } from '@timberline/wal'
import type { ListOptions, StoredObject } from './archive-store.ts'
import { systemCodeOf, wrapped } from './system-failure.ts'

interface Listing extends ListOptions {
  readonly prefix: string
}

interface Entry extends StoredObject {
  /** The name, with a slash behind a folder's: the order of whole names is the order of these. */
  readonly key: string
}

/** The files below `root` as object names, ascending by code unit, whatever folders they lie in. */
export async function* listTree(
  fileSystem: FileSystem,
  root: string,
  listing: Listing,
): AsyncGenerator<StoredObject> {
  const { prefix, startAfter = '', limit = Infinity } = listing
  // A stack of folders' remaining entries instead of recursion: depth is data.
  const stack = [await entriesOf({ fileSystem, root, folder: '' }, listing)]
  let count = 0
  while (count < limit) {
    const level = stack.at(-1)
    if (level === undefined) return
    const entry = level.shift()
    if (entry === undefined) stack.pop()
    else if (!overlaps(entry.key, prefix) || isBefore(entry.key, startAfter)) continue
    else if (entry.key.endsWith('/'))
      stack.push(await entriesOf({ fileSystem, root, folder: entry.key }, listing))
    else if (entry.name.startsWith(prefix) && entry.name > startAfter) {
      count++
      yield { name: entry.name, bytes: entry.bytes }
    }
  }
}

function overlaps(key: string, prefix: string): boolean {
  return key.startsWith(prefix) || (key.endsWith('/') && prefix.startsWith(key))
}

/** Whether all names below a folder, or the name itself, come no later than `startAfter`. */
function isBefore(key: string, startAfter: string): boolean {
  return key.endsWith('/') ? key < startAfter && !startAfter.startsWith(key) : key <= startAfter
}

async function entriesOf(
  { fileSystem, root, folder }: { fileSystem: FileSystem; root: string; folder: string },
  { prefix, startAfter = '' }: Listing,
): Promise<Entry[]> {
  const path = join(root, folder)
  return wrapped(
    async () => {
      const entries: Entry[] = []
      for (const name of await namesIn(fileSystem, path)) {
        // Hidden names are no objects: the store's own temporary files lie under one.
        if (name.startsWith('.')) continue
        const full = folder + name
        // What cannot be wanted is not looked at: a listing from the middle of a long journal stays short.
        if (!full.startsWith(prefix) && !prefix.startsWith(full)) continue
        if (full < startAfter && !startAfter.startsWith(full)) continue
        const found = await fileSystem.status(join(path, name))
        if (found === undefined) continue
        entries.push({ name: full, key: full + (found.isDirectory ? '/' : ''), bytes: found.bytes })
      }
      return entries.toSorted((a, b) => (a.key < b.key ? -1 : 1))
    },
    { name: folder, url: root },
  )
}

/** A store without a folder yet, or a folder that went meanwhile, is an empty one. */
async function namesIn(fileSystem: FileSystem, path: string): Promise<readonly string[]> {
  try {
    return await fileSystem.list(path)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT' || systemCodeOf(error) === 'ENOTDIR') return []
    throw error
  }
}
