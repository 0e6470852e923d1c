// The decoders of a series of volumes: headers, whole volumes, the index of a call, names, and the home's record of its series.
import { createHash } from 'node:crypto'
import { crc32, gzipSync } from 'node:zlib'
import { decodeCallIndex, encodeCallIndex } from '../../packages/archive/src/volumes/call-index.ts'
import {
  blockContentBytes,
  readBlock,
  readBlockTable,
  verifyVolume,
  type VolumeBytes,
} from '../../packages/archive/src/volumes/volume-file.ts'
import {
  blocksAt,
  decodeVolumeHeader,
  encodeVolumeHeader,
  VOLUME_HEADER_BYTES,
  type VolumeHeader,
} from '../../packages/archive/src/volumes/volume-header.ts'
import { decodeLengths } from '../../packages/archive/src/volumes/parity.ts'
import { decodeParityHeader, encodeParityHeader } from '../../packages/archive/src/volumes/parity-header.ts'
import { parseVolumeName } from '../../packages/archive/src/volumes/volume-names.ts'
import { decodeSeriesRecord } from '../../packages/hotbackup/src/volumes/series-record.ts'
import { BACKUP_MANIFEST } from './archive-decoders.ts'
import { repairCheckedJson } from './checksums.ts'
import { type Decoder, orRefused } from './decoder.ts'

const NAME = 'z3.bp'
const INDEX_AT = 850_000
const HEADER: VolumeHeader = {
  seriesId: '00112233445566778899aabbccddeeff',
  volume: 3,
  call: 2,
  callFirstVolume: 2,
  isLastOfCall: true,
  volumePages: 300,
  parity: 4,
  firstPage: 101,
  pages: 150,
  indexAt: INDEX_AT,
  indexBytes: 700,
  fileBytes: 4000,
  sha256: 'ab'.repeat(32),
}

/** A volume of two blocks. */
function volume(): Buffer {
  const begin = blocksAt(HEADER.volumePages)
  const blocks = [128, 22].map((pages) => gzipSync(Buffer.alloc(pages * 8192, 'page ')))
  const table = Buffer.alloc(begin - VOLUME_HEADER_BYTES)
  for (const [index, block] of blocks.entries()) table.writeUInt32LE(block.length, 4 * index)
  const fileBytes = begin + Buffer.concat(blocks).length
  return repairVolume(Buffer.concat([encodeVolumeHeader({ ...HEADER, fileBytes }), table, ...blocks]))
}

function repairVolumeHeader(bytes: Buffer): Buffer {
  if (bytes.length >= VOLUME_HEADER_BYTES)
    bytes.writeUInt32LE(crc32(bytes.subarray(96, 128), crc32(bytes.subarray(0, 92))), 92)
  return bytes
}

/** Mends length and checksum too, by the documented offsets. */
function repairVolume(bytes: Buffer): Buffer {
  const begin = VOLUME_HEADER_BYTES + 4 * Math.ceil(HEADER.volumePages / 128)
  if (bytes.length < begin) return repairVolumeHeader(bytes)
  bytes.writeBigUInt64LE(BigInt(bytes.length), 80)
  const hash = createHash('sha256').update(bytes.subarray(begin)).update(bytes.subarray(128, begin))
  bytes.set(hash.digest(), 96)
  return repairVolumeHeader(bytes)
}

function inMemory(content: Buffer): VolumeBytes {
  return {
    bytes: content.length,
    read: (target, at) => {
      content.copy(target, 0, at, at + target.length)
      return Promise.resolve()
    },
  }
}

export const volumeDecoders: readonly Decoder[] = [
  {
    name: 'volume-header',
    covers: ['archive/volumes/volume-header.ts#decodeVolumeHeader'],
    codes: ['ARCHIVE_VOLUME_DAMAGED', 'ARCHIVE_FORMAT'],
    seeds: () => [
      encodeVolumeHeader(HEADER),
      encodeVolumeHeader({ ...HEADER, isLastOfCall: false, indexAt: 0, indexBytes: 0 }),
    ],
    repair: repairVolumeHeader,
    decode: (input) => decodeVolumeHeader(NAME, input),
  },
  {
    name: 'volume',
    covers: ['archive/volumes/volume-file.ts#readBlockTable'],
    codes: ['ARCHIVE_VOLUME_DAMAGED'],
    rareCodes: ['ARCHIVE_FORMAT'],
    seeds: () => [volume()],
    repair: repairVolume,
    inputs: 300,
    // It hashes in chunks of one megabyte, which is what one block may hold too.
    allocationBytes: 2 * 1024 * 1024,
    decode: async (input) => {
      const header = decodeVolumeHeader(NAME, input.subarray(0, VOLUME_HEADER_BYTES))
      const source = inMemory(input)
      await verifyVolume(source, header, { name: NAME })
      const lengths: number[] = []
      for (const [index, block] of (await readBlockTable(source, header, NAME)).entries()) {
        const contentBytes = blockContentBytes(header, index)
        lengths.push((await readBlock(source, { ...block, contentBytes }, NAME)).length)
      }
      return lengths
    },
  },
  {
    name: 'parity',
    covers: [
      'archive/volumes/parity-header.ts#decodeParityHeader',
      'archive/volumes/parity.ts#decodeLengths',
    ],
    codes: ['ARCHIVE_VOLUME_DAMAGED', 'ARCHIVE_FORMAT'],
    seeds: () => [
      Buffer.concat([
        encodeParityHeader({ ...HEADER, first: 2, last: 3, fileBytes: 5000 }),
        Buffer.from('4000000000000000d200000000000000', 'hex'),
      ]),
    ],
    repair: repairVolumeHeader,
    // Lengths are compared with that of the body before any is used.
    anyNumber: true,
    decode: (input) => [
      decodeParityHeader('z2-3.parity', input.subarray(0, VOLUME_HEADER_BYTES)),
      decodeLengths(input.subarray(VOLUME_HEADER_BYTES, input.length - (input.length % 8))),
    ],
  },
  {
    name: 'call-index',
    covers: ['archive/volumes/call-index.ts#decodeCallIndex'],
    codes: ['ARCHIVE_VOLUME_DAMAGED'],
    shape: 'json',
    seeds: () => [
      encodeCallIndex({
        call: 2,
        manifest: BACKUP_MANIFEST,
        extents: [
          [{ at: 0, bytes: 100 }],
          [
            { at: 8192, bytes: 300 },
            { at: 16_384, bytes: 100 },
          ],
        ],
      }),
    ],
    repair: repairCheckedJson,
    decode: (input) => decodeCallIndex(NAME, input, INDEX_AT),
  },
  {
    name: 'volume-name',
    covers: ['archive/volumes/volume-names.ts#parseVolumeName'],
    codes: [],
    shape: 'text',
    seeds: () =>
      ['z1.bp', 'z12.bp.77.part', 'z1-4.parity', 'z1-4.parity.77.part'].map((name) => Buffer.from(name)),
    decode: (input) => orRefused(parseVolumeName('z', input.toString())),
  },
  {
    name: 'series-record',
    covers: ['hotbackup/volumes/series-record.ts#decodeSeriesRecord'],
    codes: [],
    shape: 'json',
    seeds: () => [
      Buffer.from(
        JSON.stringify({
          format: 1,
          seriesId: '5e'.repeat(16),
          prefix: 'z',
          volumePages: 100,
          dirs: ['/a', '/b'],
          parity: 0,
          lastVolume: 3,
        }),
      ),
    ],
    decode: (input) => orRefused(decodeSeriesRecord(input)),
  },
]
