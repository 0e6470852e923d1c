// Memory that is handed on while somebody still looks at it would be damage that no checksum of what was read can tell.
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type ArchiveStore, createArchive, directoryStore } from '@timberline/archive'
import { describe, expect, it } from 'vitest'
import { recover } from '../src/index.ts'
import { LentBuffers } from '../src/lent-buffers.ts'
import { transfersMax } from '../src/transfer.ts'
import { backupInto, contentOf, Environment, scratchFolder } from './environment.ts'

const BYTES = 1000

const lender = (freeMax = 2): LentBuffers => new LentBuffers({ bytes: BYTES, freeMax })

describe('lent buffers', () => {
  it('are lent again once they were given back, by any part of them, and not before', () => {
    const buffers = lender()
    const first = buffers.take(BYTES)
    expect(buffers.take(BYTES).buffer).not.toBe(first.buffer)
    buffers.giveBack(first.subarray(64, 100))
    expect(buffers.take(BYTES).buffer).toBe(first.buffer)
  })

  it('are never lent to two, however often one is given back', () => {
    const buffers = lender()
    const first = buffers.take(BYTES)
    buffers.giveBack(first)
    buffers.giveBack(first)
    expect(buffers.take(BYTES).buffer).not.toBe(buffers.take(BYTES).buffer)
  })

  it('are no longer than was asked for, nor than a buffer is', () => {
    const buffers = lender()
    expect([1, BYTES / 2, BYTES, 5 * BYTES].map((bytes) => buffers.take(bytes).length)).toEqual([
      1,
      BYTES / 2,
      BYTES,
      BYTES,
    ])
  })

  it('are kept as many as there may be, and nothing that is not theirs', () => {
    const buffers = lender(1)
    const [first, second, foreign] = [buffers.take(BYTES), buffers.take(BYTES), Buffer.alloc(BYTES)]
    for (const chunk of [foreign, first, second]) buffers.giveBack(chunk)
    expect(buffers.take(BYTES).buffer).toBe(first.buffer)
    expect([first.buffer, second.buffer, foreign.buffer]).not.toContain(buffers.take(BYTES).buffer)
  })

  it('come back from whoever reads into them when the next chunk is asked for, and not before', async () => {
    const buffers = lender()
    const content = Buffer.from('one two three four')
    const seen: string[] = []
    const memories = new Set<ArrayBufferLike>()
    const chunks = buffers.lentTo(async function* (memory) {
      for (let at = 0; at < content.length; at += 6) {
        const target = memory.take(BYTES)
        memories.add(target.buffer)
        yield target.subarray(0, content.copy(target, 0, at, at + 6))
      }
    })
    for await (const chunk of chunks) {
      // Whoever has it may still be writing it.
      expect(buffers.take(BYTES).buffer).not.toBe(chunk.buffer)
      seen.push(Buffer.from(chunk).toString())
    }
    expect(seen.join('')).toBe(content.toString())
    expect(memories.size).toBe(1)
  })
})

it('a restore out of an archive in a folder reads its tables into as many buffers as it reads files at a time', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const { environmentId } = env.identity
  const plain = directoryStore(join(folder, 'archive'))
  const lent = new Set<ArrayBufferLike>()
  let chunks = 0
  const store: ArchiveStore = {
    ...plain,
    async *getStream(name, memory) {
      for await (const chunk of plain.getStream(name, memory)) {
        if (memory !== undefined && chunk.length > 64 * 1024) {
          lent.add(chunk.buffer)
          chunks++
        }
        yield chunk
      }
    },
  }
  const archive = await createArchive(store, { environmentId })
  for (let number = 0; number < 12; number++) {
    // Seven bits of each byte are chance, so that neither LevelDB nor gzip makes it shorter by much.
    const value = randomBytes(1024 * 1024).map((byte) => byte & 0x7f)
    await env.write({ [`k${String(number)}`]: Buffer.from(value).toString('latin1') })
  }
  await backupInto(env, archive, { label: 'b1', digest: true })
  const home = join(folder, 'restored')
  const report = await recover({ from: { archive }, home })
  expect(report.proofs.length).toBeGreaterThan(0)
  expect(chunks).toBeGreaterThan(2 * transfersMax)
  expect(lent.size).toBeLessThanOrEqual(transfersMax)
  expect(await contentOf(home)).toEqual(env.content(env.lsn))
})
