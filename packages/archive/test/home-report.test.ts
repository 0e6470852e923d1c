import { openReached, readConfirmations } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../src/index.ts'
import type { Backlog } from '../src/shipping/backlog.ts'
import { HomeReport } from '../src/shipping/home-report.ts'
import { completeShipperOptions } from '../src/shipping/shipper-options.ts'
import { archiveOn, CrashFileSystem, IDENTITY, LOG } from './support/archive-scene.ts'

/** A report whose clock stands until it is moved. */
async function openReport(): Promise<{
  disk: CrashFileSystem
  report: HomeReport
  clock: { nowMs: number }
  confirmed: () => Promise<number | undefined>
}> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(LOG)
  const archive = await archiveOn(memoryStore())
  const options = { logDirectory: LOG, archive, name: 'test', identity: IDENTITY, fileSystem: disk }
  const clock = { nowMs: 0 }
  const report = new HomeReport(completeShipperOptions(options), () => clock.nowMs)
  const confirmed = async (): Promise<number | undefined> => (await readConfirmations(LOG, disk))[0]?.lsn
  return { disk, report, clock, confirmed }
}

function at(shippedLsn: number, archivedSegment = 0): Pick<Backlog, 'archivedSegment' | 'shippedLsn'> {
  return { archivedSegment, shippedLsn }
}

describe('a report to the home', () => {
  it('is a confirmation each time while nobody can be waiting', async () => {
    const { report, confirmed } = await openReport()
    for (const lsn of [1, 2, 3]) {
      await report.report(at(lsn))
      expect(await confirmed()).toBe(lsn)
      expect(report.isOwing).toBe(false)
    }
    await report.close()
  })

  it('is a quick word for those who may be waiting, and the confirmation follows within a second', async () => {
    const { disk, report, clock, confirmed } = await openReport()
    const reached = await openReached(LOG, 'test', disk)
    for (const lsn of [1, 2, 3]) {
      await report.report(at(lsn))
      expect(await reached.read()).toEqual({ lsn, timeline: 1 })
      expect(await confirmed()).toBe(1)
      expect(report.isOwing).toBe(lsn > 1)
    }
    clock.nowMs = 1000
    await report.report(at(3))
    expect(await confirmed()).toBe(3)
    expect(report.isOwing).toBe(false)
    await report.close()
    await reached.close()
  })

  it('confirms at once what lets the home remove a segment', async () => {
    const { disk, report, confirmed } = await openReport()
    const reached = await openReached(LOG, 'test', disk)
    await report.report(at(1))
    await report.report(at(2, 1))
    expect(await confirmed()).toBe(2)
    await report.close()
    await reached.close()
  })

  it('says nothing twice: a home that was exchanged meanwhile would take it for a word about its own records', async () => {
    const { disk, report, clock } = await openReport()
    const before = await openReached(LOG, 'test', disk)
    await report.report(at(7))
    const after = await openReached(LOG, 'test', disk)
    clock.nowMs = 5000
    await report.report(at(7))
    expect(await after.read()).toBeUndefined()
    await report.close()
    await before.close()
  })
})
