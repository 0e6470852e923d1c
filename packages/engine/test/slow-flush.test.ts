/**
 * A group whose flush is left to another thread goes into LevelDB meanwhile. The test holds that flush, waits until LevelDB has the group, and
 * reads in every way there is: nobody may see what a power cut could take back.
 */
import { nodeFileSystem } from '@timberline/wal'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { classicPrototype } from '../src/level/native-level.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0

/** So large that its flush goes to another thread, whatever the device. */
const LARGE = 'new '.repeat(100_000)
const KEY = Buffer.from('a')

/** A disk whose flushes of the log wait for the test. */
class HeldDisk {
  #held: Promise<void> | undefined
  #refusal: Error | undefined
  #letGo: (() => void) | undefined

  hold(): void {
    this.#held = new Promise((resolve) => (this.#letGo = resolve))
  }

  release(refusal?: Error): void {
    this.#refusal = refusal
    this.#held = undefined
    this.#letGo?.()
  }

  fileSystem(): FileSystem {
    const open = async (path: string, mode: 'read' | 'write' | 'create'): Promise<FileHandle> => {
      const handle = await nodeFileSystem.open(path, mode)
      if (!path.includes('log.')) return handle
      const sync = handle.sync.bind(handle)
      handle.sync = async () => {
        const held = this.#held
        await held
        if (held !== undefined && this.#refusal !== undefined) throw this.#refusal
        await sync()
      }
      return handle
    }
    return Object.assign(Object.create(nodeFileSystem) as FileSystem, { open })
  }
}

describe('while the device flushes a group on another thread', () => {
  let disk: HeldDisk
  let db: TimberLevel
  let done: Promise<unknown>

  beforeEach(async () => {
    disk = new HeldDisk()
    db = new TimberLevel(join(folder, String((homes += 1))), { fileSystem: disk.fileSystem() })
    await db.put('a', 'old')
    disk.hold()
    done = db.put('a', LARGE).then(
      () => 'resolved',
      (error: { code: string; details: { outcome: string } }) => `${error.code} ${error.details.outcome}`,
    )
    // Past what readers are shown. So many questions go through the same threads that the answer is there long before.
    const raw = { keyEncoding: 'buffer', valueEncoding: 'buffer' }
    const hasIt = async (): Promise<boolean> =>
      (await classicPrototype._get.call(db, KEY, raw))?.length === LARGE.length
    let questions = 0
    while (!(await hasIt())) if ((questions += 1) > 10_000) throw new Error('LevelDB does not get the group')
  })
  afterEach(async () => {
    disk.release()
    await db.close()
  })

  it('LevelDB has it, and whoever reads sees the state before', async () => {
    const snapshot = db.snapshot()
    expect(await db.get('a')).toBe('old')
    expect(db.getSync('a')).toBe('old')
    expect(await db.getMany(['a'])).toEqual(['old'])
    expect(await db.values().all()).toEqual(['old'])
    expect(await db.get('a', { snapshot })).toBe('old')
    expect(db.snapshotLsn(snapshot)).toBe((await db.homeStatus()).durableLsn)
    expect(await Promise.race([done, nextTurn().then(() => 'not yet')])).toBe('not yet')
    disk.release()
    expect(await done).toBe('resolved')
    expect(await db.get('a')).toBe(LARGE)
    expect(await db.values().all()).toEqual([LARGE])
    expect(await db.get('a', { snapshot })).toBe('old')
    await snapshot.close()
  })

  it('a transaction that has read the state before runs again', async () => {
    const read: unknown[] = []
    const committed = db.transaction(async (tx) => {
      const value = await tx.get('a')
      read.push(value?.length)
      disk.release()
      await done
      await tx.put('b', String(value?.length))
    })
    await committed
    expect(read).toEqual(['old'.length, LARGE.length])
    expect(await db.get('b')).toBe(String(LARGE.length))
  })

  it('and fails to, the outcome is unknown, and reads go on', async () => {
    disk.release(new Error('EIO'))
    expect(await done).toBe('ENGINE_LOG_FAILED unknown')
    expect(['old', LARGE]).toContain(await db.get('a'))
  })

  it('the next group waits for both, and is seen after it', async () => {
    const next = db.put('b', 'next')
    expect(await db.get('b')).toBeUndefined()
    disk.release()
    await next
    expect(await done).toBe('resolved')
    expect(await db.getMany(['a', 'b'])).toEqual([LARGE, 'next'])
  })
})

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
