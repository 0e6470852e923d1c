// What was copied is what was listed, also where each part by itself is whole.
import { listSegments, openLog, type SegmentSummary } from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'
import { expect, it } from 'vitest'
import { copyMeter } from '../src/copy-meter.ts'
import { copyProvedLog } from '../src/proved-log.ts'
import { rateLimit } from '../src/pace/rate-limit.ts'
import type { BackupSink } from '../src/sink/sink.ts'

const IDENTITY = { environmentId: '0123456789abcdef0123456789abcdef', timeline: 1 }

/** Copies a log of three segments into a folder where each copy turns out to be what `found` makes of it. */
async function copyOf(
  found: (summary: SegmentSummary, index: number) => SegmentSummary,
): Promise<readonly string[]> {
  const fileSystem = new CrashFileSystem()
  await fileSystem.makeDirectory('/log')
  const log = await openLog({ directory: '/log', identity: IDENTITY, fileSystem })
  for (let turn = 0; turn < 2; turn += 1) {
    await log.commit(Buffer.from(`turn ${turn}`))
    await log.roll()
  }
  await log.commit(Buffer.from('the last'))
  await log.close()
  const segments = await listSegments('/log', fileSystem, { scan: true })
  let copied = 0
  const copySegment: BackupSink['copySegment'] = ({ range }, name) => {
    const summary = segments[copied++]
    if (summary === undefined) throw new Error('there is no such segment')
    const file = { name, bytes: range.bytes, sha256: '' }
    return Promise.resolve({ file, summary: found(summary, copied - 1) })
  }
  const last = segments.at(-1)
  const durable = { directory: '/log', segments, endLsn: last?.lastLsn ?? 0, endCommittedAtUs: 1 }
  const meter = copyMeter(
    { fileSystem, onEvent: () => undefined, signal: undefined },
    rateLimit({ bytesPerS: undefined }),
  )
  const checkpoint = { ...IDENTITY, lsn: 0, segmentNumber: 1 }
  const files = await copyProvedLog(checkpoint, durable, { sink: { copySegment } as BackupSink, meter })
  return files.map(({ name }) => name)
}

it('is the log that was listed', async () => {
  expect(await copyOf((summary) => summary)).toEqual([
    'log/log.0000000001',
    'log/log.0000000002',
    'log/log.0000000003',
  ])
})

it('is refused when a segment has another seal, although it follows the one before', async () => {
  const other = copyOf((summary, index) =>
    index === 1 ? { ...summary, sealChecksum: (summary.sealChecksum ?? 0) ^ 1 } : summary,
  )
  await expect(other).rejects.toMatchObject({ code: 'HOTBACKUP_COPY_DAMAGED' })
})

it('is refused when a segment ends with another record', async () => {
  const short = copyOf((summary, index) =>
    index === 2 ? { ...summary, lastLsn: summary.lastLsn - 1 } : summary,
  )
  await expect(short).rejects.toMatchObject({ code: 'HOTBACKUP_COPY_DAMAGED' })
})
