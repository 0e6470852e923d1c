/** Taking a timeline over and ending it: what the journal lets happen, and to whom. */
import { describe, expect, it } from 'vitest'
import { type Archive, createArchive, endTimeline, memoryStore, takeOverTimeline } from '../src/index.ts'

const PIECE = { segment: 1, firstLsn: 1, atUs: 1 }
const pad = (value: number, width: number): string => String(value).padStart(width, '0')
const idOf = (digit: string): string => digit.repeat(32)

/** A piece from one position to another, of an epoch. */
function pieceName({
  position,
  end,
  epoch,
  lastLsn,
}: Record<'position' | 'end' | 'epoch' | 'lastLsn', number>): string {
  const { segment, firstLsn, atUs } = PIECE
  const numbers = [pad(segment, 10), pad(position, 12), pad(end, 12), pad(epoch, 6), pad(firstLsn, 16)]
  return `piece/${pad(1, 8)}/${[...numbers, pad(lastLsn, 16), pad(atUs, 16)].join('-')}`
}

/** An archive whose timeline 1 is shipped by epoch 1, which has put one piece. */
async function shipped(): Promise<Archive> {
  const archive = await createArchive(memoryStore(), { environmentId: idOf('e') })
  await archive.beginTimeline({})
  const claim = {
    type: 'owner.claimed',
    epoch: 1,
    ownerId: idOf('1'),
    description: 'old',
    timeline: 1,
  } as const
  await archive.appendEvent(claim)
  await archive.appendEvent({ type: 'owner.adopted', epoch: 1, segmentNumber: 1, endPosition: 0 })
  await archive.putObject(pieceName({ position: 0, end: 100, epoch: 1, lastLsn: 3 }), Buffer.alloc(100))
  return archive
}

const successor = { ownerId: idOf('2'), description: 'new', timeline: 1 }

describe('a timeline that is taken over', () => {
  it('keeps every piece that stood, and none that its old owner had under way', async () => {
    const archive = await shipped()
    const epoch = await takeOverTimeline(archive, successor)
    expect(epoch).toBe(2)
    await archive.putObject(pieceName({ position: 100, end: 150, epoch: 1, lastLsn: 5 }), Buffer.alloc(50))
    expect((await archive.catalogue()).pieces).toMatchObject([{ endPosition: 100, lastLsn: 3 }])
    const late = {
      type: 'mark.noted',
      epoch: 1,
      mark: { timeline: 1, name: 'm', lsn: 4, committedAtUs: 1 },
    } as const
    await expect(archive.appendEvent(late)).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    // After a crash the same one goes on under the same claim.
    expect(await takeOverTimeline(archive, successor)).toBe(2)
  })

  it('ends once, with one successor, which is shipped from then on', async () => {
    const archive = await shipped()
    const epoch = await takeOverTimeline(archive, successor)
    const end = { epoch, ownerId: successor.ownerId, timeline: 1, lsn: 3 }
    const ended = await endTimeline(archive, end)
    expect(ended).toMatchObject({ lsn: 3, successor: 2, ownerId: successor.ownerId })
    const { sequence } = await archive.catalogue()
    expect(await endTimeline(archive, end)).toEqual(ended)
    const catalogue = await archive.catalogue()
    expect(catalogue).toMatchObject({
      sequence,
      timelines: [
        { timeline: 1, ended },
        { timeline: 2, parent: 1, forkLsn: 3 },
      ],
      owner: { timeline: 2, epoch: 2 },
      pieces: [{ endPosition: 100 }],
    })
  })

  it('is claimed by nobody any more, and its successor is not let go', async () => {
    const archive = await shipped()
    const epoch = await takeOverTimeline(archive, successor)
    await endTimeline(archive, { epoch, ownerId: successor.ownerId, timeline: 1, lsn: 3 })
    await expect(takeOverTimeline(archive, { ...successor, ownerId: idOf('3') })).rejects.toMatchObject({
      code: 'ARCHIVE_TIMELINE_ENDED',
      details: { timeline: 1, endedAfterLsn: 3, successor: 2 },
    })
    const claim = {
      type: 'owner.claimed',
      epoch: 3,
      ownerId: idOf('3'),
      description: '',
      timeline: 1,
    } as const
    await expect(archive.appendEvent(claim)).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    const decision = { backups: [], segments: [], timelines: [2] }
    await expect(archive.appendEvent({ type: 'retention.decided', decision })).rejects.toMatchObject({
      code: 'ARCHIVE_CONFLICT',
    })
  })

  it('is not ended by one whom another has replaced', async () => {
    const archive = await shipped()
    const epoch = await takeOverTimeline(archive, successor)
    await takeOverTimeline(archive, { ...successor, ownerId: idOf('3') })
    await expect(
      endTimeline(archive, { epoch, ownerId: successor.ownerId, timeline: 1, lsn: 3 }),
    ).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
    expect((await archive.catalogue()).timelines).toHaveLength(1)
  })
})
