/** The few verbs that the tests of this package are written in. */
import { cpSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { mkdtemp, readFile, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ArchiveStore } from '@timberline/archive'
import {
  TimberLevel,
  decodeCheckpoint,
  openState,
  replayInto,
  writeDataFromCheckpoint,
} from '@timberline/engine'
import { nodeFileSystem, readLog } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { POSITION_KEY, transaction } from './history.ts'
import type { Shape } from './history.ts'

export const SMALL: Shape = { keyCount: 60, valueBytes: 60 }

/** A new empty folder; the caller removes it. */
export function makeFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'timberline-hotbackup-'))
}

/** A new empty folder in memory where the system has one, for tests of many thousand syncs that prove nothing of a disk. */
export async function makeFastFolder(): Promise<string> {
  try {
    return await mkdtemp('/dev/shm/timberline-hotbackup-')
  } catch {
    return makeFolder()
  }
}

/** Runs with a folder that is gone afterwards. */
export async function withFolder<Result>(run: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await makeFolder()
  try {
    return await run(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Opens a home with small tables, so that a few transactions make several, and few zeros at the end of its log, which all would
 * copy; it ages without checkpoints, however slow the machine.
 */
export async function openHome(home: string): Promise<TimberLevel<string, string>> {
  const db = new TimberLevel<string, string>(home, {
    writeBufferSize: 64 * 1024,
    log: { preallocateBytes: 64 * 1024 },
    checkpoint: { checkpointAgeMs: 0 },
  })
  await db.open()
  return db
}

/** Commits the transactions up to and including n, from where the database stands. */
export async function write(db: TimberLevel<string, string>, n: number, shape: Shape = SMALL): Promise<void> {
  const from = Number((await db.get(POSITION_KEY)) ?? '0') + 1
  for (let each = from; each <= n; each += 1) await db.batch(transaction(each, shape))
}

/** A home with checkpoints in its past and log behind the last one, opened. */
export async function openUsedHome(home: string, n = 60): Promise<TimberLevel<string, string>> {
  const db = await openHome(home)
  await write(db, Math.floor(n / 3))
  await db.checkpoint()
  await write(db, Math.floor((2 * n) / 3))
  // Hashed, so that the home changes no more by itself.
  await db.checkpoint({ hashed: true })
  await write(db, n)
  return db
}

/** What recovery would make of a backup folder: its checkpoint, copied and verified, with its log replayed. */
export async function restored(
  backup: string,
): Promise<{ n: number; state: Map<string, string>; lsn: number }> {
  return withFolder(async (folder) => {
    const names = await readdir(join(backup, 'checkpoint'))
    const name = names.find((each) => each.endsWith('.json')) ?? ''
    const path = join(backup, 'checkpoint', name)
    const checkpoint = decodeCheckpoint(await readFile(path), path)
    const data = join(folder, 'data')
    await writeDataFromCheckpoint(checkpoint, join(backup, 'checkpoint/tables'), data, {
      mode: 'copy',
      verify: true,
    })
    const opened = await openState(data, { createIfMissing: false })
    try {
      const { lsn: appliedLsn } = await opened.applied()
      await replayInto(opened.level, readLog({ directory: join(backup, 'log'), fromLsn: appliedLsn + 1 }))
      const { lsn } = await opened.applied()
      const state = new Map<string, string>()
      for await (const [key, value] of opened.level.iterator()) {
        if (key[0] !== 0xff) state.set(key.toString(), value.toString())
      }
      return { n: Number(state.get(POSITION_KEY) ?? '0'), state, lsn }
    } finally {
      await opened.close()
    }
  })
}

/** All names under a folder with their content, for "nothing has changed". */
export async function contents(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found[path.slice(folder.length + 1)] = readFileSync(path).toString('base64')
  }
  return found
}

/** A second copy of a folder, to be damaged. */
export async function copyOf(folder: string, to: string): Promise<string> {
  // A control socket belongs to its owner, and cannot be copied.
  cpSync(folder, to, { recursive: true, filter: (from) => !from.endsWith('.sock') })
  return to
}

/** The file system, with something happening in the home just before the first matching operation. */
export function interrupted(path: RegExp, kind: 'open' | 'link', happening: () => Promise<void>): FileSystem {
  let happened = false
  const before = async (at: string): Promise<void> => {
    if (happened || !path.test(at)) return
    happened = true
    await happening()
  }
  return {
    ...nodeFileSystem,
    open: async (at, mode) => {
      if (kind === 'open') await before(at)
      return nodeFileSystem.open(at, mode)
    },
    link: async (existing, at) => {
      if (kind === 'link') await before(existing)
      return nodeFileSystem.link(existing, at)
    },
  }
}

/** A store that refuses its nth change. */
export function refusing(store: ArchiveStore, nth: number): { store: ArchiveStore; changes: () => number } {
  let changes = 0
  const refuse = (): void => {
    changes += 1
    if (changes === nth) throw Object.assign(new Error(`refused change ${nth}`), { code: 'EIO' })
  }
  const wrapped: ArchiveStore = {
    url: store.url,
    put: async (name, content) => {
      refuse()
      return store.put(name, content)
    },
    delete: async (name) => {
      refuse()
      await store.delete(name)
    },
    get: (name, options) => store.get(name, options),
    getRange: (name, range) => store.getRange(name, range),
    getStream: (name) => store.getStream(name),
    status: (name) => store.status(name),
    list: (prefix, options) => store.list(prefix, options),
  }
  return { store: wrapped, changes: () => changes }
}
