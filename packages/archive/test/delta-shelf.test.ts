import { describe, expect, it } from 'vitest'
import {
  addDelta,
  type Archive,
  decideRetention,
  type DeltaRef,
  declineDelta,
  deltaName,
  finishRetention,
  memoryStore,
  type SegmentRef,
} from '../src/index.ts'
import { archiveOn } from './support/archive-scene.ts'
import { segment } from './support/segment-ref.ts'

function delta(first: number, last: number, more: Partial<DeltaRef> = {}): DeltaRef {
  const run = {
    timeline: 1,
    firstSegmentNumber: first,
    lastSegmentNumber: last,
    firstLsn: first * 10 - 9,
    lastLsn: last * 10,
    lastCommittedAtUs: last * 1000 + 9,
    entries: 3,
    bytes: 100,
    sha256: 'cd'.repeat(32),
    storedBytes: 90,
  }
  return { ...run, name: deltaName(run), ...more }
}

async function archiveOf(...segments: readonly SegmentRef[]): Promise<Archive> {
  const archive = await archiveOn(memoryStore())
  for (const timeline of [1, 2]) await archive.beginTimeline({ timeline })
  const ownerId = '0'.repeat(32)
  await archive.appendEvent({ type: 'owner.claimed', epoch: 1, ownerId, description: 'x', timeline: 1 })
  for (const one of segments) await archive.appendEvent({ type: 'segment.archived', epoch: 1, segment: one })
  return archive
}

const four = [1, 2, 3, 4].map((number) => segment(number))

describe('the deltas of a catalogue', () => {
  it('are those of archived segments, each once, in order of their ends', async () => {
    const archive = await archiveOf(...four)
    const all = [delta(1, 4), delta(3, 4), delta(1, 2)]
    for (const one of all) await addDelta(archive, one)
    const { sequence } = await archive.catalogue()
    await addDelta(archive, delta(1, 4))
    expect(await archive.catalogue()).toMatchObject({ sequence, deltas: [all[2], all[0], all[1]] })
    await expect(archive.appendEvent({ type: 'delta.added', delta: delta(1, 4) })).rejects.toMatchObject({
      code: 'ARCHIVE_CONFLICT',
    })
    await archive.appendEvent({ type: 'delta.removed', name: delta(1, 4).name })
    expect((await archive.catalogue()).deltas).toEqual([all[2], all[1]])
  })

  it('have names whose order is the order of their runs', () => {
    expect(delta(1, 4).name).toBe('delta/00000001/0000000000000001-0000000000000040-cdcdcdcdcdcdcdcd')
  })

  it.each<[string, DeltaRef]>([
    ['of a segment that is not there', delta(1, 6)],
    ['of another timeline', delta(1, 4, { timeline: 2 })],
    ['beginning inside a segment', delta(1, 4, { firstLsn: 2 })],
    ['ending inside a segment', delta(1, 4, { lastLsn: 39 })],
    ['with another commit time than the log', delta(1, 4, { lastCommittedAtUs: 1 })],
    ['ending before it begins', delta(4, 1)],
    ['across a hole', delta(1, 8)],
    ['of a million segments', delta(1, 9_999_999_999)],
  ])('cannot be one %s', async (_, wrong) => {
    const archive = await archiveOf(...four, segment(7), segment(8))
    await expect(addDelta(archive, wrong)).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    expect((await archive.catalogue()).deltas).toEqual([])
  })

  it('may be of a run with a number that no segment has, as long as the records follow each other', async () => {
    const archive = await archiveOf(...four.filter(({ segmentNumber }) => segmentNumber !== 3), {
      ...segment(5),
      firstLsn: 41,
    })
    await expect(addDelta(archive, delta(1, 4))).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    const other = await archiveOf(segment(1), segment(3, { firstLsn: 11 }), segment(4))
    await addDelta(other, delta(1, 4))
    expect((await other.catalogue()).deltas).toHaveLength(1)
  })

  it('go with any segment of their run, and so does what was declined', async () => {
    const archive = await archiveOf(...four)
    for (const one of [delta(1, 4), delta(1, 2), delta(3, 4)]) await addDelta(archive, one)
    const declined = { timeline: 1, firstLsn: 11, lastLsn: 30, reason: 'size' } as const
    await declineDelta(archive, declined)
    expect((await archive.catalogue()).declinedDeltas).toEqual([declined])
    await letGo(archive, 2)
    expect(await archive.catalogue()).toMatchObject({ deltas: [delta(3, 4)], declinedDeltas: [] })
    await expect(addDelta(archive, delta(1, 2))).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
  })

  it('have objects that retention deletes with those of the segments, and no others', async () => {
    const archive = await archiveOf(...four)
    const underWay = 'delta/00000001/of-a-compaction-under-way'
    for (const one of [delta(1, 4), delta(1, 2), delta(3, 4)]) {
      await archive.putObject(one.name, Buffer.from(one.name))
      await addDelta(archive, one)
    }
    await archive.putObject(underWay, Buffer.from('x'))
    await letGo(archive, 2)
    await finishRetention(archive)
    const left = []
    for await (const { name } of archive.store.list('delta/')) left.push(name)
    expect(left).toEqual([delta(3, 4).name, underWay])
  })
})

/** Lets the segments up to this one go. */
async function letGo(archive: Archive, throughSegment: number): Promise<void> {
  const segments = [{ timeline: 1, fromSegment: 1, throughSegment }]
  await decideRetention(archive, () => ({ backups: [], segments, timelines: [] }))
}
