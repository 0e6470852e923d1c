import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { TimberMemoryLevel } from '../src/timber-memory-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

async function* pairs(count: number): AsyncGenerator<[string, string]> {
  for (let n = 0; n < count; n += 1) yield [`k${String(n).padStart(4, '0')}`, String(n)]
}

describe('a bulk load into memory', () => {
  test('is there as a whole or not at all, for readers of any moment', async () => {
    const db = new TimberMemoryLevel()
    const seen = new Set<number>()
    const watched = async function* (): AsyncGenerator<[string, string]> {
      for await (const pair of pairs(50)) {
        seen.add((await db.keys().all()).length)
        yield pair
      }
    }
    const loading = db.bulkLoad(watched())
    await db.put('beside', '1')
    const { entries, bytes, lsn } = await loading
    expect([entries, bytes, lsn]).toEqual([50, 50 * 5 + 90, 2])
    expect([...seen].every((count) => count <= 1)).toBe(true)
    expect(await db.keys().all()).toHaveLength(51)
    expect(await db.get('k0049')).toBe('49')
    await db.close()
  })

  test('that fails or is ended leaves no trace', async () => {
    const db = new TimberMemoryLevel()
    await db.put('a', '1')
    const broken = async function* (): AsyncGenerator<[string, string]> {
      yield* pairs(10)
      throw new Error('broken source')
    }
    await expect(db.bulkLoad(broken())).rejects.toThrow('broken source')
    const abort = new AbortController()
    const endless = async function* (): AsyncGenerator<[string, string]> {
      yield* pairs(10)
      abort.abort()
      await new Promise(() => undefined)
    }
    await expect(db.bulkLoad(endless(), { signal: abort.signal })).rejects.toThrow('abort')
    expect(await db.bulkLoad([])).toMatchObject({ entries: 0, lsn: 1 })
    expect(await db.keys().all()).toEqual(['a'])
    await db.close()
  })

  test('goes into a sublevel, and copies what it is given', async () => {
    const db = new TimberMemoryLevel()
    const sub = db.sublevel<Buffer, number>('s', { keyEncoding: 'buffer', valueEncoding: 'json' })
    const key = Buffer.from('0')
    const reused = function* (): Generator<{ key: Buffer; value: number }> {
      for (let n = 0; n < 3; n += 1) {
        key[0] = 0x30 + n
        yield { key, value: n }
      }
    }
    await db.bulkLoad(reused(), { sublevel: sub })
    expect((await sub.iterator().all()).map(([each, value]) => [each.toString(), value])).toEqual([
      ['0', 0],
      ['1', 1],
      ['2', 2],
    ])
    await db.close()
  })

  test('is in the log, which brings it back', async () => {
    const log = { home: join(folder, 'home') }
    const db = new TimberMemoryLevel({ log })
    const { lsn } = await db.bulkLoad(pairs(100))
    const { hex } = await db.digest()
    await db.close()
    const again = new TimberMemoryLevel({ log })
    expect(await again.digest()).toMatchObject({ hex, lsn, entries: 100 })
    await again.close()
  })
})
