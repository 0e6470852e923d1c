import { describe, expect, it } from 'vitest'
import {
  appendRecords,
  archivedRecords,
  CrashFileSystem,
  openTestArchive,
  openTestLog,
  payload,
  ship,
} from './support/archive-scene.ts'

describe('the shipper', () => {
  it('ships the active segment as pieces', async () => {
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk)
    await appendRecords(log, 10)
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive)
    expect(await shipper.flush()).toBe(10)
    await appendRecords(log, 5)
    expect(await shipper.flush()).toBe(15)
    await stop()
    const records = await archivedRecords(archive)
    expect(records.map(({ lsn }) => lsn)).toEqual(Array.from({ length: 15 }, (_, index) => index + 1))
    expect(records[4]?.payload).toEqual(payload(5))
    await log.close()
  })
})
