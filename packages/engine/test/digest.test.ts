import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { stateDigest } from '../src/tables/digest.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
let states = 0

async function openLevel(): Promise<RawLevel> {
  states += 1
  const level = new RawLevel(join(folder, `level${states}`))
  await level.open()
  return level
}

describe('the digest of a state', () => {
  test('is sha256 over length-prefixed entries in key order', async () => {
    const level = await openLevel()
    const random = seededRandom(9)
    const entries: [Buffer, Buffer][] = []
    for (let index = 0; index < 2500; index += 1) {
      // Some values are larger than the buffer that feeds the hash, some are empty.
      const bytes = index % 500 === 0 ? 300_000 : Math.floor(random() * 300)
      entries.push([Buffer.from(`${random()}`), Buffer.alloc(bytes, index)])
    }
    await level.batch(entries.map(([key, value]) => ({ type: 'put', key, value })))
    const hash = createHash('sha256')
    for (const [key, value] of entries.toSorted(([a], [b]) => Buffer.compare(a, b))) {
      const head = Buffer.alloc(8)
      head.writeUInt32LE(key.length, 0)
      head.writeUInt32LE(value.length, 4)
      hash.update(head).update(key).update(value)
    }
    const digest = await stateDigest(level, 42)
    expect(digest).toEqual({
      algorithm: 'sha256',
      lsn: 42,
      entries: 2500,
      bytes: entries.reduce((sum, [key, value]) => sum + key.length + value.length, 0),
      hex: hash.digest('hex'),
    })
    await level.close()
  })

  test('leaves the engine’s own zone out and tells apart what differs only in where a value ends', async () => {
    const [a, b, c] = [await openLevel(), await openLevel(), await openLevel()]
    await a.put(Buffer.from('k'), Buffer.from('xy'))
    await b.put(Buffer.from('k'), Buffer.from('xy'))
    await b.put(Buffer.alloc(20, 0xff), Buffer.from('reserved'))
    await c.put(Buffer.from('kx'), Buffer.from('y'))
    const [first, same, other] = await Promise.all([a, b, c].map((level) => stateDigest(level, 1)))
    expect(same).toEqual(first)
    expect(other?.hex).not.toBe(first?.hex)
    for (const level of [a, b, c]) await level.close()
  })

  test('shows the moment of its call while writing goes on', async () => {
    const level = await openLevel()
    await level.batch(
      Array.from({ length: 5000 }, (_, index) => ({
        type: 'put',
        key: Buffer.from(`k${index}`),
        value: Buffer.alloc(200),
      })),
    )
    const before = await stateDigest(level, 1)
    const during = stateDigest(level, 1)
    await level.clear()
    expect(await during).toEqual(before)
    expect((await stateDigest(level, 1)).entries).toBe(0)
    await level.close()
  })

  test('can be aborted', async () => {
    const level = await openLevel()
    await level.put(Buffer.from('k'), Buffer.from('v'))
    await expect(stateDigest(level, 1, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    })
    await level.close()
  })
})
