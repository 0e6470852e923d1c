// What stands behind the blocks of a table: its filter, and the lists of places by which a reader finds everything.
import { crc32c, maskCrc } from '../leveldb/leveldb-crc.ts'
import { FOOTER_BYTES, MAGIC, TRAILER_BYTES } from '../leveldb/leveldb-table-layout.ts'
import type { BlockHandle } from '../leveldb/leveldb-table-layout.ts'
import { encodeVarint } from '../leveldb/leveldb-varint.ts'
import { FILTER_NAME } from './table-filter.ts'

/** A block and the last key in it. */
export interface IndexedBlock {
  readonly lastKey: Buffer
  readonly handle: BlockHandle
}

const PLAIN = Buffer.alloc(1)

/** The end of a table. @param position - the bytes of all blocks before it */
export function encodeTail(position: number, index: readonly IndexedBlock[], filter: Buffer): Buffer {
  const filterBlock = sealed([filter])
  const metaAt = position + filterBlock.length
  const named = { lastKey: Buffer.from(`filter.${FILTER_NAME}`), handle: handleOf(position, filterBlock) }
  const meta = handleBlock([named])
  const directory = handleBlock(index)
  const places = [handleOf(metaAt, meta), handleOf(metaAt + meta.length, directory)]
  const footer = Buffer.alloc(FOOTER_BYTES)
  Buffer.concat(places.map(encodeHandle)).copy(footer)
  footer.writeBigUInt64LE(MAGIC, FOOTER_BYTES - 8)
  return Buffer.concat([filterBlock, meta, directory, footer])
}

/** A block that is a list of places of blocks, each key whole, so that readers may begin at any. */
function handleBlock(entries: readonly IndexedBlock[]): Buffer {
  const parts: Buffer[] = []
  const restarts = Buffer.allocUnsafe(entries.length * 4 + 4)
  let at = 0
  for (const [place, { lastKey, handle }] of entries.entries()) {
    restarts.writeUInt32LE(at, place * 4)
    const value = encodeHandle(handle)
    const entry = [Buffer.from([0]), encodeVarint(lastKey.length), encodeVarint(value.length), lastKey, value]
    parts.push(...entry)
    for (const part of entry) at += part.length
  }
  restarts.writeUInt32LE(entries.length, entries.length * 4)
  return sealed([...parts, restarts])
}

/** Plain, and the checksum, which covers the byte that says so. */
function sealed(parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat([...parts, PLAIN])
  const sum = Buffer.allocUnsafe(4)
  sum.writeUInt32LE(maskCrc(crc32c(content)))
  return Buffer.concat([content, sum])
}

function handleOf(position: number, block: Buffer): BlockHandle {
  return { position, bytes: block.length - TRAILER_BYTES }
}

function encodeHandle({ position, bytes }: BlockHandle): Buffer {
  return Buffer.concat([encodeVarint(position), encodeVarint(bytes)])
}
