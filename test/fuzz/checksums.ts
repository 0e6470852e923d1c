// Mends checksums after damage. Written from the formats and not with the product's encoders: those would refuse to write what
// is to be tried. Whatever does not look like the format is left as it is.
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { crc32c, maskCrc } from '../../packages/engine/src/leveldb/leveldb-crc.ts'

const SEGMENT_HEADER_BYTES = 96
const FRAME_HEADER_BYTES = 40

/** Mends a segment: its header, then frame after frame as far as their lengths lead; with `seal`, what a seal says too. */
export function repairSegment(bytes: Buffer, seal = true): Buffer {
  if (bytes.length < SEGMENT_HEADER_BYTES) return bytes
  repairSegmentHeader(bytes)
  const seed = bytes.readUInt32LE(92)
  let chain = seed
  let at = SEGMENT_HEADER_BYTES
  while (at + FRAME_HEADER_BYTES <= bytes.length) {
    const type = bytes[at + 14] ?? 0
    const payloadBytes = bytes.readUInt32LE(at + 8)
    const end = at + FRAME_HEADER_BYTES + Math.ceil(payloadBytes / 8) * 8
    if (type === 0 || end > bytes.length) break
    if (type === 2 && payloadBytes >= 48 && seal) {
      bytes.writeUInt32LE(chain, at + FRAME_HEADER_BYTES + 32)
    }
    repairFrame(bytes.subarray(at, end), seed)
    chain = crc32(bytes.subarray(at, at + FRAME_HEADER_BYTES), chain)
    at = end
  }
  return bytes
}

/** Mends the checksum of a segment header. */
export function repairSegmentHeader(bytes: Buffer): Buffer {
  if (bytes.length >= SEGMENT_HEADER_BYTES) bytes.writeUInt32LE(crc32(bytes.subarray(0, 92)), 92)
  return bytes
}

/** The checksum of an archive's quick word. */
export function repairReached(bytes: Buffer): Buffer {
  const end = bytes.lastIndexOf(',"check":"')
  if (end < 0) return bytes
  const said = bytes.subarray(0, end)
  const check = crc32(said).toString(16).padStart(8, '0')
  return Buffer.concat([said, Buffer.from(`,"check":"${check}"}\n`)])
}

/** Mends both checksums of a frame: of its payload, when there is one, and of its header. */
export function repairFrame(bytes: Buffer, seed: number): Buffer {
  if (bytes.length < 8) return bytes
  if (bytes.length > FRAME_HEADER_BYTES)
    bytes.writeUInt32LE(crc32(bytes.subarray(FRAME_HEADER_BYTES), seed), 4)
  bytes.writeUInt32LE(crc32(bytes.subarray(4, FRAME_HEADER_BYTES), seed), 0)
  return bytes
}

/** Mends the header of an object, and with it the object's name. */
export function repairEnvelope(bytes: Buffer, name: string): Buffer {
  if (bytes.length < 64) return bytes
  bytes.writeUInt32LE(crc32(Buffer.from(name)), 24)
  bytes.writeUInt32LE(crc32(bytes.subarray(32, 64), crc32(bytes.subarray(0, 28))), 28)
  return bytes
}

/** Mends an object whose content is stored as it is: length and sha256 too. */
export function repairPlainObject(bytes: Buffer, name: string): Buffer {
  if (bytes.length < 64 || bytes[10] !== 0) return repairEnvelope(bytes, name)
  bytes.writeBigUInt64LE(BigInt(bytes.length - 64), 16)
  bytes.set(createHash('sha256').update(bytes.subarray(64)).digest(), 32)
  return repairEnvelope(bytes, name)
}

const CHECKED_TAIL = /,?\s*"sha256": ?"[^"]*"\s*\}\s*$/

/** Gives a text the closing checksum of checked JSON, in place of the one it has. */
export function repairCheckedJson(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1')
  const end = CHECKED_TAIL.exec(text)?.index ?? text.replace(/\s*\}\s*$/, '').length
  const body = bytes.subarray(0, end)
  const sum = createHash('sha256').update(body).digest('hex')
  return Buffer.concat([body, Buffer.from(`,\n  "sha256": "${sum}"\n}\n`)])
}

