import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberlineError } from '@timberline/wal'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ArchiveStore,
  type BackupManifest,
  type CatalogueEvent,
  createArchive,
  memoryStore,
  openArchive,
} from '../src/index.ts'
import { CatalogueFold } from '../src/catalogue/catalogue-fold.ts'
import { journalName, pieceName } from '../src/layout.ts'
import { archiveOn, IDENTITY } from './support/archive-scene.ts'
import { segment } from './support/segment-ref.ts'

function claim(epoch: number): CatalogueEvent {
  return {
    type: 'owner.claimed',
    epoch,
    ownerId: '0'.repeat(31) + epoch,
    description: `owner ${epoch}`,
    timeline: 1,
  }
}

async function putPiece(
  store: ArchiveStore,
  place: { from: number; to: number; epoch: number; segment?: number },
): Promise<void> {
  const { from, to, epoch, segment: segmentNumber = 1 } = place
  const range = { timeline: 1, segmentNumber, position: from * 100, endPosition: to * 100 }
  const name = pieceName({ ...range, firstLsn: from + 1, lastLsn: to, lastCommittedAtUs: to, epoch })
  await store.put(name, Buffer.from('not read here'))
}

const MANIFEST: BackupManifest = {
  format: 1,
  label: '20261124-190507F',
  environmentId: IDENTITY.environmentId,
  timeline: 1,
  kind: 'full',
  checkpoint: {
    lsn: 10,
    committedAtUs: 10,
    segmentNumber: 2,
    manifestName: 'MANIFEST-000004',
    manifestBase64: 'YWJj',
    current: 'MANIFEST-000004\n',
  },
  beginLsn: 11,
  endLsn: 20,
  endCommittedAtUs: 20,
  files: [{ name: 'checkpoint/tables/000005.ldb', bytes: 5, sha256: 'ab'.repeat(32) }],
  startedAtUs: 1,
  endedAtUs: 2,
  tool: 'test',
}

describe('an archive', () => {
  it('is not there until it is made, and is one environment’s', async () => {
    const store = memoryStore()
    await expect(openArchive(store)).rejects.toMatchObject({ code: 'ARCHIVE_MISSING' })
    await archiveOn(store)
    expect((await archiveOn(store)).identity.environmentId).toBe(IDENTITY.environmentId)
    await expect(archiveOn(store, 'f1'.repeat(16))).rejects.toMatchObject({
      code: 'ARCHIVE_FOREIGN_ENVIRONMENT',
    })
    expect((await openArchive(store)).identity.format).toBe(1)
  })

  it('is refused when its identity is damaged', async () => {
    const store = memoryStore()
    await store.put('archive.json', Buffer.from('{}'))
    await expect(openArchive(store)).rejects.toMatchObject({ code: 'ARCHIVE_OBJECT_DAMAGED' })
  })

  it('is made once by two who make it at the same time', async () => {
    const store = memoryStore()
    const [a, b] = await Promise.all([archiveOn(store), archiveOn(store)])
    expect(a.identity).toEqual(b.identity)
  })
})

