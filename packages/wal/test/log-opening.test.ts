/*
 * Folders that no run of the package leaves: segments forged or mixed up by hand, each whole in itself. Opening such a log must
 * refuse it by name; it must never go on behind it, since it would write over what somebody may still want.
 */
import { describe, expect, it } from 'vitest'
import { listSegments } from '../src/index.ts'
import {
  endsInSeal,
  folderOf,
  fourSegments,
  meanwhile,
  on,
  pathOf,
  putSegment,
  segmentContent,
} from './folder-scene.ts'
import { forgeFrame, forgeHeader, forgeRecord, forgeSealed, type ForgedHeader } from './forged-segment.ts'
import { openMemoryLog } from './log-scenario.ts'

const HEADER = forgeHeader()
const SEALED = forgeSealed(Buffer.concat([HEADER, forgeFrame(HEADER)]))
const LINK = {
  number: 1n,
  bytes: BigInt(SEALED.length),
  time: 1_000n,
  sealChecksum: SEALED.readUInt32LE(SEALED.length - 88),
}

/** The second segment, as it must be unless `fields` say otherwise; `time` is that of its one record. */
function second(fields: ForgedHeader = {}, time = 2_000n): Buffer {
  const header = forgeHeader({ number: 2n, firstLsn: 2n, previous: LINK, ...fields })
  const firstLsn = fields.firstLsn ?? 2n
  const payload = forgeRecord({ time })
  return Buffer.concat([header, forgeFrame(header, { firstLsn, durableLsn: firstLsn - 1n, time, payload })])
}

describe('two forged segments that belong together', () => {
  it('open, so that the cases below fail for their one reason', async () => {
    const log = await openMemoryLog(await folderOf(SEALED, second()))
    expect(log.opened).toMatchObject({ segments: 2, firstLsn: 1, lastLsn: 2, tornBytes: 0 })
    await log.close()
  })
})

describe('a log whose segments do not belong together is refused', () => {
  const broken: readonly [string, ForgedHeader][] = [
    ['has no word of the one before', { previous: { number: 0n, bytes: 0n, time: 0n, sealChecksum: 0 } }],
    ['follows another number', { previous: { ...LINK, number: 2n } }],
    ['follows another seal', { previous: { ...LINK, sealChecksum: LINK.sealChecksum ^ 1 } }],
    ['follows a file of another length', { previous: { ...LINK, bytes: LINK.bytes + 8n } }],
    ['follows another last commit time', { previous: { ...LINK, time: 999n } }],
    ['begins with a later LSN', { firstLsn: 3n }],
    ['begins with an earlier LSN', { firstLsn: 1n }],
  ]
  it.each(broken)('when the second %s', async (_, fields) => {
    const disk = await folderOf(SEALED, second(fields))
    const refusal = { code: 'WAL_CORRUPT', details: { path: pathOf(2), position: 0 } }
    await expect(openMemoryLog(disk)).rejects.toMatchObject(refusal)
    await expect(listSegments('/log', disk)).rejects.toMatchObject(refusal)
  })

  it('when a segment has another number than its name', async () => {
    const disk = await folderOf(SEALED, second({ number: 3n }))
    await expect(openMemoryLog(disk)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { path: pathOf(2), found: 3 },
    })
  })

  it('when one is missing, before the last one or between sealed ones, and when one vanishes meanwhile', async () => {
    for (const missing of [2, 3]) {
      const disk = await fourSegments()
      await disk.remove(pathOf(missing))
      await expect(openMemoryLog(disk)).rejects.toMatchObject({
        code: 'WAL_GAP',
        details: { segmentNumber: missing },
      })
    }
    const disk = await fourSegments()
    const seen = meanwhile(disk, { on: on('open', pathOf(1)) }, () => void disk.remove(pathOf(1)))
    await expect(openMemoryLog(seen)).rejects.toMatchObject({
      code: 'WAL_GAP',
      details: { segmentNumber: 1 },
    })
  })

  it('when another than the last one has no seal', async () => {
    const disk = await fourSegments()
    await putSegment(disk, 2, (await segmentContent(disk, 2)).subarray(0, -88))
    await expect(openMemoryLog(disk)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { path: pathOf(2) },
    })
  })
})

describe('a last segment whose content contradicts itself', () => {
  it('is refused and left as it is, never cut like a torn tail', async () => {
    const broken = Buffer.concat([HEADER, forgeFrame(HEADER), forgeFrame(HEADER, { firstLsn: 7n })])
    const disk = await folderOf(broken)
    await expect(openMemoryLog(disk)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { position: 160, lsn: 2 },
    })
    expect((await segmentContent(disk, 1)).equals(broken)).toBe(true)
    // A list looks twice before it says so, since a writer may be at work; what stays is damage.
    await expect(listSegments('/log', disk)).rejects.toMatchObject({
      code: 'WAL_CORRUPT',
      details: { position: 160 },
    })
  })

  it('is refused when anything but zeros stands behind its seal; zeros are cut, and a new segment follows', async () => {
    for (const rest of [Buffer.from('x'), forgeFrame(HEADER, { firstLsn: 2n, durableLsn: 1n })]) {
      await expect(openMemoryLog(await folderOf(Buffer.concat([SEALED, rest])))).rejects.toMatchObject({
        code: 'WAL_CORRUPT',
        details: { position: SEALED.length, lsn: 2 },
      })
    }
    const disk = await folderOf(Buffer.concat([SEALED, Buffer.alloc(999)]))
    const log = await openMemoryLog(disk)
    expect(log).toMatchObject({ activeSegment: 2, nextLsn: 2 })
    expect((await segmentContent(disk, 1)).equals(SEALED)).toBe(true)
    await log.close()
  })

  it('that is sealed and the last one is gone on from, whatever died before the next was made', async () => {
    const log = await openMemoryLog(await endsInSeal())
    expect(log).toMatchObject({
      activeSegment: 3,
      nextLsn: 5,
      opened: { segments: 3, lastLsn: 4, tornBytes: 0 },
    })
    await log.close()
  })
})
