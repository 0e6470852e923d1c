import { join } from 'node:path'
import type { FileSystem } from '@timberline/wal'

/** What LevelDB makes of a name in its folder. */
export type LeveldbName =
  | { readonly type: 'table' | 'log' | 'temporary' | 'manifest'; readonly number: number }
  | { readonly type: 'current' | 'lock' | 'info' }

const NUMBERED = /^(\d{1,16})\.(ldb|sst|log|dbtmp)$/
const MANIFEST = /^MANIFEST-(\d{1,16})$/
const FIXED: ReadonlyMap<string, LeveldbName> = new Map([
  ['CURRENT', { type: 'current' }],
  ['LOCK', { type: 'lock' }],
  ['LOG', { type: 'info' }],
  ['LOG.old', { type: 'info' }],
])

/** What a name in a LevelDB folder stands for; `undefined` for names that LevelDB leaves alone. */
export function parseLeveldbName(name: string): LeveldbName | undefined {
  const manifest = MANIFEST.exec(name)?.[1]
  if (manifest !== undefined) return { type: 'manifest', number: Number(manifest) }
  const numbered = NUMBERED.exec(name)
  if (numbered === null) return FIXED.get(name)
  const type = numbered[2] === 'log' ? 'log' : numbered[2] === 'dbtmp' ? 'temporary' : 'table'
  return { type, number: Number(numbered[1]) }
}

/** `000007.ldb` */
export function tableName(number: number, extension: 'ldb' | 'sst' = 'ldb'): string {
  return `${String(number).padStart(6, '0')}.${extension}`
}

/** The names in a folder that are LevelDB's; none when there is no folder. */
export async function leveldbNames(
  directory: string,
  fileSystem: FileSystem,
): Promise<ReadonlyMap<string, LeveldbName>> {
  const found = new Map<string, LeveldbName>()
  if ((await fileSystem.status(directory)) === undefined) return found
  for (const name of await fileSystem.list(directory)) {
    const parsed = parseLeveldbName(name)
    if (parsed !== undefined) found.set(name, parsed)
  }
  return found
}

/** The greatest number of LevelDB's own logs; 0 when there is none. */
export async function highestLogNumber(dataDirectory: string, fileSystem: FileSystem): Promise<number> {
  let highest = 0
  for (const name of await fileSystem.list(dataDirectory)) {
    // Nearly all are tables, and this is asked beside commits: no more than a look at each of them.
    const parsed = name.endsWith('.log') ? parseLeveldbName(name) : undefined
    if (parsed?.type === 'log') highest = Math.max(highest, parsed.number)
  }
  return highest
}

/**
 * Removes LevelDB's own logs, which must happen before every open: they are written unsynced, so after a power cut they
 * can hold a later transaction while an earlier one is gone, and some damage aborts the whole process. Without them the
 * state is exactly the last flush; our log supplies the rest. Only for a folder that surely nobody has open.
 */
export async function removeLeveldbLogs(dataDirectory: string, fileSystem: FileSystem): Promise<number> {
  let removed = 0
  for (const [name, { type }] of await leveldbNames(dataDirectory, fileSystem)) {
    if (type !== 'log') continue
    await fileSystem.remove(join(dataDirectory, name))
    removed += 1
  }
  return removed
}
