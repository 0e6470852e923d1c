import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decodeSegment,
  memorySource,
  parseSegmentName,
  readLog,
  segmentName,
  TimberlineError,
  verifySegment,
  type LogRecord,
  type RecordKind,
} from '../src/index.ts'
import { CrashFileSystem } from '../src/testing/index.ts'
import { decodePlainly } from './independent-decoder.ts'
import { DIRECTORY, goldenFiles, openMemoryLog, segmentContent } from './log-scenario.ts'

interface Given {
  readonly kind: RecordKind
  readonly payload: Uint8Array
  readonly durable: boolean
}

const RECORD: fc.Arbitrary<Given> = fc.record({
  kind: fc.constantFrom<RecordKind>('entry', 'note', 'mark'),
  payload: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => bytes.map((byte) => byte & 0x7f)),
  durable: fc.boolean(),
})

const GROUPS = fc.array(fc.array(RECORD, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 12 })

describe('any history', () => {
  it('reads back as it was written, and alike by the independent decoder', async () => {
    await fc.assert(
      fc.asyncProperty(GROUPS, fc.nat({ max: 2048 }), async (groups, preallocateBytes) => {
        const disk = new CrashFileSystem()
        const log = await openMemoryLog(disk, { preallocateBytes })
        for (const group of groups) {
          await Promise.all(group.map(({ payload, kind, durable }) => log.commit(payload, { kind, durable })))
        }
        const summary = await log.roll()
        await log.close()
        const given = groups.flat()
        const found: LogRecord[][] = []
        for await (const group of readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem: disk }))
          found.push(group)
        expect(found.map((group) => group.length)).toEqual(groups.map((group) => group.length))
        expect(
          found.flat().map(({ kind, payload }) => ({ kind, payload: Uint8Array.from(payload) })),
        ).toEqual(given.map(({ kind, payload }) => ({ kind, payload: Uint8Array.from(payload) })))
        const content = await segmentContent(disk, 1)
        expect(await verifySegment(memorySource(content), { last: false })).toEqual(summary)
        expect(decodePlainly(content).frames.flatMap((frame) => frame.records)).toHaveLength(given.length)
      }),
      { numRuns: 60 },
    )
  })
})

describe('the decoder', () => {
  it('ends in records or a typed error, whatever the bytes are', async () => {
    const { unsealed } = await goldenFiles()
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      // A good header, then anything.
      fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.concat([unsealed.subarray(0, 96), bytes])),
      // A good file with a stretch of it replaced.
      fc
        .tuple(fc.nat({ max: unsealed.length }), fc.uint8Array({ maxLength: 60 }))
        .map(([at, bytes]) =>
          Buffer.concat([unsealed.subarray(0, at), bytes, unsealed.subarray(at + bytes.length)]),
        ),
    )
    const whole = new Set<string>()
    for await (const group of decodeSegment(memorySource(unsealed), { last: true })) {
      for (const record of group) whole.add(`${record.lsn} ${record.payload.toString('hex')}`)
    }
    await fc.assert(
      fc.asyncProperty(anything, fc.boolean(), async (bytes, last) => {
        const found: string[] = []
        const read = async (): Promise<void> => {
          for await (const group of decodeSegment(memorySource(bytes), { last })) {
            found.push(...group.map((record) => `${record.lsn} ${record.payload.toString('hex')}`))
          }
        }
        const error: unknown = await read().catch((reason: unknown) => reason)
        expect(error === undefined || error instanceof TimberlineError).toBe(true)
        for (const record of found) expect(whole).toContain(record)
      }),
      { numRuns: 500 },
    )
  })

  it('does not take frames of another segment, or frames inside payloads, for its own', async () => {
    const disk = new CrashFileSystem()
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('a'))
    await log.commit(Buffer.from('b'))
    const early = await segmentContent(disk, 1)
    // The log's own frames as payload of its last record, which is then torn.
    const padding = Buffer.alloc((8 - ((early.length + 56) % 8)) % 8)
    await log.commit(Buffer.concat([padding, early.subarray(96), early.subarray(96)]))
    const content = await segmentContent(disk, 1)
    for (let bytes = early.length + 41; bytes < content.length; bytes += 1) {
      expect((await verifySegment(memorySource(content.subarray(0, bytes)))).lastLsn).toBe(2)
    }
  })

  it('is not misled by whole frames of another segment that go on where its own end', async () => {
    const [own, other] = await Promise.all(
      [2, 8].map(async (count) => {
        const disk = new CrashFileSystem()
        const identity = { environmentId: String(count).repeat(32), timeline: 1 }
        const log = await openMemoryLog(disk, { identity, preallocateBytes: 0 })
        for (let lsn = 1; lsn <= count; lsn += 1) await log.commit(Buffer.from('abcdefgh'))
        return segmentContent(disk, 1)
      }),
    )
    const end = own?.length ?? 0
    // The next record by its number, and behind it frames that call it durable: what a recycled block of a disk may hold.
    const stale = other?.subarray(end) ?? Buffer.alloc(0)
    expect(stale.length).toBeGreaterThan(0)
    const summary = await verifySegment(memorySource(Buffer.concat([own ?? Buffer.alloc(0), stale])))
    expect(summary).toMatchObject({ lastLsn: 2, bytes: end })
  })
})

describe('segment names', () => {
  it('have ten digits and are read back only when they are exactly that', () => {
    expect(segmentName(1)).toBe('log.0000000001')
    for (const number of [1, 42, 9_999_999_999]) expect(parseSegmentName(segmentName(number))).toBe(number)
    for (const name of [
      'log.1',
      'log.0000000000',
      'log.00000000001',
      'log.0000000001.new',
      'xlog.0000000001',
      'LOG',
    ]) {
      expect(parseSegmentName(name)).toBeUndefined()
    }
  })
})
