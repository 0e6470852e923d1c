import { readFile } from 'node:fs/promises'
import type { Operation } from '@timberline/engine'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeDelta, type DeltaHeader, encodeDelta } from '../src/delta/delta-codec.ts'

const HEADER: DeltaHeader = {
  environmentId: '00112233445566778899aabbccddeeff',
  timeline: 1,
  firstLsn: 1,
  lastLsn: 4,
  lastCommittedAtUs: 40,
}

const put = (key: string, value: string): Operation => ({
  type: 'put',
  key: Buffer.from(key),
  value: Buffer.from(value),
})
const del = (key: string): Operation => ({ type: 'del', key: Buffer.from(key) })

async function* batchesOf<Item>(...batches: readonly Item[]): AsyncGenerator<Item> {
  for (const batch of batches) yield await Promise.resolve(batch)
}

async function encoded(operations: readonly Operation[], header: DeltaHeader = HEADER): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of encodeDelta(header, batchesOf(operations))) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function decoded(chunks: readonly Uint8Array[], header: DeltaHeader = HEADER): Promise<Operation[]> {
  const operations: Operation[] = []
  for await (const batch of decodeDelta(handedOn(chunks), header)) operations.push(...batch)
  return operations
}

/** Chunks as a reader of files gives them: the memory of each is used again for the next. */
async function* handedOn(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) {
    const lent = Buffer.from(chunk)
    yield await Promise.resolve(lent)
    lent.fill(0xff)
  }
}

const unusable = expect.objectContaining({ code: 'RECOVERY_DELTA_UNUSABLE' })

describe('a delta', () => {
  it('gives the bytes of the worked example', async () => {
    const text = await readFile(new URL('../FORMAT.md', import.meta.url), 'utf8')
    const lines = text
      .slice(text.indexOf('## Worked example'))
      .matchAll(/^0000\w{4}((?: {1,2}[0-9a-f]{2})+)/gm)
    const hex = [...lines].map((line) => line[1]).join('')
    expect((await encoded([put('a', '1'), del('b')])).toString('hex')).toBe(hex.replaceAll(' ', ''))
  })

  it('is refused when its end counts other entries than it has', async () => {
    const bytes = await encoded([put('a', '1'), del('b')])
    bytes.writeBigUInt64LE(3n, bytes.length - 8)
    await expect(decoded([bytes])).rejects.toEqual(unusable)
  })

  it('comes back as it was, however it is cut into chunks', async () => {
    const entries = fc.dictionary(
      fc.string({ maxLength: 12 }),
      fc.option(fc.string({ maxLength: 300 }), { nil: undefined }),
    )
    await fc.assert(
      fc.asyncProperty(entries, fc.array(fc.nat(400), { maxLength: 20 }), async (content, cuts) => {
        const operations = Object.entries(content)
          .map(([key, value]) => (value === undefined ? del(key) : put(key, value)))
          .toSorted((a, b) => Buffer.compare(a.key, b.key))
        const bytes = await encoded(operations)
        const ends = [0, ...cuts.map((cut) => cut % bytes.length).toSorted((a, b) => a - b), bytes.length]
        const chunks = ends.slice(1).map((end, index) => bytes.subarray(ends[index], end))
        expect(await decoded(chunks)).toEqual(operations)
      }),
    )
  })

  it('cut off anywhere, or going on after its end, is refused', async () => {
    const bytes = await encoded([put('a', '1'), del('b'), put('c', '')])
    for (let end = 0; end < bytes.length; end++) {
      await expect(decoded([bytes.subarray(0, end)]), `cut at ${end}`).rejects.toEqual(unusable)
    }
    await expect(decoded([bytes, Buffer.from([0])])).rejects.toEqual(unusable)
  })

  it('is refused when a bit of its header is flipped, or when it is of another run', async () => {
    const bytes = await encoded([put('a', '1')])
    for (let at = 0; at < 72; at++) {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at)
      await expect(decoded([flipped]), `flipped at ${at}`).rejects.toEqual(unusable)
    }
    for (const other of [
      { timeline: 2 },
      { firstLsn: 2 },
      { lastLsn: 5 },
      { lastCommittedAtUs: 41 },
      { environmentId: 'ff'.repeat(16) },
    ]) {
      await expect(decoded([bytes], { ...HEADER, ...other })).rejects.toEqual(unusable)
    }
  })

  it('is refused when its keys do not ascend, or touch the engine’s own zone', async () => {
    for (const operations of [
      [put('b', '1'), put('a', '1')],
      [put('a', '1'), del('a')],
      [put('a', '1'), { type: 'del' as const, key: Buffer.alloc(17, 0xff) }],
    ]) {
      await expect(decoded([await encoded(operations)])).rejects.toEqual(unusable)
    }
  })
})
