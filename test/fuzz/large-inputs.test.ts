/**
 * Inputs that are wrong by their size, and valid ones that are large: both lie outside what damage to small seeds leads to.
 *
 * Fault model: an archive or a home that an enemy has written to. A few bytes that inflate without end must not be inflated
 * further than their header promises, nor at all when the promise is more than the caller would hold; nesting beyond any
 * stack must end like all other damage; and what a large database rightly writes must be read.
 */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import {
  decodeBackupManifest,
  encodeBackupManifest,
  nativeGzip,
  portableGzip,
  type GzipCodec,
} from '@timberline/archive'
import { decodeCheckpoint, decodeTransaction, encodeCheckpoint, encodeTransaction } from '@timberline/engine'
import { describe, expect, it } from 'vitest'
import { ObjectShelf } from '../../packages/archive/src/objects/object-shelf.ts'
import { decodeObject } from '../../packages/archive/src/objects/object-codec.ts'
import { encodeEnvelope } from '../../packages/archive/src/objects/object-envelope.ts'
import { memoryStore } from '@timberline/archive'
import { BACKUP_MANIFEST } from './archive-decoders.ts'
import { runDecoder } from './harness.ts'
import { decoders } from './table.ts'

const MIB = 1024 * 1024
const BOMB_BYTES = 256 * MIB
/** One gzip member of a mebibyte of zeros, as often as it takes: 260 KB that inflate a thousandfold. */
const MEMBER = gzipSync(Buffer.alloc(MIB))
const BOMB = Buffer.concat(Array.from({ length: BOMB_BYTES / MIB }, () => MEMBER))
const NAME = 'segment/00000001/0000000001-00'

const CODECS: readonly (readonly [string, () => GzipCodec])[] = [
  ['native', nativeGzip],
  ['portable', portableGzip],
]

function object(bytes: number, content: Buffer): Buffer {
  const sha256 = createHash('sha256').update('anything').digest('hex')
  return Buffer.concat([encodeEnvelope(NAME, { codec: 'gzip', bytes, sha256 }), content])
}

async function* once(content: Buffer): AsyncGenerator<Buffer> {
  yield content
}

describe.each(CODECS)('with the %s gzip, a decompression bomb', (_, gzip) => {
  it('is stopped at the length that its header names', async () => {
    let seenBytes = 0
    let largestBytes = 0
    const read = async (): Promise<void> => {
      for await (const chunk of decodeObject(NAME, once(object(2 * MIB, BOMB)), { gzip: gzip() })) {
        seenBytes += chunk.length
        largestBytes = Math.max(largestBytes, chunk.length)
      }
    }
    await expect(read()).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
    expect(seenBytes).toBeLessThanOrEqual(2 * MIB)
    expect(largestBytes).toBeLessThanOrEqual(2 * MIB)
  })

  it('whose header tells the truth passes in chunks, and is never held whole', async () => {
    let seenBytes = 0
    let largestBytes = 0
    const read = async (): Promise<void> => {
      for await (const chunk of decodeObject(NAME, once(object(BOMB_BYTES, BOMB)), { gzip: gzip() })) {
        seenBytes += chunk.length
        largestBytes = Math.max(largestBytes, chunk.length)
        if (seenBytes > 64 * MIB) break
      }
    }
    await read()
    expect(seenBytes).toBeGreaterThan(64 * MIB)
    // What 16 KiB of input can become at once.
    expect(largestBytes).toBeLessThanOrEqual(17 * MIB)
  })

  it('is not begun when its header promises more than the caller would hold', async () => {
    const store = memoryStore()
    await store.put(NAME, object(BOMB_BYTES, BOMB))
    let pulled = 0
    const watched = gzip()
    const shelf = new ObjectShelf(store, {
      ...watched,
      decompress: (stored) => {
        pulled += 1
        return watched.decompress(stored)
      },
    })
    await expect(shelf.get(NAME)).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_TOO_LARGE' })
    expect(pulled).toBe(0)
  })
})

describe('what a large database writes', () => {
  const manifestBase64 = Buffer.alloc(12 * MIB, 'MANIFEST').toString('base64')

  it('is read: the manifest of a backup with a MANIFEST of 12 MiB', () => {
    const manifest = { ...BACKUP_MANIFEST, checkpoint: { ...BACKUP_MANIFEST.checkpoint, manifestBase64 } }
    expect(decodeBackupManifest(encodeBackupManifest(manifest)).checkpoint.manifestBase64).toBe(
      manifestBase64,
    )
  })

  it('is read: a checkpoint with a MANIFEST of 12 MiB and 50,000 tables', () => {
    const { environmentId, timeline, checkpoint, startedAtUs } = BACKUP_MANIFEST
    const tables = Array.from({ length: 50_000 }, (_, index) => ({
      name: `${String(index)}.ldb`,
      bytes: index,
    }))
    const whole = {
      ...checkpoint,
      format: 1,
      environmentId,
      timeline,
      manifestBase64,
      tables,
      createdAtUs: startedAtUs,
    } as const
    expect(decodeCheckpoint(encodeCheckpoint(whole), 'checkpoint').tables).toHaveLength(50_000)
  })

  it('is read: a transaction of 100,000 operations', () => {
    const operations = Array.from({ length: 100_000 }, (_, index) => ({
      type: 'del' as const,
      key: String(index),
    }))
    expect(decodeTransaction(encodeTransaction({ operations })).operations).toHaveLength(100_000)
  })
})

describe('nesting beyond any stack', () => {
  const texts = decoders.filter(({ shape }) => shape === 'json')
  const depth = 30_000
  const nested = [
    Buffer.alloc(depth, '['),
    Buffer.from(`${'['.repeat(depth)}${']'.repeat(depth)}`),
    Buffer.from(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`),
  ]

  it.each(texts.map((decoder) => [decoder.name, decoder] as const))(
    'ends %s like all other damage',
    async (_, decoder) => {
      const bytesMax = Math.max(...nested.map(({ length }) => length))
      const mended = nested.map((input) => decoder.repair?.(Buffer.from(input)) ?? input)
      const given = { ...decoder, inputs: 0, allocationBytes: bytesMax * 8 }
      const tally = await runDecoder(given, { seed: 1, extra: [...nested, ...mended] })
      expect(tally.inputs).toBeGreaterThanOrEqual(nested.length * 2)
    },
  )
})