/** Gives the JSON of a checkpoint the checksum that it names, as far as it is JSON. */
export function repairCheckpoint(bytes: Buffer): Buffer {
  try {
    const { checksum: _, ...body } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
    const checksum = createHash('sha256').update(JSON.stringify(body)).digest('hex')
    return Buffer.from(`${JSON.stringify({ ...body, checksum })}\n`)
  } catch {
    // No JSON any more, or JSON too deep to be written: then it is tried as it is.
    return bytes
  }
}

const BLOCK_BYTES = 32 * 1024

/** Mends the fragments of a LevelDB MANIFEST, as far as their lengths lead. */
export function repairManifest(bytes: Buffer): Buffer {
  let at = 0
  while (at + 7 <= bytes.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES)
    if (left < 7) {
      at += left
      continue
    }
    const end = at + 7 + bytes.readUInt16LE(at + 4)
    if (end > bytes.length) break
    bytes.writeUInt32LE(maskCrc(crc32c(bytes.subarray(at + 6, end))), at)
    at = end
  }
  return bytes
}

/** Mends the blocks of a LevelDB table that its footer and its index name. */
export function repairTable(bytes: Buffer): Buffer {
  if (bytes.length < 48) return bytes
  bytes.writeBigUInt64LE(0xdb4775248b80fb57n, bytes.length - 8)
  const footer = { bytes: bytes.subarray(bytes.length - 48), at: 0 }
  for (let block = 0; block < 2; block += 1) {
    const handle = handleAt(footer)
    if (handle === undefined) break
    repairBlock(bytes, handle)
    for (const inner of handlesIn(bytes.subarray(handle.position, handle.position + handle.bytes))) {
      repairBlock(bytes, inner)
    }
  }
  return bytes
}

interface Cursor {
  readonly bytes: Buffer
  at: number
}

function handleAt(cursor: Cursor): { position: number; bytes: number } | undefined {
  const position = varint(cursor)
  const bytes = varint(cursor)
  return position === undefined || bytes === undefined ? undefined : { position, bytes }
}

function varint(cursor: Cursor): number | undefined {
  let value = 0
  for (let scale = 1; scale < 2 ** 49; scale *= 128) {
    const byte = cursor.bytes[cursor.at]
    if (byte === undefined) return undefined
    cursor.at += 1
    value += (byte & 0x7f) * scale
    if (byte < 0x80) return value
  }
  return undefined
}

function repairBlock(bytes: Buffer, handle: { position: number; bytes: number }): void {
  const end = handle.position + handle.bytes
  if (end + 5 > bytes.length) return
  bytes.writeUInt32LE(maskCrc(crc32c(bytes.subarray(handle.position, end + 1))), end + 1)
}

/** The handles in an index block that is stored as it is. */
function handlesIn(block: Buffer): { position: number; bytes: number }[] {
  const handles: { position: number; bytes: number }[] = []
  const cursor: Cursor = { bytes: block, at: 0 }
  // The directory of restarts stands behind the entries.
  const end = block.length < 4 ? 0 : block.length - 4 - block.readUInt32LE(block.length - 4) * 4
  while (cursor.at < end && handles.length < 1000) {
    const shared = varint(cursor)
    const own = varint(cursor)
    const valueBytes = varint(cursor)
    if (shared === undefined || own === undefined || valueBytes === undefined) break
    cursor.at += own
    const handle = handleAt({ bytes: block, at: cursor.at })
    cursor.at += valueBytes
    if (handle === undefined) break
    handles.push(handle)
  }
  return handles
}

/** Mends the header of a delta. */
export function repairDelta(bytes: Buffer): Buffer {
  if (bytes.length >= 72) bytes.writeUInt32LE(crc32(bytes.subarray(0, 64)), 64)
  return bytes
}
