/**
 * Recovery point zero: a commit that resolved with `durability: 'archived'` is in a recovery made from the archive alone. Fault
 * model: at the very moment of each acknowledgement the whole home is lost, with the shipper and everything that the archive's
 * store had not taken; what is left is the content of the store at that moment.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createArchive,
  memoryStore,
  openArchive,
  runShipper,
  type Archive,
  type ArchiveStore,
  type Shipper,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { TimberlineError } from '@timberline/wal'
import { afterAll, beforeAll, expect, test } from 'vitest'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-archived-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** A memory store that can be copied as it stands, and that can be down. */
class Vault {
  readonly store: ArchiveStore
  isDown = false
  /** Counts every change: two moments with the same count have the same content. */
  changeCount = 0
  readonly #names = new Set<string>()
  readonly #inner = memoryStore()

  constructor() {
    const inner = this.#inner
    this.store = {
      ...inner,
      put: async (name, content) => {
        if (this.isDown) throw Object.assign(new Error('the store is down'), { code: 'ECONNREFUSED' })
        const outcome = await inner.put(name, content)
        this.#names.add(name)
        this.changeCount += 1
        return outcome
      },
      delete: async (name) => {
        await inner.delete(name)
        this.changeCount += 1
      },
    }
  }

  /** The store as it is at the moment of the call. */
  copied(): Promise<ArchiveStore> {
    const now = [...this.#names].map((name) => [name, this.#inner.get(name).catch(() => undefined)] as const)
    const copy = memoryStore()
    return (async () => {
      for (const [name, content] of now) {
        const bytes = await content
        if (bytes === undefined) continue
        const read = async function* (): AsyncGenerator<Buffer> {
          yield bytes
        }
        await copy.put(name, { read })
      }
      return copy
    })()
  }
}

interface Running {
  readonly db: TimberLevel
  readonly shippers: readonly Shipper[]
  readonly vaults: ReadonlyMap<string, Vault>
  readonly end: () => Promise<void>
}

async function begin(
  names: readonly string[],
  archived: { atLeast?: number; timeoutMs?: number } = {},
): Promise<Running> {
  const home = await mkdtemp(join(folder, 'home-'))
  const db = new TimberLevel(home, {
    durability: 'archived',
    archived: { archives: names, ...archived },
    log: { segmentBytesMax: 16 * 1024 },
  })
  await db.open()
  const identity = await readHomeIdentity(home)
  const stop = new AbortController()
  const vaults = new Map(names.map((name) => [name, new Vault()]))
  const shippers: Shipper[] = []
  for (const [name, { store }] of vaults) {
    const archive = await createArchive(store, identity)
    // A recovery begins with a backup; everything that is acknowledged comes after it.
    await hotbackup({ home, target: { archive } })
    const { logDirectory } = homeLayout(home)
    const retryMs = { first: 5, max: 20 }
    const { signal } = stop
    // So long an interval that only who waits makes it ship.
    shippers.push(
      runShipper({ logDirectory, archive, name, identity, intervalMs: 3_600_000, retryMs, signal }),
    )
  }
  const end = async (): Promise<void> => {
    stop.abort()
    await Promise.allSettled(shippers.map((shipper) => shipper.done))
    await db.close()
  }
  return { db, shippers, vaults, end }
}

async function recoveredKeys(archive: Archive): Promise<Set<string>> {
  const home = await mkdtemp(join(folder, 'recovered-'))
  await recover({ from: { archive }, home })
  const db = new TimberLevel(home)
  const keys = await db.keys().all()
  await db.close()
  await rm(home, { recursive: true })
  return new Set(keys)
}

test('whatever was acknowledged is in a recovery from what the archive held at that moment', async () => {
  const { db, vaults, end } = await begin(['vault'])
  const vault = vaults.get('vault')
  if (vault === undefined) throw new Error('there is no vault')
  const acknowledged: string[] = []
  // Of moments with the same content the last one has the most to answer for.
  const moments = new Map<number, { keys: readonly string[]; store: Promise<ArchiveStore> }>()
  const writer = async (name: string): Promise<void> => {
    for (let index = 0; index < 12; index++) {
      const key = `${name}${String(index)}`
      await db.put(key, 'x'.repeat(500))
      acknowledged.push(key)
      moments.set(vault.changeCount, { keys: [...acknowledged], store: vault.copied() })
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(writer))
  await end()
  expect(acknowledged).toHaveLength(48)
  expect(moments.size).toBeGreaterThan(10)
  for (const { keys, store } of moments.values()) {
    const recovered = await recoveredKeys(await openArchive(await store))
    expect(keys.filter((key) => !recovered.has(key))).toEqual([])
  }
})

test('of two archives one that is down holds up nobody who needs one', async () => {
  const { db, vaults, end } = await begin(['a', 'b'], { atLeast: 1 })
  const down = vaults.get('b')
  if (down !== undefined) down.isDown = true
  await db.put('k', 'v')
  expect((await db.homeStatus()).archived).toMatchObject({ waitingCount: 0, isLate: false })
  await end()
})

test('a commit waits while its archive is down, resolves on its return, and is refused if the database closes before', async () => {
  const { db, vaults, end } = await begin(['vault'], { timeoutMs: 600_000 })
  const vault = vaults.get('vault')
  if (vault === undefined) throw new Error('there is no vault')
  await db.put('before', 'v')
  vault.isDown = true
  const waiting = db.put('during', 'v')
  let isSettled = false
  void waiting.finally(() => (isSettled = true))
  while ((await db.get('during')) === undefined) await new Promise(setImmediate)
  expect(isSettled).toBe(false)
  expect((await db.homeStatus()).archived).toMatchObject({ waitingCount: 1, isLate: false })
  vault.isDown = false
  await waiting
  const recovered = await recoveredKeys(await openArchive(await vault.copied()))
  expect([...recovered]).toEqual(['before', 'during'])
  vault.isDown = true
  const closing = db.put('at the end', 'v').catch((error: unknown) => error)
  while ((await db.get('at the end')) === undefined) await new Promise(setImmediate)
  await end()
  const error = await closing
  expect(error instanceof TimberlineError ? error.code : error).toBe('ENGINE_NOT_ARCHIVED')
})
