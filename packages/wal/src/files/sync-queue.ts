import type { FileHandle } from './file-system.ts'

/** Files that are written and wait for the disk, while the next ones are being copied. */
export interface SyncQueue {
  /**
   * Takes over a handle, to sync and close it; resolves when there is room for the next one.
   *
   * @throws the first error of any sync so far
   */
  add(handle: FileHandle): Promise<void>
  /** Resolves when all files taken over are durable and closed; rejects with the first error of any. */
  settled(): Promise<void>
}

/**
 * A queue with at most `pendingMax` files waiting: enough to keep the disk busy, few enough to bound what is open. So many are synced at once as
 * `syncsMax` says: each holds a thread of the pool, which those that read and write need as well.
 */
export function syncQueue(pendingMax: number, syncsMax: number = pendingMax): SyncQueue {
  const pending = new Set<Promise<void>>()
  const failures: unknown[] = []
  const lanes = Array.from({ length: syncsMax }, () => Promise.resolve())
  let next = 0
  const throwFirst = (): void => {
    if (failures.length > 0) throw failures[0]
  }
  return {
    async add(handle) {
      const lane = next
      next = (next + 1) % syncsMax
      const work = (lanes[lane] as Promise<void>)
        .then(() => syncAndClose(handle))
        .catch((error: unknown) => {
          failures.push(error)
        })
        .finally(() => pending.delete(work))
      lanes[lane] = work
      pending.add(work)
      while (pending.size >= pendingMax) await Promise.race(pending)
      throwFirst()
    },
    async settled() {
      await Promise.all(pending)
      throwFirst()
    },
  }
}

async function syncAndClose(handle: FileHandle): Promise<void> {
  try {
    // The content is durable from here on; its name is when the folder has been synced.
    await handle.sync()
  } finally {
    await handle.close()
  }
}
