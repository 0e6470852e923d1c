import { createHash } from 'node:crypto'
import { listSegments, openLog, readFileWhole } from '@timberline/wal'
import { CrashFileSystem, FaultFileSystem, failOn } from '@timberline/wal/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { chunkBuffers } from '../src/chunk-buffers.ts'
import { WRITE_BYTES } from '../src/sink/file-source.ts'
import { rateLimit } from '../src/pace/rate-limit.ts'
import type { RateLimit } from '../src/pace/rate-limit.ts'
import { copySegment } from '../src/sink/segment-copy.ts'
import type { CopiedSegment } from '../src/sink/segment-copy.ts'
import { syncQueue } from '@timberline/wal'

const IDENTITY = { environmentId: '0123456789abcdef0123456789abcdef', timeline: 1 }
const FIRST = '/log/log.0000000001'

let disk: CrashFileSystem
let bytes = 0

/** One sealed segment of several windows, in frames that fit none of them. */
beforeEach(async () => {
  disk = new CrashFileSystem()
  await disk.makeDirectory('/log')
  await disk.makeDirectory('/copy')
  const log = await openLog({ directory: '/log', identity: IDENTITY, fileSystem: disk })
  for (let index = 0; index < 1000; index += 1) await log.commit(Buffer.alloc(1000 + (index % 7), index))
  await log.roll()
  await log.close()
  bytes = (await listSegments('/log', disk))[0]?.bytes ?? 0
})

async function copied(
  limit: RateLimit,
  more: { readonly prefixBytes?: number; readonly bytes?: number } = {},
): Promise<CopiedSegment> {
  const context = { fileSystem: disk, limit, buffers: chunkBuffers(), onBytes: () => undefined }
  const syncs = syncQueue(4)
  const result = await copySegment(
    { range: { path: FIRST, bytes: more.bytes ?? bytes }, expected: { after: undefined, last: false } },
    { path: '/copy/one', syncs, prefixBytes: more.prefixBytes },
    context,
  )
  await syncs.settled()
  return result
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}

describe('a segment that is copied', () => {
  it('is the same byte by byte, hashed, proved and durable', async () => {
    expect(bytes).toBeGreaterThan(3 * WRITE_BYTES)
    const found = await copied(rateLimit({ bytesPerS: undefined }), { prefixBytes: 300_001 })
    await disk.syncDirectory('/')
    await disk.syncDirectory('/copy')
    const original = await readFileWhole(FIRST, disk)
    const afterPowerLoss = disk.ifCrashed({ writes: 'lost', names: 'lost' })
    expect((await readFileWhole('/copy/one', afterPowerLoss)).equals(original)).toBe(true)
    expect(found).toMatchObject({
      bytes,
      sha256: sha256(original),
      prefixSha256: sha256(original.subarray(0, 300_001)),
      summary: { sealed: true, lastLsn: 1000, bytes },
    })
  })

  it('goes slice by slice where a limit wants it, each of them durable before the next', async () => {
    const taken: number[] = []
    let left = 0
    const settled: number[] = []
    const limit: RateLimit = {
      isSlicing: true,
      waitedMs: 0,
      take: async (wanted) => {
        expect(settled).toEqual(taken)
        left = Math.min(wanted, 400_000)
        taken.push(left)
        return left
      },
      settle: async (slice, sync) => {
        settled.push(slice)
        await sync()
        return true
      },
    }
    const { sha256: hash } = await copied(limit)
    expect(taken).toEqual([400_000, 400_000, bytes - 800_000])
    expect(settled).toEqual(taken)
    expect(hash).toBe(sha256(await readFileWhole('/copy/one', disk)))
    expect(hash).toBe(sha256(await readFileWhole(FIRST, disk)))
  })

  it('is refused when its file ends too early', async () => {
    const handle = await disk.open(FIRST, 'write')
    await handle.truncate(bytes - 5000)
    await handle.close()
    await expect(copied(rateLimit({ bytesPerS: undefined }))).rejects.toMatchObject({ kind: 'corruption' })
  })

  it('is given to the disk while the rest is read; a flush that fails there is told, and none is tried after it', async () => {
    const log = await openLog({ directory: '/long', identity: IDENTITY, fileSystem: disk })
    for (let index = 0; index < 90; index += 1) await log.commit(Buffer.alloc(64 * 1024, index))
    await log.roll()
    await log.close()
    const range = { path: '/long/log.0000000001', bytes: (await listSegments('/long', disk))[0]?.bytes ?? 0 }
    const copyWith = async (
      fileSystem: FaultFileSystem,
      path: string,
      limit: RateLimit = rateLimit({ bytesPerS: undefined }),
    ): Promise<void> => {
      const context = {
        fileSystem,
        limit,
        buffers: chunkBuffers(),
        onBytes: () => undefined,
      }
      await copySegment(
        { range, expected: { after: undefined, last: false } },
        { path, syncs: syncQueue(4) },
        context,
      )
    }
    const broken = new FaultFileSystem(disk, failOn({ kind: 'sync' }, 'EIO'))
    await expect(copyWith(broken, '/copy/broken')).rejects.toMatchObject({ code: 'EIO' })
    expect(broken.operations.filter(({ kind }) => kind === 'sync')).toHaveLength(1)
    const sound = new FaultFileSystem(disk)
    await copyWith(sound, '/copy/sound')
    const written = sound.operations.filter(({ kind, path }) => kind === 'write' && path === '/copy/sound')
    const flushed = sound.operations.find(({ kind }) => kind === 'sync')
    const before = written.filter(({ index }) => index < (flushed?.index ?? 0))
    // A MiB, in writes that frames have cut short now and then.
    expect(before.length * WRITE_BYTES).toBeLessThan(2 * 1024 * 1024)
    // A limit decides itself when, however large its slices are: 4 MiB, and the rest.
    const limited = new FaultFileSystem(disk)
    const limit = rateLimit({ bytesPerS: 40e6, nowMs: () => 0, sleepMs: async () => undefined })
    await copyWith(limited, '/copy/limited', limit)
    expect(limited.operations.filter(({ kind }) => kind === 'sync')).toHaveLength(2)
  })
})
