import { realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import type { HomeLayout } from '@timberline/engine'
import { hotbackupError, systemCodeOf } from '../errors.ts'

/** Folders that a target must be apart from, by what they are. */
export type ApartFrom = Readonly<Record<string, string>>

/**
 * Resolves a path through all symbolic links of the part that exists, so that two spellings of one folder are equal
 * also when the last names are still to be created.
 */
export async function settledPath(path: string): Promise<string> {
  const missing: string[] = []
  let existing = resolve(path)
  for (;;) {
    try {
      return join(await realpath(existing), ...missing)
    } catch (error) {
      const code = systemCodeOf(error)
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
      const parent = dirname(existing)
      if (parent === existing) return resolve(path)
      missing.unshift(existing.slice(parent.endsWith(sep) ? parent.length : parent.length + 1))
      existing = parent
    }
  }
}

/**
 * Refuses a target that is, contains or lies inside one of the folders of the home.
 *
 * @throws HOTBACKUP_TARGET_OVERLAPS
 */
export async function refuseOverlap(target: string, apartFrom: ApartFrom): Promise<void> {
  const folders = Object.entries(apartFrom)
  const [settledTarget = target, ...settled] = await Promise.all(
    [target, ...folders.map(([, folder]) => folder)].map(settledPath),
  )
  for (const [index, [what, folder]] of folders.entries()) {
    const settledFolder = settled[index] ?? folder
    if (contains(settledTarget, settledFolder) || contains(settledFolder, settledTarget)) {
      throw hotbackupError('HOTBACKUP_TARGET_OVERLAPS', `the target and the ${what} overlap`, {
        details: { target, [what]: folder },
      })
    }
  }
}

/** The folders of a home that a backup must stay out of. */
export function foldersOf(layout: HomeLayout): Record<string, string> {
  return {
    home: layout.home,
    log: layout.logDirectory,
    data: layout.dataDirectory,
    checkpoint: layout.checkpointDirectory,
  }
}

function contains(outer: string, inner: string): boolean {
  const way = relative(outer, inner)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}
