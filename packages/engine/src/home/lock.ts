/**
 * One process at a time holds a home. The kernel decides: a tiny LevelDB in `lock/` is held open, whose file lock falls
 * when its process dies. `lock.json` beside it names the holder, and guards the lock against its own process: a second
 * open of the same LevelDB from inside the holder fails, and by failing drops the kernel's lock (POSIX locks belong to the
 * process and go with any close of the file). So when this very process is the holder, LevelDB is not touched.
 */
import { realpath } from 'node:fs/promises'
import { join } from 'node:path'
import {
  isSameProcessAlive,
  makeDirectoryDurable,
  nodeFileSystem,
  processIdentity,
  readFileWhole,
  removeIfPresent,
  writeFileAtomic,
} from '@timberline/wal'
import { ClassicLevel } from 'classic-level'
import * as v from 'valibot'
import { codeOf, engineError } from '../errors.ts'
import { homeLayout } from './home-layout.ts'

/** Options of {@link lockHome}. */
export interface LockHomeOptions {
  /** How long to wait for another holder, in milliseconds; default 0: not at all. */
  readonly busyTimeoutMs?: number
}

/** The right to a home, until released or until the process dies. */
export interface HomeLock {
  readonly home: string
  /** Idempotent. */
  release(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** The process that holds a home. */
export interface HomeOwner {
  readonly pid: number
}

const OWNER_BYTES_MAX = 4096
const POLL_MS_MIN = 10
const POLL_MS_MAX = 100
const ownerSchema = v.object({
  pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  startedAt: v.string(),
  bootId: v.string(),
})

/** Homes locked by this process; on the global object, so that two copies of this module in one process share it. */
const registry: Set<string> = globalRegistry()

/**
 * Takes a home for this process; the folder is made when missing.
 *
 * @throws ENGINE_HOME_LOCKED with the holder's pid in its details, and a cause whose `code` is LEVEL_LOCKED
 */
export async function lockHome(home: string, options: LockHomeOptions = {}): Promise<HomeLock> {
  const deadlineMs = performance.now() + (options.busyTimeoutMs ?? 0)
  await makeDirectoryDurable(home)
  const canonical = await realpath(home)
  for (let pollMs = POLL_MS_MIN; ; pollMs = Math.min(pollMs * 2, POLL_MS_MAX)) {
    const held = await tryLock(home, canonical)
    if (held !== undefined) return held
    if (performance.now() >= deadlineMs) throw await lockedError(home)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

/** Who holds a home now; `undefined` when nobody does. Touches no lock. */
export async function homeOwner(home: string): Promise<HomeOwner | undefined> {
  const owner = await readOwner(home)
  return owner !== undefined && isSameProcessAlive(owner) ? { pid: owner.pid } : undefined
}

/** `undefined` when another process, or this one, holds it. */
async function tryLock(home: string, canonical: string): Promise<HomeLock | undefined> {
  // Between the check and the entry nothing is awaited, so two callers in one process cannot both pass.
  if (registry.has(canonical)) return undefined
  registry.add(canonical)
  let held: HomeLock | undefined
  try {
    // Another thread of this process has no share in the registry.
    if ((await homeOwner(home))?.pid === process.pid) return undefined
    const level = await openLockDatabase(home)
    if (level === undefined) return undefined
    try {
      await writeOwner(home)
      held = new HeldLock(home, canonical, level)
    } finally {
      if (held === undefined) await level.close()
    }
    return held
  } finally {
    if (held === undefined) registry.delete(canonical)
  }
}

class HeldLock implements HomeLock {
  readonly home: string
  readonly #canonical: string
  readonly #level: ClassicLevel
  #released: Promise<void> | undefined

  constructor(home: string, canonical: string, level: ClassicLevel) {
    this.home = home
    this.#canonical = canonical
    this.#level = level
  }

  release(): Promise<void> {
    return (this.#released ??= this.#release())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #release(): Promise<void> {
    try {
      // Before the kernel's lock falls: afterwards the file may be the next holder's.
      await removeIfPresent(homeLayout(this.home).ownerPath, nodeFileSystem)
    } finally {
      await this.#level.close()
      registry.delete(this.#canonical)
    }
  }
}

async function openLockDatabase(home: string): Promise<ClassicLevel | undefined> {
  const { lockDirectory } = homeLayout(home)
  try {
    return await openLevel(lockDirectory)
  } catch (error) {
    if (isLocked(error)) return undefined
    // It holds no data, but power loss may have damaged it. LOCK itself stays: the kernel's lock is on that file.
    await removeAllButLock(lockDirectory)
    try {
      return await openLevel(lockDirectory)
    } catch (again) {
      if (isLocked(again)) return undefined
      throw engineError('ENGINE_IO_FAILED', 'the lock of the home cannot be taken', {
        details: { lockDirectory },
        cause: again,
      })
    }
  }
}

async function openLevel(directory: string): Promise<ClassicLevel> {
  const level = new ClassicLevel(directory, { writeBufferSize: 64 * 1024, cacheSize: 0 })
  await level.open()
  return level
}

async function removeAllButLock(directory: string): Promise<void> {
  if ((await nodeFileSystem.status(directory)) === undefined) return
  for (const name of await nodeFileSystem.list(directory)) {
    if (name !== 'LOCK') await removeIfPresent(join(directory, name), nodeFileSystem)
  }
}

function isLocked(error: unknown): boolean {
  return codeOf(error instanceof Error ? error.cause : undefined) === 'LEVEL_LOCKED'
}

async function writeOwner(home: string): Promise<void> {
  const owner = Buffer.from(`${JSON.stringify(processIdentity(process.pid))}\n`)
  await writeFileAtomic(homeLayout(home).ownerPath, owner, nodeFileSystem)
}

async function readOwner(home: string): Promise<v.InferOutput<typeof ownerSchema> | undefined> {
  const { ownerPath } = homeLayout(home)
  try {
    const bytes = await readFileWhole(ownerPath, nodeFileSystem, OWNER_BYTES_MAX)
    const parsed = v.safeParse(ownerSchema, JSON.parse(bytes.toString('utf8')))
    return parsed.success ? parsed.output : undefined
  } catch (error) {
    // Missing: nobody. Not JSON: it names nobody; the kernel's lock decides without it.
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

async function lockedError(home: string): Promise<Error> {
  const pid = (await homeOwner(home))?.pid
  const who = pid === process.pid ? 'this process holds the home already' : 'another process holds the home'
  const cause = Object.assign(new Error(`${who}${pid === undefined ? '' : ` (pid ${pid})`}`), {
    code: 'LEVEL_LOCKED',
  })
  return engineError('ENGINE_HOME_LOCKED', who, { details: { home, pid }, cause })
}

function globalRegistry(): Set<string> {
  const key = Symbol.for('timberline.engine.lockedHomes')
  const found: unknown = Reflect.get(globalThis, key)
  if (found instanceof Set) return found
  const made = new Set<string>()
  Reflect.set(globalThis, key, made)
  return made
}
