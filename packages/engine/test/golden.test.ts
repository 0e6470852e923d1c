/**
 * Golden workloads: abstract-level's suite would not notice a store that loses overwrites of large values. Each workload is
 * a fixed sequence; a Map beside it says what must be there, and the digests were computed from the Map, independently of
 * the engine, and are never regenerated.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TimberLevel } from '../src/timber-level.ts'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
let homes = 0
const variants: Record<'classic' | 'memory', () => TimberLevel<Buffer, Buffer>> = {
  classic: () =>
    new TimberLevel<Buffer, Buffer>(join(folder, String((homes += 1))), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      writeBufferSize: 256 * 1024,
      log: { segmentBytesMax: 1024 * 1024 },
    }),
  memory: () =>
    new TimberMemoryLevel<Buffer, Buffer>({ keyEncoding: 'buffer', valueEncoding: 'buffer' }) as never,
}

/** The same sequence into a Level database and into a Map. */
interface Model {
  put(key: string, value: Buffer): Promise<void>
  del(key: string): Promise<void>
  batch(operations: { key: string; value: Buffer | undefined }[]): Promise<void>
  clear(range: { gte?: string; lt?: string; limit?: number; reverse?: boolean }): Promise<void>
}

class MapModel implements Model {
  readonly entries = new Map<string, Buffer>()
  readonly #db: TimberLevel<Buffer, Buffer>

  constructor(db: TimberLevel<Buffer, Buffer>) {
    this.#db = db
  }

  async put(key: string, value: Buffer): Promise<void> {
    this.entries.set(key, value)
    await this.#db.put(Buffer.from(key), value)
  }

  async del(key: string): Promise<void> {
    this.entries.delete(key)
    await this.#db.del(Buffer.from(key))
  }

  async batch(operations: { key: string; value: Buffer | undefined }[]): Promise<void> {
    for (const { key, value } of operations) {
      if (value === undefined) this.entries.delete(key)
      else this.entries.set(key, value)
    }
    await this.#db.batch(
      operations.map(({ key, value }) =>
        value === undefined
          ? { type: 'del', key: Buffer.from(key) }
          : { type: 'put', key: Buffer.from(key), value },
      ),
    )
  }

  async clear(range: { gte?: string; lt?: string; limit?: number; reverse?: boolean }): Promise<void> {
    const { gte = '', lt = '\uffff', limit = Infinity, reverse = false } = range
    const keys = [...this.entries.keys()].filter((key) => key >= gte && key < lt).sort(byCode)
    for (const key of (reverse ? keys.reverse() : keys).slice(0, limit)) this.entries.delete(key)
    await this.#db.clear({
      ...(range.gte === undefined ? {} : { gte: Buffer.from(range.gte) }),
      ...(range.lt === undefined ? {} : { lt: Buffer.from(range.lt) }),
      ...(range.limit === undefined ? {} : { limit: range.limit }),
      reverse,
    })
  }
}

/** The state digest by its definition. */
function digestOf(entries: ReadonlyMap<string, Buffer>): string {
  const hash = createHash('sha256')
  for (const key of [...entries.keys()].sort(byCode)) {
    const value = entries.get(key) ?? Buffer.alloc(0)
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32LE(key.length, 0)
    lengths.writeUInt32LE(value.length, 4)
    hash.update(lengths).update(key).update(value)
  }
  return hash.digest('hex')
}

/** What the sublevel workload must leave, put together without any database. */
function plainSublevels(): { entries: string[]; digest: string } {
  const entries = new Map<string, Buffer>()
  for (let index = 0; index < 200; index += 1) {
    entries.set(`!outer!o${index}`, Buffer.alloc(index, index))
    if (`i${index}` < 'i5') entries.set(`!outer!!inner!i${index}`, Buffer.alloc(index, index))
  }
  // The outer one contains the inner one; its keys come first, and only the last fifty below the bound go.
  const below = [...entries.keys()].sort(byCode).filter((key) => key < '!outer!o3')
  for (const key of below.slice(-50)) entries.delete(key)
  return { entries: [...entries.keys()].sort(byCode), digest: digestOf(entries) }
}

const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const workloads: Record<string, { digest: string; run: (model: Model) => Promise<void> }> = {
  'overwrites of large values': {
    digest: 'd2e02e078c36d715225bca98ea273e0512a2015fedb5f94f0820485d7d000410',
    async run(model) {
      for (let round = 0; round < 60; round += 1) {
        const value = Buffer.alloc(20_000 + ((round * 7919) % 90_000), round)
        await model.put(`large${round % 4}`, value)
        if (round % 9 === 8) await model.del(`large${round % 3}`)
      }
    },
  },
  'clears with bounds, limits and both directions': {
    digest: 'b49e5856e3c5790680137268ba44580aa569a249d6200611b2d601ec06cb7c66',
    async run(model) {
      for (let round = 0; round < 5; round += 1) {
        await model.batch(
          Array.from({ length: 300 }, (_, index) => ({
            key: `k${String(index).padStart(3, '0')}`,
            value: Buffer.from(`${round}:${index}`),
          })),
        )
        await model.clear({ gte: `k0${round}`, lt: `k1${round}`, limit: 20 + round })
        await model.clear({ gte: 'k2', limit: 13, reverse: true })
        await model.clear({ lt: 'k001' })
      }
    },
  },
  'random batches over few keys': {
    digest: '4e19b3ea59b60b38e5f05c1366fdec6741398c2f587e167c7c11e3dc221c05f1',
    async run(model) {
      const random = seededRandom(20_26)
      for (let round = 0; round < 400; round += 1) {
        await model.batch(
          Array.from({ length: 1 + Math.floor(random() * 12) }, () => ({
            key: `key${Math.floor(random() * 50)}`,
            value: random() < 0.3 ? undefined : Buffer.alloc(Math.floor(random() * 3000), round % 256),
          })),
        )
      }
    },
  },
}

describe.each(['classic', 'memory'] as const)('over %s', (variant) => {
  test.each(Object.keys(workloads))('%s end in the known state', async (name) => {
    const workload = workloads[name]
    const db = variants[variant]()
    const model = new MapModel(db)
    await workload?.run(model)
    const expected = digestOf(model.entries)
    expect(expected).toBe(workload?.digest)
    expect((await db.digest()).hex).toBe(expected)
    await db.close()
    await db.open()
    expect((await db.digest()).hex).toBe(expected)
    await db.close()
  })

  test('sublevels, two deep and with clears, end in the known state', async () => {
    const db = variants[variant]()
    const outer = db.sublevel<string, Buffer>('outer', { valueEncoding: 'buffer' })
    const inner = outer.sublevel<string, Buffer>('inner', { valueEncoding: 'buffer' })
    const { entries, digest } = plainSublevels()
    for (let index = 0; index < 200; index += 1) {
      const value = Buffer.alloc(index, index)
      await outer.put(`o${index}`, value)
      await inner.batch([{ type: 'put', key: `i${index}`, value }])
    }
    await inner.clear({ gte: 'i5' })
    await outer.clear({ lt: 'o3', limit: 50, reverse: true })
    expect(await db.keys({ keyEncoding: 'utf8' }).all()).toEqual(entries)
    expect(digest).toBe('c7c8284701dffed645a1b1044fdf522447c5c800b36e7c10aa0ccb2cfa57896e')
    expect((await db.digest()).hex).toBe(digest)
    await db.close()
  })
})
