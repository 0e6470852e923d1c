import { readConfirmations } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { archiveError } from '../src/errors.ts'
import {
  type Archive,
  type ArchiveStore,
  type BackupManifest,
  backupFileName,
  decideRetention,
  finishRetention,
  makePromise,
  memoryStore,
  type RetentionDecision,
  verifyArchive,
} from '../src/index.ts'
import {
  appendRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  LOG,
  openTestLog,
  settled,
  ship,
} from './support/archive-scene.ts'

const LABELS = ['20261101-000000F', '20261108-000000F']

/** Five archived segments of eight records, a tail in pieces, two backups. */
async function scene(store: ArchiveStore = memoryStore()): Promise<{
  readonly disk: CrashFileSystem
  readonly store: ArchiveStore
  readonly archive: Archive
}> {
  const disk = new CrashFileSystem()
  const archive = await archiveOn(store)
  const log = await openTestLog(disk)
  for (let index = 0; index < 5; index++) {
    await appendRecords(log, 8)
    await log.roll()
  }
  await appendRecords(log, 3)
  const { shipper, stop } = ship(disk, archive)
  await settled(shipper, 5)
  await shipper.flush()
  await stop()
  await log.close()
  for (const [index, label] of LABELS.entries()) await addBackup(archive, label, 10 * (index + 1))
  return { disk, store, archive }
}

async function addBackup(archive: Archive, label: string, lsn: number): Promise<void> {
  const object = backupFileName(label, 'checkpoint/tables/000005.ldb')
  const { bytes, sha256 } = await archive.putObject(object, Buffer.from(`table of ${label}`))
  const manifest: BackupManifest = {
    format: 1,
    label,
    environmentId: IDENTITY.environmentId,
    timeline: 1,
    kind: 'full',
    checkpoint: {
      lsn,
      committedAtUs: lsn,
      segmentNumber: 2,
      manifestName: 'MANIFEST-000004',
      manifestBase64: 'YWJj',
      current: 'MANIFEST-000004\n',
    },
    beginLsn: lsn + 1,
    endLsn: lsn + 2,
    endCommittedAtUs: lsn + 2,
    files: [{ name: 'checkpoint/tables/000005.ldb', bytes, sha256, object }],
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'test',
  }
  await archive.addBackup(manifest)
}

const OLDEST: RetentionDecision = {
  backups: [LABELS[0] ?? ''],
  segments: [{ timeline: 1, fromSegment: 1, throughSegment: 2 }],
  timelines: [],
}

async function namesIn(store: ArchiveStore): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of store.list('')) names.push(name)
  return names
}

async function findings(archive: Archive): Promise<string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(archive)) found.push(`${code} ${name}`)
  return found
}

/** A store in which the operation of one index has no effect and fails, as all after it: the process is dead. */
function dyingStore(inner: ArchiveStore, atIndex: number): ArchiveStore & { readonly count: () => number } {
  let index = 0
  const alive = (): void => {
    if (index++ >= atIndex) throw archiveError('ARCHIVE_ABORTED', 'dead')
  }
  return {
    ...inner,
    count: () => index,
    async put(...args) {
      alive()
      return inner.put(...args)
    },
    async delete(name) {
      alive()
      await inner.delete(name)
    },
  }
}

