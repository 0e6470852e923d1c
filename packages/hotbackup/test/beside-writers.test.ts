/** The limit that a copy keeps to in company: told by events and counted by slices, not by time. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { estimateBackup, hotbackup, verifyBackup } from '../src/index.ts'
import type { HotbackupEvent } from '../src/index.ts'
import { WRITE_BYTES } from '../src/sink/file-source.ts'
import { SHARED_SLICE_BYTES } from '../src/pace/flush-share.ts'
import { SLICE_BYTES_MAX, SLICE_BYTES_MIN } from '../src/pace/slice-size.ts'
import { makeFolder, openUsedHome } from './fixture.ts'

/** Its slices are a quarter of the table that is copied. */
const MB_PER_S = 1

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>
let writing: AbortController

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home, 30)
  // One table of several slices.
  await db.put('large', randomBytes(4 * SLICE_BYTES_MIN).toString('hex'))
  await db.checkpoint()
  writing = new AbortController()
})

afterEach(async () => {
  writing.abort()
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** Commits without a pause, until the test is over. */
async function keepWriting(): Promise<void> {
  for (let n = 0; !writing.signal.aborted; n += 1) {
    await db.put('busy', String(n))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

interface MeteredFiles {
  /** Bytes between two syncs. */
  readonly runs: number[]
  /** Bytes of each call. */
  readonly writes: number[]
  readonly fileSystem: FileSystem
}

/** The real files, with what was written to the tables of the backup. */
function meteredFiles(): MeteredFiles {
  const runs: number[] = []
  const writes: number[] = []
  return {
    runs,
    writes,
    fileSystem: {
      ...nodeFileSystem,
      open: async (path, mode) => {
        const handle = await nodeFileSystem.open(path, mode)
        if (mode !== 'create' || !path.includes('tables')) return handle
        let unsynced = 0
        const open = handle.write.bind(handle)
        const sync = handle.sync.bind(handle)
        handle.write = (source, position) => {
          unsynced += source.length
          writes.push(source.length)
          return open(source, position)
        }
        handle.sync = async () => {
          runs.push(unsynced)
          unsynced = 0
          await sync()
        }
        return handle
      },
    },
  }
}

function limitsIn(events: readonly HotbackupEvent[]): readonly HotbackupEvent[] {
  return events.filter(({ type }) => type.startsWith('rate.'))
}

it('a copy beside a writer goes by slices, each durable before the next, and tells its limit', async () => {
  const { runs, fileSystem } = meteredFiles()
  const events: HotbackupEvent[] = []
  const busy = keepWriting()
  const options = {
    home,
    target,
    digest: false,
    fileSystem,
    onEvent: (event: HotbackupEvent) => events.push(event),
  }
  await hotbackup({ ...options, maxMbPerSBesideWriters: MB_PER_S })
  writing.abort()
  await busy
  expect(limitsIn(events)).toEqual([{ type: 'rate.limited', bytesPerS: MB_PER_S * 1e6 }])
  expect(Math.max(...runs)).toBeLessThanOrEqual(2 * SLICE_BYTES_MIN)
  expect(Math.max(...runs)).toBeGreaterThanOrEqual(SLICE_BYTES_MIN)
  expect(await verifyBackup(target)).toEqual([])
})

it('a copy at full speed goes by slices too while somebody writes, each flushed once, and tells no limit', async () => {
  await db.put('larger', randomBytes(2 * SHARED_SLICE_BYTES).toString('base64'))
  await db.checkpoint()
  const { runs, fileSystem } = meteredFiles()
  const events: HotbackupEvent[] = []
  const busy = keepWriting()
  const onEvent = (event: HotbackupEvent): number => events.push(event)
  // The first look is short: on a busy machine it may fall between two commits.
  for (
    let tries = 0;
    tries < 20 && (runs.length === 0 || Math.max(...runs) > SHARED_SLICE_BYTES);
    tries += 1
  ) {
    runs.length = 0
    await hotbackup({ home, target, digest: false, fileSystem, onEvent })
  }
  writing.abort()
  await busy
  expect(limitsIn(events)).toEqual([])
  expect(Math.max(...runs)).toBe(SHARED_SLICE_BYTES)
  expect(Math.min(...runs)).toBeGreaterThan(0)
  expect(await verifyBackup(target)).toEqual([])
})

it('at a rate without bound whole tables are moved, whoever writes', async () => {
  await db.put('larger', randomBytes(SLICE_BYTES_MAX).toString('base64'))
  await db.checkpoint()
  const { runs, fileSystem } = meteredFiles()
  const events: HotbackupEvent[] = []
  const onEvent = (event: HotbackupEvent): number => events.push(event)
  const busy = keepWriting()
  const options = { home, target, fileSystem, onEvent, digest: false, maxMbPerS: Infinity }
  const { heldBackMs, writers } = await hotbackup(options)
  expect(await estimateBackup({ home, target, maxMbPerS: Infinity })).toMatchObject({ rate: 'measured' })
  writing.abort()
  await busy
  expect(writers?.commitCount).toBeGreaterThan(0)
  expect(heldBackMs).toBe(0)
  expect(limitsIn(events)).toEqual([])
  expect(Math.max(...runs)).toBeGreaterThan(SLICE_BYTES_MAX)
  expect(await verifyBackup(target)).toEqual([])
})

it('with nobody writing, or nobody there, the limit is not told, and whole tables are moved, by writes that Linux finds pages for', async () => {
  const { runs, writes, fileSystem } = meteredFiles()
  const events: HotbackupEvent[] = []
  const options = { home, digest: false, fileSystem, onEvent: (event: HotbackupEvent) => events.push(event) }
  const quiet = await hotbackup({ ...options, target, maxMbPerSBesideWriters: 0.001 })
  const fast = await hotbackup({ ...options, target })
  await db.close()
  const closed = await hotbackup({ ...options, target, maxMbPerSBesideWriters: 0.001 })
  expect(limitsIn(events)).toEqual([])
  expect([quiet.heldBackMs, fast.heldBackMs, closed.heldBackMs]).toEqual([0, 0, 0])
  expect(runs.filter((bytes) => bytes > 5 * SLICE_BYTES_MIN)).toHaveLength(3)
  expect(Math.max(...writes)).toBe(WRITE_BYTES)
  expect(await verifyBackup(target)).toEqual([])
})

it('a rate that was asked for holds whether anybody writes or not', async () => {
  // So low that no disk is slower.
  const { heldBackMs } = await hotbackup({ home, target, digest: false, maxMbPerS: 1 })
  expect(heldBackMs).toBeGreaterThan(0)
})

it('an estimate takes the limit beside writers while there are commits', async () => {
  const options = { home, target, maxMbPerSBesideWriters: 0.5 }
  expect(await estimateBackup(options)).toMatchObject({ rate: 'measured' })
  const busy = keepWriting()
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(await estimateBackup(options)).toMatchObject({ rate: 'writers', bytesPerS: 500_000 })
  expect(await estimateBackup({ ...options, maxMbPerS: 0.25 })).toMatchObject({
    rate: 'limit',
    bytesPerS: 250_000,
  })
  writing.abort()
  await busy
})

it.each([0, -1, Number.NaN])('a limit that is no rate is refused: %d', async (rate) => {
  const refused = { code: 'HOTBACKUP_OPTIONS' }
  await expect(hotbackup({ home, target, maxMbPerSBesideWriters: rate })).rejects.toMatchObject(refused)
  await expect(hotbackup({ home, target, maxMbPerS: rate })).rejects.toMatchObject(refused)
  await expect(hotbackup({ home, target, maxMbPerSBesideWriters: Infinity })).rejects.toMatchObject(refused)
})
