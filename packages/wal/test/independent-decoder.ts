// Reads a segment as FORMAT.md says, with nothing of the package: its own CRC, its own offsets, big integers throughout. What it
// and the package agree on is what the document says.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

export function crc(data: Uint8Array, seed = 0): number {
  let value = seed ^ 0xffffffff
  for (const byte of data) value = (CRC_TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8)
  return (value ^ 0xffffffff) >>> 0
}

export interface PlainRecord {
  lsn: bigint
  time: bigint
  kind: number
  payload: Uint8Array
}

export interface PlainFrame {
  begin: number
  end: number
  type: number
  firstLsn: bigint
  durableLsn: bigint
  time: bigint
  checksum: number
  records: PlainRecord[]
}

export interface PlainSegment {
  environmentId: string
  timeline: number
  number: bigint
  firstLsn: bigint
  created: bigint
  previous: { number: bigint; bytes: bigint; time: bigint; sealChecksum: number }
  frames: PlainFrame[]
  seal: { bytes: bigint; records: bigint; marks: { lsn: bigint; time: bigint; name: string }[] } | undefined
  /** Where the last whole frame ends. */
  end: number
}

export function decodePlainly(file: Uint8Array): PlainSegment {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const u32 = (at: number): number => view.getUint32(at, true)
  const u64 = (at: number): bigint => view.getBigUint64(at, true)
  expect(text(file.subarray(0, 8)) === 'TLWALSEG', 'magic')
  expect(view.getUint16(8, true) === 1 && view.getUint16(10, true) === 96, 'version')
  const seed = u32(92)
  expect(seed === crc(file.subarray(0, 92)), 'header checksum')
  const segment: PlainSegment = {
    environmentId: [...file.subarray(16, 32)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    timeline: u32(12),
    number: u64(32),
    firstLsn: u64(40),
    created: u64(48),
    previous: { number: u64(56), bytes: u64(64), time: u64(72), sealChecksum: u32(80) },
    frames: [],
    seal: undefined,
    end: 96,
  }
  let chain = seed
  let nextLsn = segment.firstLsn
  while (segment.seal === undefined && segment.end + 40 <= file.length) {
    const begin = segment.end
    const header = file.subarray(begin, begin + 40)
    if (header.every((byte) => byte === 0)) break
    expect(u32(begin) === crc(header.subarray(4), seed), `frame checksum at ${begin}`)
    const payloadBytes = u32(begin + 8)
    const end = begin + 40 + Math.ceil(payloadBytes / 8) * 8
    expect(end <= file.length, `frame length at ${begin}`)
    expect(u32(begin + 4) === crc(file.subarray(begin + 40, end), seed), `payload checksum at ${begin}`)
    const frame: PlainFrame = {
      begin,
      end,
      type: view.getUint8(begin + 14),
      firstLsn: u64(begin + 16),
      durableLsn: u64(begin + 24),
      time: u64(begin + 32),
      checksum: u32(begin),
      records: [],
    }
    expect(frame.firstLsn === nextLsn, `first lsn at ${begin}`)
    expect(frame.durableLsn < frame.firstLsn, `durable lsn at ${begin}`)
    if (frame.type === 1) {
      frame.records = decodeRecords(file.subarray(begin + 40, begin + 40 + payloadBytes), nextLsn)
      expect(frame.records.length === view.getUint16(begin + 12, true), `record count at ${begin}`)
      expect(frame.records[0]?.time === frame.time, `time at ${begin}`)
      nextLsn += BigInt(frame.records.length)
    } else if (frame.type === 2) {
      const seal = begin + 40
      expect(u64(seal) === BigInt(end) && end === file.length, 'length in the seal')
      expect(u64(seal + 8) === nextLsn - segment.firstLsn, 'records in the seal')
      expect(u32(seal + 32) === chain, 'chain in the seal')
      expect(u32(seal + payloadBytes - 8) === end - begin, 'seal length')
      expect(text(file.subarray(end - 4, end)) === 'SEAL', 'end of the seal')
      segment.seal = { bytes: u64(seal), records: u64(seal + 8), marks: decodeMarks(file, seal) }
    } else expect(frame.type === 3 && payloadBytes === 0, `type at ${begin}`)
    chain = crc(header, chain)
    segment.frames.push(frame)
    segment.end = end
  }
  return segment
}

function decodeRecords(payload: Uint8Array, firstLsn: bigint): PlainRecord[] {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const records: PlainRecord[] = []
  let at = 0
  while (at < payload.length) {
    const bytes = view.getUint32(at, true)
    expect(at + 16 + bytes <= payload.length, 'record length')
    records.push({
      lsn: firstLsn + BigInt(records.length),
      kind: view.getUint32(at + 4, true),
      time: view.getBigUint64(at + 8, true),
      payload: payload.subarray(at + 16, at + 16 + bytes),
    })
    at += 16 + bytes
  }
  return records
}

function decodeMarks(file: Uint8Array, seal: number): { lsn: bigint; time: bigint; name: string }[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const marks: { lsn: bigint; time: bigint; name: string }[] = []
  let at = seal + 40
  for (let left = view.getUint32(seal + 36, true); left > 0; left -= 1) {
    const bytes = view.getUint32(at + 16, true)
    const name = new TextDecoder().decode(file.subarray(at + 20, at + 20 + bytes))
    marks.push({ lsn: view.getBigUint64(at, true), time: view.getBigUint64(at + 8, true), name })
    at += 20 + bytes
  }
  return marks
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not as FORMAT.md says: ${what}`)
}
