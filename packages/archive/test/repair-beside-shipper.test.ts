// A repair takes no ownership. Beside a shipper that goes on, it must neither fence nor undo it, nor bring back what was replaced.
import { describe, expect, it } from 'vitest'
import {
  type ArchiveStore,
  memoryStore,
  openArchive,
  repairArchive,
  type RepairStep,
  verifyArchive,
} from '../src/index.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  openTestLog,
  settled,
  ship,
} from './support/archive-scene.ts'
import { namesOf } from './support/finished-archive.ts'

async function flip(store: ArchiveStore, name: string): Promise<void> {
  const bytes = await store.get(name)
  bytes.writeUInt8(bytes.readUInt8(80) ^ 1, 80)
  await store.delete(name)
  await store.put(name, bytes)
}

describe('a repair beside a running shipper', () => {
  it('mends segments and pieces from the log, and the shipper goes on as if nothing had been', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(disk, await archiveOn(store))
    for (let round = 1; round <= 4; round++) {
      await appendRecords(log, 5)
      await log.roll()
      await settled(shipper, round)
      await appendRecords(log, 3)
      await shipper.flush()
      const damaged = (await namesOf(store)).filter((name) => /^(segment|piece)\//.test(name))
      for (const name of damaged) await flip(store, name)
      const archive = await openArchive(store)
      const steps: RepairStep[] = []
      const repairing = (async () => {
        for await (const step of repairArchive({ archive, home: '/home', fileSystem: disk, apply: true }))
          steps.push(step)
      })()
      await appendRecords(log, 2)
      await shipper.flush()
      await repairing
      expect(steps.filter(({ outcome }) => outcome !== 'repaired')).toEqual([])
      expect(steps.length).toBe(damaged.length)
    }
    expect(shipper.status()).toMatchObject({ state: expect.not.stringContaining('failed') })
    await log.roll()
    await settled(shipper, 5)
    await stop()
    const archive = await openArchive(store)
    for await (const finding of verifyArchive(archive, { strays: true })) expect(finding).toBeUndefined()
    expect(await archivedRecords(archive)).toHaveLength(log.durableLsn)
    expect((await archive.catalogue()).owner).toMatchObject({ epoch: 1 })
    await log.close()
  })

  it('does not bring back a piece whose segment was archived while its content was fetched', async () => {
    const disk = new CrashFileSystem()
    const plain = memoryStore()
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(disk, await archiveOn(plain))
    await appendRecords(log, 5)
    await shipper.flush()
    const [piece = ''] = (await namesOf(plain)).filter((name) => name.startsWith('piece/'))
    await flip(plain, piece)
    let looks = 0
    // The header of the damaged piece is read after the verification and before the search.
    const store: ArchiveStore = {
      ...plain,
      async *getStream(name) {
        const content = await plain.get(name)
        if (name === piece && ++looks === 2) {
          await log.roll()
          await settled(shipper, 1)
          await appendRecords(log, 1)
          await shipper.flush()
        }
        yield content
      },
    }
    const steps: RepairStep[] = []
    const archive = await openArchive(store)
    for await (const step of repairArchive({ archive, home: '/home', fileSystem: disk, apply: true }))
      steps.push(step)
    expect(looks).toBeGreaterThan(1)
    expect(steps).toMatchObject([{ name: piece, outcome: 'unneeded' }])
    await stop()
    expect(await namesOf(plain)).not.toContain(piece)
    await log.close()
  })
})
