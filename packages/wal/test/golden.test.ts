import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { crc32 } from 'node:zlib'
import { decodeSegment, memorySource, verifySegment, type LogRecord } from '../src/index.ts'
import { crc, decodePlainly } from './independent-decoder.ts'
import { goldenFiles } from './log-scenario.ts'

const NAMES = {
  tiny: 'v1-tiny',
  sealed: 'v1-sealed',
  unsealed: 'v1-unsealed',
  zeroFilled: 'v1-zero-filled',
} as const

/** The bytes kept for a version; they are never made anew. */
function golden(name: keyof typeof NAMES): Buffer {
  return readFileSync(new URL(`./golden/${NAMES[name]}.log`, import.meta.url))
}

async function recordsOf(content: Buffer): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const group of decodeSegment(memorySource(content), { last: true })) records.push(...group)
  return records
}

describe('the golden files of version 1', () => {
  it.each(Object.keys(NAMES) as (keyof typeof NAMES)[])(
    '%s is written today as it was then',
    async (name) => {
      expect((await goldenFiles())[name].equals(golden(name))).toBe(true)
    },
  )

  it.each(Object.keys(NAMES) as (keyof typeof NAMES)[])(
    '%s is read alike by the package and by a decoder made from FORMAT.md alone',
    async (name) => {
      const content = golden(name)
      const plain = decodePlainly(content)
      const summary = await verifySegment(memorySource(content))
      const plainRecords = plain.frames.flatMap((frame) => frame.records)
      expect(
        (await recordsOf(content)).map(({ lsn, committedAtUs, kind, payload }) => ({
          lsn: BigInt(lsn),
          time: BigInt(committedAtUs),
          kind: ['entry', 'mark', 'note'].indexOf(kind) + 1,
          payload: Buffer.from(payload),
        })),
      ).toEqual(plainRecords.map((record) => ({ ...record, payload: Buffer.from(record.payload) })))
      expect(summary.header.environmentId).toBe(plain.environmentId)
      expect(summary.header.timeline).toBe(plain.timeline)
      expect(BigInt(summary.header.segmentNumber)).toBe(plain.number)
      expect(BigInt(summary.header.createdAtUs)).toBe(plain.created)
      expect(BigInt(summary.header.previous?.bytes ?? 0)).toBe(plain.previous.bytes)
      expect(summary.header.previous?.sealChecksum ?? 0).toBe(plain.previous.sealChecksum)
      expect(summary.sealed).toBe(plain.seal !== undefined)
      expect(summary.bytes).toBe(plain.end)
      const plainMarks = plainRecords.filter((record) => record.kind === 2)
      expect(summary.marks.map((mark) => mark.name)).toEqual(
        plainMarks.map((record) => Buffer.from(record.payload).toString()),
      )
    },
  )

  it('holds what a reader of the issue expects: groups, kinds, a mark, a fence, a link', () => {
    const sealed = decodePlainly(golden('sealed'))
    const unsealed = decodePlainly(golden('unsealed'))
    expect(sealed.frames.map((frame) => frame.records.length)).toEqual([3, 1, 1, 1, 1, 0])
    expect(sealed.seal?.marks).toEqual([{ lsn: 4n, time: expect.any(BigInt), name: 'before-import' }])
    expect(unsealed.frames.map((frame) => [frame.type, frame.records.length])).toEqual([
      [1, 2],
      [1, 1],
      [3, 0],
      [1, 1],
      [1, 2],
      [1, 1],
    ])
    expect(unsealed.previous).toEqual({
      number: 1n,
      bytes: BigInt(golden('sealed').length),
      time: sealed.frames.at(-2)?.records.at(-1)?.time,
      sealChecksum: sealed.frames.at(-1)?.checksum,
    })
  })

  it('is the worked example of FORMAT.md, byte for byte', () => {
    const document = readFileSync(new URL('../FORMAT.md', import.meta.url), 'utf8')
    const lines = [...document.matchAll(/^[0-9a-f]{8}: ((?:[0-9a-f]{2}(?: |$))+)/gm)].map(
      (match) => match[1] ?? '',
    )
    expect(lines.join('').replaceAll(' ', '')).toBe(golden('tiny').toString('hex'))
  })

  it('uses the CRC that the document names', () => {
    expect(crc(Buffer.from('123456789'))).toBe(0xcbf43926)
    expect(crc(Buffer.from('6789'), crc(Buffer.from('12345')))).toBe(crc32(Buffer.from('123456789')))
  })
})
