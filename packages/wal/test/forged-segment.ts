// Makes segments byte by byte as FORMAT.md says, with the CRC of the independent decoder and nothing of the package, so that a
// test can give a frame whose checksums hold and whose content contradicts itself: what no crash makes, and only forging does.
import { crc } from './independent-decoder.ts'

export const FORGED_ENVIRONMENT = '00112233445566778899aabbccddeeff'
/** The first commit time in forged segments, in microseconds; later ones count up from here. */
export const FORGED_TIME = 1_000

export interface ForgedHeader {
  readonly version?: number
  readonly headerBytes?: number
  readonly timeline?: number
  readonly number?: bigint
  readonly firstLsn?: bigint
  readonly created?: bigint
  readonly previous?: { number: bigint; bytes: bigint; time: bigint; sealChecksum: number }
}

/** The 96 bytes of a segment header with a checksum that holds, whatever the fields say. */
export function forgeHeader(fields: ForgedHeader = {}): Buffer {
  const bytes = Buffer.alloc(96)
  bytes.write('TLWALSEG', 0, 'latin1')
  bytes.writeUInt16LE(fields.version ?? 1, 8)
  bytes.writeUInt16LE(fields.headerBytes ?? 96, 10)
  bytes.writeUInt32LE(fields.timeline ?? 1, 12)
  bytes.write(FORGED_ENVIRONMENT, 16, 'hex')
  bytes.writeBigUInt64LE(fields.number ?? 1n, 32)
  bytes.writeBigUInt64LE(fields.firstLsn ?? 1n, 40)
  bytes.writeBigUInt64LE(fields.created ?? 5n, 48)
  if (fields.previous !== undefined) {
    bytes.writeBigUInt64LE(fields.previous.number, 56)
    bytes.writeBigUInt64LE(fields.previous.bytes, 64)
    bytes.writeBigUInt64LE(fields.previous.time, 72)
    bytes.writeUInt32LE(fields.previous.sealChecksum, 80)
  }
  bytes.writeUInt32LE(crc(bytes.subarray(0, 92)), 92)
  return bytes
}

export interface ForgedFrame {
  readonly type?: number
  readonly reserved?: number
  readonly records?: number
  readonly firstLsn?: bigint
  readonly durableLsn?: bigint
  readonly time?: bigint
  readonly payload?: Buffer
  /** Default: the length of `payload`. */
  readonly payloadBytes?: number
}

/** A frame whose two checksums hold, whatever the fields say. */
export function forgeFrame(header: Buffer, fields: ForgedFrame = {}): Buffer {
  const seed = header.readUInt32LE(92)
  const payload = fields.payload ?? forgeRecord()
  const padded = Buffer.concat([payload, Buffer.alloc((8 - (payload.length % 8)) % 8)])
  const bytes = Buffer.alloc(40)
  bytes.writeUInt32LE(crc(padded, seed), 4)
  bytes.writeUInt32LE(fields.payloadBytes ?? payload.length, 8)
  bytes.writeUInt16LE(fields.records ?? 1, 12)
  bytes.writeUInt8(fields.type ?? 1, 14)
  bytes.writeUInt8(fields.reserved ?? 0, 15)
  bytes.writeBigUInt64LE(fields.firstLsn ?? 1n, 16)
  bytes.writeBigUInt64LE(fields.durableLsn ?? 0n, 24)
  bytes.writeBigUInt64LE(fields.time ?? BigInt(FORGED_TIME), 32)
  bytes.writeUInt32LE(crc(bytes.subarray(4), seed), 0)
  return Buffer.concat([bytes, padded])
}

export interface ForgedRecord {
  readonly kind?: number
  readonly time?: bigint
  readonly payload?: Buffer
  /** Default: the length of `payload`. */
  readonly bytes?: number
}

export function forgeRecord(fields: ForgedRecord = {}): Buffer {
  const payload = fields.payload ?? Buffer.from('payload!')
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(fields.bytes ?? payload.length, 0)
  bytes.writeUInt32LE(fields.kind ?? 1, 4)
  bytes.writeBigUInt64LE(fields.time ?? BigInt(FORGED_TIME), 8)
  return Buffer.concat([bytes, payload])
}

export interface ForgedSeal {
  readonly segmentBytes?: bigint
  readonly records?: bigint
  readonly firstTime?: bigint
  readonly lastTime?: bigint
  readonly chain?: number
  readonly marks?: readonly ForgedMark[]
  /** Default: the length of `marks`. */
  readonly markCount?: number
  /** Default: the length of the frame. */
  readonly sealBytes?: number
  /** Of the frame header; default: as if `records` records were before it. */
  readonly nextLsn?: bigint
}

export interface ForgedMark {
  readonly lsn?: bigint
  readonly time?: bigint
  readonly name?: string
  /** Default: the length of `name`. */
  readonly nameBytes?: number
}

/** The payload of a seal, which by default says what is so of `before`: a header and one group with one record. */
export function forgeSealPayload(before: Buffer, fields: ForgedSeal = {}): Buffer {
  const marks = (fields.marks ?? []).map(({ lsn = 1n, time = 1_000n, name = 'm', nameBytes }) => {
    const bytes = Buffer.alloc(20)
    bytes.writeBigUInt64LE(lsn, 0)
    bytes.writeBigUInt64LE(time, 8)
    bytes.writeUInt32LE(nameBytes ?? Buffer.byteLength(name), 16)
    return Buffer.concat([bytes, Buffer.from(name)])
  })
  const fixed = Buffer.alloc(40)
  const used = Buffer.concat([fixed, ...marks])
  const payload = Buffer.concat([used, Buffer.alloc(((8 - (used.length % 8)) % 8) + 8)])
  const frameBytes = 40 + payload.length
  payload.writeBigUInt64LE(fields.segmentBytes ?? BigInt(before.length + frameBytes), 0)
  payload.writeBigUInt64LE(fields.records ?? 1n, 8)
  payload.writeBigUInt64LE(fields.firstTime ?? BigInt(FORGED_TIME), 16)
  payload.writeBigUInt64LE(fields.lastTime ?? BigInt(FORGED_TIME), 24)
  payload.writeUInt32LE(fields.chain ?? chainOf(before), 32)
  payload.writeUInt32LE(fields.markCount ?? marks.length, 36)
  payload.writeUInt32LE(fields.sealBytes ?? frameBytes, payload.length - 8)
  payload.write('SEAL', payload.length - 4, 'latin1')
  return payload
}

/** A segment closed by a seal whose checksums hold. */
export function forgeSealed(before: Buffer, fields: ForgedSeal = {}): Buffer {
  const frame = forgeFrame(before.subarray(0, 96), {
    type: 2,
    records: 0,
    firstLsn: fields.nextLsn ?? 2n,
    durableLsn: (fields.nextLsn ?? 2n) - 1n,
    payload: forgeSealPayload(before, fields),
  })
  return Buffer.concat([before, frame])
}

function chainOf(segment: Buffer): number {
  let chain = segment.readUInt32LE(92)
  for (let at = 96; at + 40 <= segment.length; at += 40 + Math.ceil(segment.readUInt32LE(at + 8) / 8) * 8) {
    chain = crc(segment.subarray(at, at + 40), chain)
  }
  return chain
}
