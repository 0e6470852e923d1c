/**
 * One worker for each spool: `worker.json` names the process, and counts only while that very process lives. Two calls that replace a
 * dead worker in the same moment may begin two: that costs work and harms nothing, because the same content twice is fine.
 */
import { join } from 'node:path'
import {
  isSameProcessAlive,
  nodeFileSystem,
  type ProcessIdentity,
  processIdentity,
  readFileWhole,
  removeIfPresent,
  removeStaleTemporaries,
  systemCode,
  writeFileAtomic,
} from '@timberline/wal'

const NAME = 'worker.json'
const TRIES_MAX = 3
const LOCK_BYTES_MAX = 4096

/** Whether the worker that the spool names lives. */
export async function hasWorker(spool: string): Promise<boolean> {
  const holder = await holderOf(spool)
  return holder !== undefined && isSameProcessAlive(holder)
}

/** Makes this process the worker of the spool; resolves with the way to end that, or `undefined` when another one lives. */
export async function becomeWorker(spool: string): Promise<(() => Promise<void>) | undefined> {
  const path = join(spool, NAME)
  const identity = processIdentity(process.pid)
  const own = join(spool, `worker-${String(process.pid)}.json`)
  await writeFileAtomic(own, Buffer.from(`${JSON.stringify(identity)}\n`))
  try {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if (await linked(own, path)) {
        // Killed workers leave half-written markers, one each: nobody else removes them.
        await removeStaleTemporaries(spool)
        return async () => {
          // Of two that replaced a dead one together, the second has put its name here.
          if ((await holderOf(spool))?.pid === identity.pid) await removeIfPresent(path)
        }
      }
      if (await hasWorker(spool)) return undefined
      await removeIfPresent(path)
    }
    return undefined
  } finally {
    await removeIfPresent(own)
  }
}

/** Who a lock names; `undefined` for bytes that name nobody. */
export function decodeWorker(bytes: Buffer): ProcessIdentity | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, startedAt, bootId }: Readonly<Record<string, unknown>> = { ...value }
  // 0 and numbers below it mean groups of processes.
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid < 1 || pid > 0x7fff_ffff) return undefined
  if (typeof startedAt !== 'string' || typeof bootId !== 'string') return undefined
  return { pid, startedAt, bootId }
}

async function holderOf(spool: string): Promise<ProcessIdentity | undefined> {
  try {
    const path = join(spool, NAME)
    if (((await nodeFileSystem.status(path))?.bytes ?? 0) > LOCK_BYTES_MAX) return undefined
    return decodeWorker(await readFileWhole(path))
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A link shows the whole lock or none of it, and is refused when there is one. */
async function linked(existing: string, path: string): Promise<boolean> {
  try {
    await nodeFileSystem.link(existing, path)
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}
