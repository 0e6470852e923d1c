// A small archive with every kind of object in it, and copies of it with something changed.
import { type ArchiveStore, backupFileName, memoryStore } from '../../src/index.ts'
import {
  appendRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  openTestLog,
  settled,
  ship,
} from './archive-scene.ts'

const LABEL = '20261124-190507F'

/** Three segments, two pieces of the fourth, and a backup of one table. */
export async function finishedArchive(): Promise<ArchiveStore> {
  const disk = new CrashFileSystem()
  const store = memoryStore()
  const log = await openTestLog(disk)
  const archive = await archiveOn(store)
  const { shipper, stop } = ship(disk, archive)
  for (let number = 1; number <= 3; number++) {
    await appendRecords(log, 6)
    await log.roll()
    await settled(shipper, number)
  }
  await appendRecords(log, 4)
  await shipper.flush()
  await appendRecords(log, 4)
  await shipper.flush()
  await stop()
  await log.close()
  const content = Buffer.alloc(3000, 'table ')
  const object = backupFileName(LABEL, 'checkpoint/tables/000005.ldb')
  const { sha256, bytes } = await archive.putObject(object, content)
  await archive.addBackup({
    format: 1,
    label: LABEL,
    environmentId: IDENTITY.environmentId,
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn: 1,
      committedAtUs: 1,
      segmentNumber: 1,
      manifestName: 'MANIFEST-000004',
      manifestBase64: 'YWJj',
      current: 'x',
    },
    beginLsn: 2,
    endLsn: 6,
    endCommittedAtUs: 6,
    files: [{ name: 'checkpoint/tables/000005.ldb', bytes, sha256, object }],
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  })
  return store
}

/** A copy in which each object is what `change` makes of it; `undefined` leaves it out. */
export async function copyOf(
  store: ArchiveStore,
  change: (name: string, content: Buffer) => Buffer | undefined,
): Promise<ArchiveStore> {
  const copy = memoryStore()
  for await (const { name } of store.list('')) {
    const content = change(name, await store.get(name))
    if (content !== undefined) await copy.put(name, content)
  }
  return copy
}

/** All names, in order. */
export async function namesOf(store: ArchiveStore): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('')) names.push(name)
  return names
}