describe('the journal', () => {
  it('gives every writer’s event one place, without a hole', async () => {
    const store = memoryStore()
    const writers = await Promise.all(Array.from({ length: 6 }, () => archiveOn(store)))
    const timelines = await Promise.all(
      writers.flatMap((archive) => [archive.beginTimeline({}), archive.beginTimeline({})]),
    )
    expect(timelines.map(({ timeline }) => timeline).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 12 }, (_, index) => index + 1),
    )
    const { sequence } = await (await archiveOn(store)).catalogue()
    expect(sequence).toBe(12)
  })

  it('tells only one of two who say the same in the same moment that it was first', async () => {
    const store = memoryStore()
    const open = () => createArchive(store, { environmentId: IDENTITY.environmentId, now: () => 1 })
    const archives = await Promise.all([open(), open(), open()])
    const outcomes = await Promise.allSettled(
      archives.map((archive) => archive.beginTimeline({ timeline: 1 })),
    )
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it('lets only one recovery have a timeline number', async () => {
    const store = memoryStore()
    const [a, b] = await Promise.all([archiveOn(store), archiveOn(store)])
    await a.beginTimeline({ timeline: 1 })
    const outcomes = await Promise.allSettled([
      a.beginTimeline({ timeline: 2, parent: 1, forkLsn: 5 }),
      b.beginTimeline({ timeline: 2, parent: 1, forkLsn: 9 }),
    ])
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected'])
    await expect(b.beginTimeline({ parent: 7 })).rejects.toMatchObject({ code: 'ARCHIVE_TIMELINE_UNKNOWN' })
    expect(await b.beginTimeline({ parent: 1, forkLsn: 3 })).toMatchObject({
      timeline: 3,
      parent: 1,
      forkLsn: 3,
    })
  })

  it('refuses an event that contradicts it before anything is written', async () => {
    const archive = await archiveOn(memoryStore())
    await archive.beginTimeline({})
    await archive.appendEvent(claim(1))
    await archive.appendEvent({ type: 'segment.archived', epoch: 1, segment: segment(1) })
    const other = {
      type: 'segment.archived',
      epoch: 1,
      segment: segment(1, { sha256: 'cd'.repeat(32) }),
    } as const
    await expect(archive.appendEvent(other)).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    await expect(archive.appendEvent(claim(3))).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    await archive.appendEvent(claim(2))
    const late = { type: 'segment.archived', epoch: 1, segment: segment(2) } as const
    await expect(archive.appendEvent(late)).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    expect((await archive.catalogue()).sequence).toBe(4)
  })

  it('is refused with a hole, a damaged entry, a swapped entry or an unknown event', async () => {
    const build = async (): Promise<ArchiveStore> => {
      const store = memoryStore()
      const archive = await archiveOn(store)
      for (let index = 0; index < 5; index++) await archive.beginTimeline({})
      return store
    }
    const damages: ((store: ArchiveStore) => Promise<void>)[] = [
      (store) => store.delete(journalName(3)),
      (store) =>
        replace(store, journalName(3), (content) =>
          Buffer.from(content.toString().replace('"timeline": 3', '"timeline": 4')),
        ),
      async (store) => replace(store, journalName(3), await store.get(journalName(2))),
      (store) => replace(store, journalName(3), Buffer.from('')),
      (store) => store.delete(journalName(1)),
    ]
    for (const damage of damages) {
      const store = await build()
      await damage(store)
      await expect((await openArchive(store)).catalogue()).rejects.toMatchObject({
        code: 'ARCHIVE_JOURNAL_DAMAGED',
      })
    }
  })

  it('takes a put whose answer was lost as what it was', async () => {
    const store = memoryStore()
    let isLost = true
    const unsure: ArchiveStore = {
      ...store,
      async put(name, content) {
        const outcome = await store.put(name, content)
        if (isLost && name.startsWith('journal/')) {
          isLost = false
          throw new Error('the answer was lost')
        }
        return outcome
      },
    }
    const archive = await archiveOn(unsure)
    await expect(archive.addBackup(MANIFEST)).rejects.toThrow('lost')
    await archive.addBackup(MANIFEST)
    expect((await archive.catalogue()).backups).toHaveLength(1)
    expect((await archive.catalogue()).sequence).toBe(1)
  })
})

async function replace(
  store: ArchiveStore,
  name: string,
  change: Buffer | ((content: Buffer) => Buffer),
): Promise<void> {
  const content = await store.get(name)
  await store.delete(name)
  await store.put(name, typeof change === 'function' ? change(content) : change)
}

