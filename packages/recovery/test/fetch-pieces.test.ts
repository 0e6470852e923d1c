// The beginning of a segment, put together from pieces that come side by side, each chunk written while the next one is read.
import { setImmediate } from 'node:timers/promises'
import type { PieceRef } from '@timberline/archive'
import { readFileWhole } from '@timberline/wal'
import { CrashFileSystem, failOn, FaultFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { fetchPieces } from '../src/source/archive-transfer.ts'

const CHUNK_BYTES = 100

interface Scene {
  readonly disk: FaultFileSystem
  /** Fetches pieces of so many chunks each; a chunk comes a few turns of the loop behind the one before. */
  readonly fetch: (chunkCounts: readonly number[]) => Promise<Buffer>
}

async function scene(): Promise<Scene> {
  const disk = new FaultFileSystem(new CrashFileSystem())
  await disk.makeDirectory('/spool')
  const options = { fileSystem: disk, signal: new AbortController().signal }
  const fetch = async (chunkCounts: readonly number[]): Promise<Buffer> => {
    const pieces: PieceRef[] = []
    for (const count of chunkCounts) {
      const position = pieces.at(-1)?.endPosition ?? 0
      pieces.push(pieceAt(position, position + count * CHUNK_BYTES))
    }
    const { path } = await fetchPieces({ fetchPiece: slowChunks }, pieces, { directory: '/spool', options })
    return readFileWhole(path, disk)
  }
  return { disk, fetch }
}

function pieceAt(position: number, endPosition: number): PieceRef {
  const place = { timeline: 1, segmentNumber: 7, position, endPosition }
  const holds = { firstLsn: 1, lastLsn: 2, lastCommittedAtUs: 1, epoch: 1 }
  return { ...place, ...holds, name: `piece-${position}`, storedBytes: endPosition - position }
}

async function* slowChunks({ position, endPosition }: PieceRef): AsyncGenerator<Buffer> {
  for (let at = position; at < endPosition; at += CHUNK_BYTES) {
    for (let turn = 0; turn < 10; turn += 1) await setImmediate()
    yield Buffer.alloc(CHUNK_BYTES, at / CHUNK_BYTES + 1)
  }
}

test('every chunk lies where its piece says', async () => {
  const { fetch } = await scene()
  const expected = [1, 2, 3, 4, 5, 6].map((byte) => Buffer.alloc(CHUNK_BYTES, byte))
  expect(await fetch([3, 1, 2])).toEqual(Buffer.concat(expected))
})

test('a write that fails while the next chunk is on its way is told by the call, and not beside it', async () => {
  const { disk, fetch } = await scene()
  const unhandled: unknown[] = []
  const note = (reason: unknown): unknown => unhandled.push(reason)
  process.on('unhandledRejection', note)
  disk.inject(failOn({ kind: 'write' }, 'EIO'))
  await expect(fetch([2])).rejects.toMatchObject({ code: 'EIO' })
  process.off('unhandledRejection', note)
  expect(disk.injected).toHaveLength(1)
  expect(unhandled).toEqual([])
})

test('the last write counts as well', async () => {
  const { disk, fetch } = await scene()
  disk.inject(failOn({ kind: 'write' }, 'EIO', { after: 1 }))
  await expect(fetch([2])).rejects.toMatchObject({ code: 'EIO' })
})
