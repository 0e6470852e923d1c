// One volume as bytes that can be read anywhere: from its file, or from whatever stands in for it.
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { readFully } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import {
  blockCount,
  blocksAt,
  VOLUME_BLOCK_BYTES,
  volumeDamaged,
  VOLUME_HEADER_BYTES,
  VOLUME_PAGE_BYTES,
  type VolumeHeader,
} from './volume-header.ts'

/** Bytes of a known length that can be read anywhere. */
export interface VolumeBytes {
  readonly bytes: number
  /** Fills the target from this place on; a place behind the end is an error. */
  read(target: Buffer, at: number): Promise<void>
}

/** Enough to hash at the speed of the disk. */
const CHUNK_BYTES = 1024 * 1024

const inflate = promisify(gunzip)

/** A file as bytes; opened for each read, so that nothing stays open. */
export function fileBytes(path: string, bytes: number, fileSystem: FileSystem): VolumeBytes {
  return {
    bytes,
    async read(target, at) {
      const handle = await fileSystem.open(path, 'read')
      try {
        const got = await readFully(handle, target, at)
        if (got < target.length) throw volumeDamaged(path, 'it ends before its length')
      } finally {
        await handle.close()
      }
    },
  }
}

/**
 * Compares the content of a volume with its header.
 *
 * @throws ARCHIVE_VOLUME_DAMAGED
 */
export async function verifyVolume(
  source: VolumeBytes,
  header: VolumeHeader,
  context: { readonly name: string; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const { name, signal } = context
  if (source.bytes !== header.fileBytes) throw volumeDamaged(name, 'its length is another one')
  const hash = createHash('sha256')
  const begin = blocksAt(header.volumePages)
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  for (let at = begin; at < source.bytes; at += CHUNK_BYTES) {
    signal?.throwIfAborted()
    const part = chunk.subarray(0, Math.min(CHUNK_BYTES, source.bytes - at))
    await source.read(part, at)
    hash.update(part)
  }
  const table = Buffer.alloc(begin - VOLUME_HEADER_BYTES)
  await source.read(table, VOLUME_HEADER_BYTES)
  if (hash.update(table).digest('hex') !== header.sha256)
    throw volumeDamaged(name, 'it does not match its checksum')
}

/** Where each block of a volume stands in its file. */
export async function readBlockTable(
  source: VolumeBytes,
  header: VolumeHeader,
  name: string,
): Promise<readonly { readonly at: number; readonly bytes: number }[]> {
  const table = Buffer.alloc(4 * blockCount(header.pages))
  await source.read(table, VOLUME_HEADER_BYTES)
  const blocks = []
  let at = blocksAt(header.volumePages)
  for (let index = 0; index < table.length; index += 4) {
    const bytes = table.readUInt32LE(index)
    blocks.push({ at, bytes })
    at += bytes
  }
  if (at !== source.bytes) throw volumeDamaged(name, 'its blocks do not add up to its length')
  return blocks
}

/** The content of one block of a volume. */
export async function readBlock(
  source: VolumeBytes,
  block: { readonly at: number; readonly bytes: number; readonly contentBytes: number },
  name: string,
): Promise<Buffer> {
  const stored = Buffer.allocUnsafe(block.bytes)
  await source.read(stored, block.at)
  let content: Buffer
  try {
    content = await inflate(stored, { maxOutputLength: block.contentBytes })
  } catch (error) {
    throw volumeDamaged(name, 'a block of it cannot be decompressed', error)
  }
  if (content.length !== block.contentBytes) throw volumeDamaged(name, 'a block of it has another length')
  return content
}

/** Bytes of content in block `index` of a volume. */
export function blockContentBytes(header: VolumeHeader, index: number): number {
  return Math.min(VOLUME_BLOCK_BYTES, header.pages * VOLUME_PAGE_BYTES - index * VOLUME_BLOCK_BYTES)
}