describe('what retention let go', () => {
  it('is in no catalogue from the decision on, and then its objects are gone, and nothing else', async () => {
    const { store, archive } = await scene()
    const before = await namesIn(store)
    await decideRetention(archive, (catalogue) => {
      expect(catalogue.segments).toHaveLength(5)
      return OLDEST
    })
    const { segments, pieces, backups } = await archive.catalogue()
    expect(segments.map(({ segmentNumber }) => segmentNumber)).toEqual([3, 4, 5])
    expect(backups.map(({ label }) => label)).toEqual([LABELS[1]])
    expect(pieces).toHaveLength(1)
    expect(await findings(archive)).toEqual([])
    expect(await finishRetention(archive)).toMatchObject({ deleted: 4, undeleted: [] })
    const after = new Set(await namesIn(store))
    const gone = before.filter((name) => !after.has(name))
    expect(gone.map((name) => name.replace(/-[0-9a-f]{16}$/, ''))).toEqual([
      `backup/${LABELS[0]}/checkpoint/tables/000005.ldb`,
      `backup/${LABELS[0]}/manifest.json`,
      'segment/00000001/0000000001',
      'segment/00000001/0000000002',
    ])
    expect(await finishRetention(archive)).toMatchObject({ deleted: 0, undeleted: [] })
    expect(await findings(archive)).toEqual([])
  })

  it('is let go whole by the next run, whatever dies at any step', async () => {
    const clean = await scene()
    const counted = dyingStore(clean.store, Infinity)
    const counting = await archiveOn(counted)
    await decideRetention(counting, () => OLDEST)
    await finishRetention(counting)
    const expected = await namesIn(clean.store)
    expect(counted.count()).toBe(6)
    for (let index = 0; index < 6; index++) {
      const { store } = await scene()
      const dying = await archiveOn(dyingStore(store, index))
      const died = decideRetention(dying, () => OLDEST).then(() => finishRetention(dying))
      await expect(died).rejects.toMatchObject({ code: 'ARCHIVE_ABORTED' })
      const archive = await archiveOn(store)
      expect(await findings(archive)).toEqual([])
      const isDecided = (await archive.catalogue()).backups.length === 1
      expect(isDecided).toBe(index > 0)
      if (!isDecided) await decideRetention(archive, () => OLDEST)
      await finishRetention(archive)
      expect(await namesIn(store)).toHaveLength(expected.length)
      expect((await archive.catalogue()).segments.map(({ segmentNumber }) => segmentNumber)).toEqual([
        3, 4, 5,
      ])
    }
  })

  it('is named when the store keeps it, and tried again', async () => {
    const { store } = await scene()
    let isLocked = true
    const locking: ArchiveStore = {
      ...store,
      async delete(name) {
        if (isLocked && name.startsWith('segment/00000001/0000000001')) {
          throw archiveError('ARCHIVE_STORE_FAILED', 'the store refused', { details: { status: 403 } })
        }
        await store.delete(name)
      },
    }
    const archive = await archiveOn(locking)
    await decideRetention(archive, () => OLDEST)
    const { deleted, undeleted } = await finishRetention(archive)
    expect(deleted).toBe(3)
    expect(undeleted).toMatchObject([
      {
        name: expect.stringMatching(/^segment\/00000001\/0000000001-/),
        error: { code: 'ARCHIVE_STORE_FAILED' },
      },
    ])
    isLocked = false
    expect(await finishRetention(archive)).toMatchObject({ deleted: 1, undeleted: [] })
    const { sequence } = await archive.catalogue()
    await finishRetention(archive)
    expect((await archive.catalogue()).sequence).toBe(sequence)
  })

  it('is not shipped again from a log that still has it, and its label is not used again', async () => {
    const { disk, store, archive } = await scene()
    await decideRetention(archive, () => ({
      ...OLDEST,
      segments: [{ timeline: 1, fromSegment: 1, throughSegment: 4 }],
    }))
    await finishRetention(archive)
    const again = await archiveOn(store)
    const { shipper, stop } = ship(disk, again)
    await shipper.flushWhole()
    await stop()
    expect((await again.catalogue()).segments.map(({ segmentNumber }) => segmentNumber)).toEqual([5])
    expect((await namesIn(store)).filter((name) => name.startsWith('segment/'))).toHaveLength(1)
    expect(await readConfirmations(LOG, disk)).toMatchObject([{ segmentNumber: 5, lsn: 43 }])
    await expect(addBackup(again, LABELS[0] ?? '', 12)).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
  })

  it('of all segments leaves a shipper where it was', async () => {
    const { disk, store, archive } = await scene()
    const segments = [{ timeline: 1, fromSegment: 1, throughSegment: 5 }]
    await decideRetention(archive, () => ({ backups: [], segments, timelines: [] }))
    await finishRetention(archive)
    const { shipper, stop } = ship(disk, await archiveOn(store))
    await shipper.flushWhole()
    await stop()
    expect(await readConfirmations(LOG, disk)).toMatchObject([{ segmentNumber: 5, lsn: 43 }])
    expect((await namesIn(store)).filter((name) => name.startsWith('segment/'))).toEqual([])
  })

  it('is decided on the newest state, and asked again when somebody was faster', async () => {
    const { store, archive } = await scene()
    const other = await archiveOn(store)
    await other.catalogue()
    const seen: number[] = []
    await addBackup(other, '20261115-000000F', 30)
    await decideRetention(archive, ({ backups }) => {
      seen.push(backups.length)
      return undefined
    })
    expect(seen).toEqual([3])
  })

  it('is refused when it is not there, or is being shipped', async () => {
    const { archive } = await scene()
    const decide = (decision: Partial<RetentionDecision>): Promise<void> =>
      decideRetention(archive, () => ({ backups: [], segments: [], timelines: [], ...decision }))
    const refused = { code: 'ARCHIVE_CONFLICT' }
    await expect(decide({ backups: ['none'] })).rejects.toMatchObject(refused)
    await expect(decide({ timelines: [2] })).rejects.toMatchObject(refused)
    await expect(decide({ timelines: [1] })).rejects.toMatchObject(refused)
    const active = { timeline: 1, fromSegment: 5, throughSegment: 6 }
    await expect(decide({ segments: [active] })).rejects.toMatchObject(refused)
  })
})

