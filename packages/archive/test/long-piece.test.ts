/** A piece too long for a bundle: an object of its own, compressed where each byte is sent away. */
import { expect, it } from 'vitest'
import { type ArchiveStore, directoryStore, memoryStore } from '../src/index.ts'
import {
  ARCHIVE,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  openTestLog,
  ship,
} from './support/archive-scene.ts'

const BYTES = 300 * 1024

async function storedBytesIn(disk: CrashFileSystem, store: ArchiveStore): Promise<number> {
  const log = await openTestLog(disk, { segmentBytesMax: 1024 * 1024 })
  const archive = await archiveOn(store)
  const { shipper, stop } = ship(disk, archive)
  let storedBytes = 0
  shipper.events$.subscribe((event) => {
    if (event.type === 'piece.shipped') storedBytes = Math.max(storedBytes, event.storedBytes)
  })
  await log.commit(Buffer.alloc(BYTES))
  await shipper.flush()
  await stop()
  await log.close()
  expect((await archivedRecords(archive)).map(({ payload }) => payload.length)).toEqual([BYTES])
  return storedBytes
}

it('is plain in a folder, where its segment soon replaces it', async () => {
  const disk = new CrashFileSystem()
  expect(await storedBytesIn(disk, directoryStore(ARCHIVE, disk))).toBeGreaterThan(BYTES)
})

it('is compressed in a store whose objects do not grow', async () => {
  expect(await storedBytesIn(new CrashFileSystem(), memoryStore())).toBeLessThan(BYTES / 10)
})
