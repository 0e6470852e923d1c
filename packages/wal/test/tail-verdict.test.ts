// Torn or corrupt, at the borders: the first and the last byte that is looked at, a witness across two readings of the file, and
// the durable LSN that just reaches or just misses the record expected at the place.
import { describe, expect, it } from 'vitest'
import { memorySource } from '../src/index.ts'
import { readHeader } from '../src/segments/segment-file.ts'
import { judgeTail, type TailVerdict } from '../src/segments/tail-verdict.ts'
import { forgeFrame, forgeHeader } from './forged-segment.ts'

const CHUNK = 256 * 1024
const HEADER = forgeHeader()
const HERE = HEADER.length
/** A frame that says: everything up to LSN 4 was durable when I was written. */
const WITNESS = forgeFrame(HEADER, { firstLsn: 5n, durableLsn: 4n })

async function judge(tail: Buffer, expectedLsn = 4): Promise<TailVerdict> {
  const source = memorySource(Buffer.concat([HEADER, tail]))
  return judgeTail(source, await readHeader(source), { position: HERE, expectedLsn })
}

/** Bytes that are no frame, with the witness at `at`, and `more` bytes of it cut off. */
function behind(at: number, cut = 0): Buffer {
  return Buffer.concat([Buffer.alloc(at, 0x77), WITNESS.subarray(0, WITNESS.length - cut)])
}

describe('what stands behind the last frame', () => {
  it('is clean when it is nothing or zeros, however many', async () => {
    for (const bytes of [0, 1, 39, 40, CHUNK - 1, CHUNK, CHUNK + 41, 3 * CHUNK + 8]) {
      expect(await judge(Buffer.alloc(bytes))).toEqual({ type: 'clean' })
    }
    const short = memorySource(HEADER.subarray(0, 90))
    const header = await readHeader(memorySource(HEADER))
    expect(await judgeTail(short, header, { position: HERE, expectedLsn: 1 })).toEqual({ type: 'clean' })
  })

  it('is torn up to its last byte that is not zero', async () => {
    for (const at of [0, 1, 39, 41, CHUNK - 1, CHUNK, CHUNK + 39, CHUNK + 40, CHUNK + 500]) {
      const tail = Buffer.alloc(CHUNK + 600)
      tail[at] = 1
      expect(await judge(tail)).toEqual({ type: 'torn', tornBytes: at + 1 })
      tail[3] = 1
      expect(await judge(tail)).toEqual({ type: 'torn', tornBytes: Math.max(at, 3) + 1 })
    }
  })

  it('is corrupt when a later frame calls the record that was expected there durable, and torn when it misses it by one', async () => {
    for (const expectedLsn of [1, 3, 4]) {
      expect(await judge(behind(64), expectedLsn)).toEqual({
        type: 'corrupt',
        witnessPosition: HERE + 64,
        durableLsn: 4,
      })
    }
    expect(await judge(behind(64), 5)).toMatchObject({ type: 'torn' })
  })

  it('is corrupt wherever the witness stands, also across two readings of the file and at its very end', async () => {
    for (const at of [8, CHUNK - 48, CHUNK - 40, CHUNK - 32, CHUNK - 8, CHUNK, CHUNK + 8, 2 * CHUNK - 16]) {
      expect(await judge(behind(at))).toMatchObject({ type: 'corrupt', witnessPosition: HERE + at })
      // Its header alone is enough, even as the last 40 bytes of the file.
      expect(await judge(behind(at, WITNESS.length - 40))).toMatchObject({ witnessPosition: HERE + at })
      expect(await judge(behind(at, WITNESS.length - 39))).toMatchObject({ type: 'torn' })
    }
  })

  it('is proved by no frame that stands between multiples of eight, nor by one of another segment', async () => {
    for (const at of [1, 4, 63, 65]) expect(await judge(behind(at))).toMatchObject({ type: 'torn' })
    const foreign = forgeFrame(forgeHeader({ number: 2n }), { firstLsn: 5n, durableLsn: 4n })
    expect(await judge(Buffer.concat([Buffer.alloc(64, 7), foreign]))).toMatchObject({ type: 'torn' })
  })

  it('is judged by the first witness, past a frame that proves nothing', async () => {
    const weak = forgeFrame(HEADER, { firstLsn: 4n, durableLsn: 3n })
    const tail = Buffer.concat([Buffer.alloc(16, 7), weak, WITNESS, WITNESS])
    expect(await judge(tail)).toMatchObject({ type: 'corrupt', witnessPosition: HERE + 16 + weak.length })
  })
})