describe('a promise', () => {
  const promise = { instantsUs: 100, bases: [{ everyUs: 7, spanUs: 56 }] }

  it('is what the last event says', async () => {
    const archive = await archiveOn(memoryStore())
    expect((await archive.catalogue()).promise).toBeUndefined()
    await makePromise(archive, promise)
    expect((await archive.catalogue()).promise).toEqual(promise)
    const more = {
      instantsUs: 101,
      bases: [
        { everyUs: 6, spanUs: 56 },
        { everyUs: 30, spanUs: 365 },
      ],
    }
    await makePromise(archive, more)
    expect((await archive.catalogue()).promise).toEqual(more)
  })

  it.each([
    ['fewer instants', { ...promise, instantsUs: 99 }],
    ['no backups', { ...promise, bases: [] }],
    ['rarer backups', { ...promise, bases: [{ everyUs: 8, spanUs: 56 }] }],
    ['shorter backups', { ...promise, bases: [{ everyUs: 7, spanUs: 55 }] }],
  ])('is not lessened to %s but by force', async (_, less) => {
    const archive = await archiveOn(memoryStore())
    await makePromise(archive, promise)
    await expect(makePromise(archive, less)).rejects.toMatchObject({ code: 'ARCHIVE_PROMISE_BROKEN' })
    expect((await archive.catalogue()).promise).toEqual(promise)
    await makePromise(archive, less, { force: true })
    expect((await archive.catalogue()).promise).toEqual(less)
  })
})

describe('a timeline that retention let go', () => {
  it('cannot be claimed, whoever asks', async () => {
    const archive = await archiveOn(memoryStore())
    await archive.beginTimeline({ timeline: 1 })
    await archive.beginTimeline({ timeline: 2, parent: 1, forkLsn: 0 })
    await decideRetention(archive, () => ({ backups: [], segments: [], timelines: [1] }))
    const claim = (timeline: number) =>
      archive.appendEvent({
        type: 'owner.claimed',
        epoch: 1,
        ownerId: 'f'.repeat(32),
        description: 'a home that came back',
        timeline,
      })
    await expect(claim(1)).rejects.toMatchObject({
      code: 'ARCHIVE_CONFLICT',
      message: expect.stringContaining('a claim on a timeline that retention let go'),
    })
    await claim(2)
  })

  it('keeps its place in the tree, loses segments and pieces, and is not shipped again', async () => {
    const { disk, store, archive } = await scene()
    await archive.beginTimeline({ timeline: 2, parent: 1, forkLsn: 20 })
    const { owner } = await archive.catalogue()
    const ownerId = 'f'.repeat(32)
    const epoch = (owner?.epoch ?? 0) + 1
    await archive.appendEvent({
      type: 'owner.claimed',
      epoch,
      ownerId,
      description: 'the new home',
      timeline: 2,
    })
    await decideRetention(archive, () => ({ backups: [], segments: [], timelines: [1] }))
    await finishRetention(archive)
    const { timelines, segments, pieces, retiredTimelines } = await archive.catalogue()
    expect(timelines.map(({ timeline }) => timeline)).toEqual([1, 2])
    expect(retiredTimelines).toEqual([1])
    expect([...segments, ...pieces]).toEqual([])
    expect((await namesIn(store)).filter((name) => /^(?:segment|piece)\//.test(name))).toEqual([])
    const { shipper } = ship(disk, await archiveOn(store))
    await expect(shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    expect((await namesIn(store)).filter((name) => /^(?:segment|piece)\//.test(name))).toEqual([])
  })
})
