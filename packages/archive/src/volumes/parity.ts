/**
 * One volume more for each few of a call: the exclusive or of their bytes, each taken to be followed by zeros. From it and all
 * but one of them, the bytes of the last one follow, at any place, without being stored anywhere.
 */
import { createHash } from 'node:crypto'
import type { FileSystem } from '@timberline/wal'
import { encodeParityHeader, parityBodyAt, type ParityHeader } from './parity-header.ts'
import type { SpillFile } from './spill-file.ts'
import { fileBytes, type VolumeBytes } from './volume-file.ts'
import { volumeDamaged, VOLUME_HEADER_BYTES } from './volume-header.ts'

const CHUNK_BYTES = 1024 * 1024

/** Writes the parity volume of these volumes, in their order, and makes it durable. */
export async function writeParity(
  members: readonly VolumeBytes[],
  place: Pick<ParityHeader, 'seriesId' | 'call' | 'first' | 'last'>,
  file: SpillFile,
): Promise<void> {
  const lengths = Buffer.alloc(8 * members.length)
  for (const [index, { bytes }] of members.entries()) lengths.writeBigUInt64LE(BigInt(bytes), 8 * index)
  const hash = createHash('sha256').update(lengths)
  const begin = parityBodyAt(place)
  await file.write(Buffer.alloc(begin), 0)
  const longest = Math.max(...members.map(({ bytes }) => bytes))
  for (let at = 0; at < longest; at += CHUNK_BYTES) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, longest - at))
    for (const member of members) await combine(chunk, member, at)
    hash.update(chunk)
    await file.write(chunk, begin + at)
  }
  const header = { ...place, fileBytes: begin + longest, sha256: hash.digest('hex') }
  await file.write(Buffer.concat([encodeParityHeader(header), lengths]), 0)
  await file.finish()
}

/** A parity volume whose bytes are known to be those that its header promises. */
export interface Parity {
  readonly path: string
  readonly header: ParityHeader
  /** Of the volumes that it stands for, in their order. */
  readonly lengths: readonly number[]
  readonly source: VolumeBytes
}

/**
 * Reads the lengths of a parity volume, and compares all of it with its checksum.
 *
 * @throws ARCHIVE_VOLUME_DAMAGED
 */
export async function openParity(
  path: string,
  header: ParityHeader,
  fileSystem: FileSystem,
): Promise<Parity> {
  const source = fileBytes(path, header.fileBytes, fileSystem)
  const table = Buffer.alloc(parityBodyAt(header) - VOLUME_HEADER_BYTES)
  await source.read(table, VOLUME_HEADER_BYTES)
  const hash = createHash('sha256').update(table)
  for (let at = parityBodyAt(header); at < source.bytes; at += CHUNK_BYTES) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, source.bytes - at))
    await source.read(chunk, at)
    hash.update(chunk)
  }
  if (hash.digest('hex') !== header.sha256) throw volumeDamaged(path, 'it does not match its checksum')
  const lengths = decodeLengths(table)
  const longest = source.bytes - parityBodyAt(header)
  if (lengths.some((bytes) => bytes > longest)) throw volumeDamaged(path, 'a length in it is impossible')
  return { path, header, lengths, source }
}

/** The lengths of volumes out of a parity volume. */
export function decodeLengths(table: Buffer): readonly number[] {
  return Array.from({ length: table.length / 8 }, (_, index) => Number(table.readBigUInt64LE(8 * index)))
}

/** The bytes of the volume that is lost, out of the parity volume and all others of its group. */
export function lostBytes(
  { header, lengths, source }: Parity,
  lost: number,
  others: readonly VolumeBytes[],
): VolumeBytes {
  const begin = parityBodyAt(header)
  return {
    bytes: lengths[lost - header.first] ?? 0,
    async read(target, at) {
      await source.read(target, begin + at)
      for (const other of others) await combine(target, other, at)
    },
  }
}

/** Combines the bytes of a volume from a place on with those of a chunk; behind its end are zeros. */
async function combine(chunk: Buffer, member: VolumeBytes, at: number): Promise<void> {
  const bytes = Math.min(chunk.length, member.bytes - at)
  if (bytes <= 0) return
  const part = Buffer.allocUnsafe(bytes)
  await member.read(part, at)
  for (let index = 0; index < bytes; index += 1) chunk[index] = (chunk[index] ?? 0) ^ (part[index] ?? 0)
}