describe('backups', () => {
  it('appear with their event, once, and are refused when their manifest was exchanged', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.addBackup(MANIFEST)
    await archive.addBackup(MANIFEST)
    const { backups } = await archive.catalogue()
    expect(backups).toMatchObject([{ label: MANIFEST.label, lsn: 10, endLsn: 20, bytes: 5 }])
    expect(await archive.backupManifest(MANIFEST.label)).toEqual(MANIFEST)
    await expect(archive.addBackup({ ...MANIFEST, endLsn: 21 })).rejects.toMatchObject({
      code: 'ARCHIVE_BACKUP_EXISTS',
    })
    await expect(archive.backupManifest('none')).rejects.toMatchObject({ code: 'ARCHIVE_BACKUP_UNKNOWN' })
    const foreign = { ...MANIFEST, label: 'x', environmentId: 'f1'.repeat(16) }
    await expect(archive.addBackup(foreign)).rejects.toMatchObject({ code: 'ARCHIVE_FOREIGN_ENVIRONMENT' })
    const other = await archiveOn(memoryStore())
    await other.addBackup({ ...MANIFEST, endLsn: 21 })
    await replace(store, backups[0]?.name ?? '', await other.store.get(backups[0]?.name ?? ''))
    await expect(archive.backupManifest(MANIFEST.label)).rejects.toMatchObject({
      code: 'ARCHIVE_MANIFEST_DAMAGED',
    })
  })
})

describe('pieces in the catalogue', () => {
  it('count as far as the owners after them adopted', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.beginTimeline({})
    await archive.appendEvent(claim(1))
    await archive.appendEvent({ type: 'owner.adopted', epoch: 1, segmentNumber: 1, endPosition: 0 })
    for (const [from, to] of [
      [0, 2],
      [2, 5],
      [5, 7],
    ] as const)
      await putPiece(store, { from, to, epoch: 1 })
    const ends = async (): Promise<number[]> =>
      (await archive.catalogue()).pieces.map((piece) => piece.lastLsn)
    expect(await ends()).toEqual([2, 5, 7])
    await archive.appendEvent(claim(2))
    expect(await ends()).toEqual([2, 5, 7])
    await archive.appendEvent({ type: 'owner.adopted', epoch: 2, segmentNumber: 1, endPosition: 500 })
    expect(await ends()).toEqual([2, 5])
    await putPiece(store, { from: 5, to: 9, epoch: 2 })
    await putPiece(store, { from: 7, to: 8, epoch: 1 })
    await putPiece(store, { from: 0, to: 8, epoch: 1, segment: 2 })
    await putPiece(store, { from: 9, to: 12, epoch: 3 })
    expect(await ends()).toEqual([2, 5, 9])
  })

  it('of an older segment than the adopted one all count, of a later one none, however short', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.beginTimeline({})
    await archive.appendEvent(claim(1))
    await putPiece(store, { from: 0, to: 9, epoch: 1, segment: 1 })
    await putPiece(store, { from: 0, to: 4, epoch: 1, segment: 2 })
    await putPiece(store, { from: 0, to: 2, epoch: 1, segment: 3 })
    await archive.appendEvent(claim(2))
    await archive.appendEvent({ type: 'owner.adopted', epoch: 2, segmentNumber: 2, endPosition: 400 })
    const { pieces } = await archive.catalogue()
    expect(pieces.map(({ segmentNumber, endPosition }) => [segmentNumber, endPosition])).toEqual([
      [1, 900],
      [2, 400],
    ])
  })

  it('that were put twice with other ends count once', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.beginTimeline({})
    await archive.appendEvent(claim(1))
    for (const [from, to] of [
      [0, 2],
      [0, 3],
      [2, 3],
      [3, 5],
      [4, 5],
    ] as const)
      await putPiece(store, { from, to, epoch: 1 })
    const { pieces } = await archive.catalogue()
    expect(pieces.map((piece) => [piece.position, piece.endPosition])).toEqual([
      [0, 300],
      [300, 500],
    ])
  })

  it('are gone from it once their segment is archived, and marks are shown once', async () => {
    const store = memoryStore()
    const archive = await archiveOn(store)
    await archive.beginTimeline({})
    await archive.appendEvent(claim(1))
    const mark = { name: 'lunch', lsn: 4, committedAtUs: 4 }
    await archive.appendEvent({ type: 'mark.noted', epoch: 1, mark: { timeline: 1, ...mark } })
    expect((await archive.catalogue()).marks).toEqual([])
    await putPiece(store, { from: 0, to: 5, epoch: 1 })
    expect((await archive.catalogue()).marks).toEqual([{ timeline: 1, ...mark }])
    await archive.appendEvent({ type: 'segment.archived', epoch: 1, segment: segment(1, { marks: [mark] }) })
    const { pieces, marks, segments } = await archive.catalogue()
    expect([pieces.length, segments.length]).toEqual([0, 1])
    expect(marks).toEqual([{ timeline: 1, ...mark }])
  })
})

