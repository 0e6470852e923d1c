import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { EntryHash } from '../src/tables/digest-hash.ts'
import { HashThread, HashThreadLost, isWorthThread } from '../src/tables/hash-thread.ts'
import { seededRandom } from './support/scratch.ts'

test('is begun where it takes less time than the hashing, and a processor is free for it', () => {
  expect(isWorthThread(1024 * 1024 * 1024, 2)).toBe(true)
  expect(isWorthThread(1024 * 1024 * 1024, 1)).toBe(false)
  expect(isWorthThread(1024 * 1024, 2)).toBe(false)
})

test('several hashes of one thread are those of their own entries, however much is waiting', async () => {
  const random = seededRandom(5)
  const thread = new HashThread()
  const hashes = [0, 1, 2].map(() => ({ there: new EntryHash(thread.sink()), here: createHash('sha256') }))
  for (let step = 0; step < 6000; step += 1) {
    const each = hashes[Math.floor(random() * hashes.length)]
    const key = Buffer.from(`key ${String(step)}`)
    // Some longer than a buffer, and more in all than may wait.
    const value = Buffer.alloc(step % 1000 === 0 ? 1_500_000 : Math.floor(random() * 6000), step)
    const lengths = Buffer.alloc(8)
    lengths.writeUInt32LE(key.length, 0)
    lengths.writeUInt32LE(value.length, 4)
    each?.there.addBuffers(key, value)
    each?.here.update(lengths).update(key).update(value)
    if (step % 50 === 0) await thread.room()
  }
  for (const { there, here } of hashes) expect((await there.end()).hex).toBe(here.digest('hex'))
  await thread.close()
})

test('one that is lost tells so to whoever asks it', async () => {
  const thread = new HashThread()
  const hash = new EntryHash(thread.sink())
  await thread.close()
  await expect(hash.end()).rejects.toBeInstanceOf(HashThreadLost)
  await expect(thread.room()).rejects.toBeInstanceOf(HashThreadLost)
})
