// Whoever reads a log may keep its records: they stay as they are, and hold no memory that is not theirs to speak of.
import { expect, it } from 'vitest'
import { decodeSegment, memorySource, type LogRecord } from '../src/index.ts'
import { CrashFileSystem } from '../src/testing/index.ts'
import { openMemoryLog, segmentContent } from './log-scenario.ts'

async function segmentOf(payloads: readonly Buffer[]): Promise<LogRecord[]> {
  const disk = new CrashFileSystem()
  const log = await openMemoryLog(disk, {})
  for (const payload of payloads) await log.commit(payload)
  await log.roll()
  await log.close()
  const records: LogRecord[] = []
  const content = await segmentContent(disk, 1)
  for await (const group of decodeSegment(memorySource(content), { last: false })) records.push(...group)
  return records
}

it('stay as they were while more is read behind them', async () => {
  const payloads = Array.from({ length: 40 }, (_, at) => Buffer.alloc(at % 13 === 7 ? 400_000 : 30_000, at))
  const records = await segmentOf(payloads)
  expect(records).toHaveLength(payloads.length)
  for (const [at, { payload }] of records.entries()) expect(payload.equals(payloads[at] as Buffer)).toBe(true)
})

it('lie one beside the other where much is read, without a copy of each', async () => {
  const records = await segmentOf(Array.from({ length: 40 }, (_, at) => Buffer.alloc(30_000, at)))
  const memories = new Set(records.map(({ payload }) => payload.buffer))
  expect(memories.size).toBeLessThan(20)
})

it('of a short look keep little but themselves', async () => {
  const [record] = await segmentOf([Buffer.alloc(100), Buffer.alloc(100_000)])
  expect(record?.payload.buffer.byteLength).toBeLessThan(20_000)
})