describe('the index of the journal', () => {
  it('gives the same catalogue as the journal, before and after it is deleted, damaged or another archive’s', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-index-'))
    try {
      const store = memoryStore()
      const indexDirectory = join(folder, 'index')
      const open = (from = store) =>
        createArchive(from, { environmentId: IDENTITY.environmentId, indexDirectory })
      const plain = await archiveOn(store)
      await plain.beginTimeline({})
      await plain.appendEvent(claim(1))
      for (let number = 1; number <= 20; number++) {
        await plain.appendEvent({ type: 'segment.archived', epoch: 1, segment: segment(number) })
        if (number % 5 > 0) continue
        await using indexed = await open()
        expect(await indexed.catalogue()).toEqual(await plain.catalogue())
      }
      let fetched = 0
      const counting = {
        ...store,
        get: (...args: Parameters<ArchiveStore['get']>) => (fetched++, store.get(...args)),
      }
      {
        await using indexed = await open(counting)
        await indexed.catalogue()
        // The identity alone: the journal came from the index.
        expect(fetched).toBe(1)
      }
      await rm(indexDirectory, { recursive: true })
      {
        await using rebuilt = await open()
        expect(await rebuilt.catalogue()).toEqual(await plain.catalogue())
      }
      const other = memoryStore()
      await (await archiveOn(other)).beginTimeline({})
      await using foreign = await open(other)
      expect((await foreign.catalogue()).sequence).toBe(1)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('the fold', () => {
  it('throws nothing but a typed error for events in any order', () => {
    const event = fc.oneof(
      fc.nat(4).map((n): CatalogueEvent => ({ type: 'timeline.begun', timeline: n + 1 })),
      fc.nat(4).map((n) => claim(n)),
      fc.tuple(fc.nat(4), fc.nat(4)).map(([n, epoch]): CatalogueEvent => ({
        type: 'timeline.ended',
        epoch,
        timeline: 1,
        lsn: n,
        successor: n + 1,
      })),
      fc
        .nat(4)
        .map((n): CatalogueEvent => ({ type: 'owner.adopted', epoch: n, segmentNumber: n, endPosition: n })),
      fc
        .tuple(fc.nat(4), fc.nat(3))
        .map(([n, epoch]): CatalogueEvent => ({ type: 'segment.archived', epoch, segment: segment(n + 1) })),
      fc.nat(4).map((n): CatalogueEvent => ({
        type: 'retention.decided',
        decision: {
          backups: n === 0 ? ['full'] : [],
          segments: [{ timeline: 1, fromSegment: n, throughSegment: n + 1 }],
          timelines: n === 4 ? [2] : [],
        },
      })),
      fc.nat(4).map((n): CatalogueEvent => ({ type: 'retention.finished', throughSequence: n })),
    )
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const fold = new CatalogueFold()
        for (const each of events) {
          const problem = fold.problem(each)
          const entry = {
            format: 1,
            sequence: fold.sequence + 1,
            environmentId: '',
            writerId: '',
            atUs: 0,
            event: each,
          } as const
          expect(outcomeOf(() => fold.apply(entry))).toBe(
            problem === undefined ? 'folded' : 'ARCHIVE_JOURNAL_DAMAGED',
          )
        }
      }),
    )
  })
})

function outcomeOf(work: () => void): string {
  try {
    work()
    return 'folded'
  } catch (error) {
    return error instanceof TimberlineError ? error.code : String(error)
  }
}
