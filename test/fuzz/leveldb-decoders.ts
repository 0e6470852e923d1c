// The decoders of LevelDB's own files, which the engine reads without LevelDB.
import { parseManifest } from '@timberline/engine'
import { applyEdit, type ManifestFold } from '../../packages/engine/src/leveldb/leveldb-edit.ts'
import { parseLeveldbName, tableName } from '../../packages/engine/src/leveldb/leveldb-files.ts'
import { LeveldbLogScanner } from '../../packages/engine/src/leveldb/leveldb-log-scan.ts'
import { ManifestParser } from '../../packages/engine/src/leveldb/leveldb-manifest.ts'
import { BLOCK_BYTES } from '../../packages/engine/src/leveldb/leveldb-record.ts'
import { unpackSnappy } from '../../packages/engine/src/leveldb/leveldb-snappy.ts'
import { EntryHash } from '../../packages/engine/src/tables/digest-hash.ts'
import { checkTable, findInTable } from '../../packages/engine/src/leveldb/leveldb-table.ts'
import { VersionReader } from '../../packages/engine/src/leveldb/leveldb-version.ts'
import { APPLIED_KEY, decodeApplied, encodeApplied } from '../../packages/engine/src/reserved-keys.ts'
import { type MergeListener, mergeRuns } from '../../packages/engine/src/tables/table-merge.ts'
import { type OpenTable, TableRun } from '../../packages/engine/src/tables/table-run.ts'
import { repairManifest, repairTable } from './checksums.ts'
import { type Decoder, orRefused, packFiles, Refused, unpackFiles } from './decoder.ts'
import { leveldbFiles } from './leveldb-files.ts'
import { countedSource, filesInMemory } from './memory-files.ts'

/** The records of a MANIFEST in one block, without their headers. */
async function edits(): Promise<Buffer[]> {
  const { manifest } = await leveldbFiles()
  const found: Buffer[] = []
  for (let at = 0; at + 7 <= manifest.length;) {
    const end = at + 7 + manifest.readUInt16LE(at + 4)
    found.push(manifest.subarray(at + 7, end))
    at = end
  }
  return found
}

/** Snappy by hand: the length, a literal, a copy that overlaps itself, a copy with a far distance. */
const SNAPPY: readonly Buffer[] = [
  Buffer.from([11, 0x04, 0x61, 0x62, 0x15, 0x02]),
  Buffer.from([8, 0x1c, 1, 2, 3, 4, 5, 6, 7, 8]),
  Buffer.from([68, 0x0c, 9, 8, 7, 6, 0xfe, 4, 0]),
  Buffer.from([0]),
]

export const leveldbDecoders: readonly Decoder[] = [
  {
    name: 'leveldb-manifest',
    covers: ['engine/leveldb/leveldb-manifest.ts#parseManifest', 'engine/leveldb/leveldb-manifest.ts#parse'],
    codes: ['ENGINE_MANIFEST_DAMAGED'],
    seeds: async () => [(await leveldbFiles()).manifest],
    repair: repairManifest,
    decode: (input) => {
      const whole = parseManifest(input)
      // Read as it grows, it must come to the same version.
      const parser = new ManifestParser()
      for (let end = 0; end < input.length; end += 1 + (input.length >> 3))
        parser.parse(input.subarray(0, end))
      const grown = parser.parse(input)
      if (grown?.endBytes !== whole.endBytes || grown.tables.size !== whole.tables.size) {
        throw new Error('a MANIFEST read in parts is another than the whole')
      }
      return whole
    },
  },
  {
    name: 'leveldb-own-log',
    covers: [
      'engine/leveldb/leveldb-log-scan.ts#push',
      'engine/leveldb/leveldb-log-scan.ts##endRecord',
      'engine/leveldb/leveldb-record.ts#fragmentAt',
      'engine/leveldb/leveldb-record.ts#recordAt',
    ],
    codes: [],
    seeds: async () => [(await leveldbFiles()).log],
    repair: repairManifest,
    decode: (input) => {
      const scanner = new LeveldbLogScanner()
      for (let at = 0; at < input.length; at += BLOCK_BYTES)
        scanner.push(input.subarray(at, at + BLOCK_BYTES))
      const log = scanner.end()
      return log.tail === 'damaged' ? new Refused('damaged') : log
    },
  },
  {
    name: 'leveldb-edit',
    covers: [
      'engine/leveldb/leveldb-edit.ts#decodeEdit',
      'engine/leveldb/leveldb-edit.ts#decodeField',
      'engine/leveldb/leveldb-edit.ts#decodeDeleted',
      'engine/leveldb/leveldb-edit.ts#decodeAdded',
      'engine/leveldb/leveldb-edit.ts#decodeLevel',
      'engine/leveldb/leveldb-cursor.ts#varint',
    ],
    codes: [],
    seeds: edits,
    decode: (input) => {
      const fold: ManifestFold = {
        logNumber: undefined,
        nextFile: undefined,
        lastSequence: undefined,
        tables: new Map(),
      }
      return applyEdit(fold, input) ? fold : new Refused('no version edit')
    },
  },
  {
    name: 'leveldb-table',
    covers: [
      'engine/leveldb/leveldb-table.ts#decodeHandle',
      'engine/leveldb/leveldb-table.ts#decodeEntry',
      'engine/leveldb/leveldb-table.ts#readFooter',
      'engine/leveldb/leveldb-table.ts#readStored',
      'engine/leveldb/leveldb-table.ts#entriesOf',
      'engine/leveldb/leveldb-crc.ts#crc32c',
    ],
    codes: ['ENGINE_TABLE_DAMAGED'],
    seeds: async () => (await leveldbFiles()).tables,
    repair: repairTable,
    inputs: 900,
    decode: async (input) => {
      await checkTable(countedSource(input))
      const applied = await findInTable(countedSource(input), APPLIED_KEY)
      const first = await findInTable(countedSource(input), Buffer.from('key 0001'))
      return { applied, first }
    },
  },
  {
    name: 'leveldb-table-run',
    covers: [
      'engine/tables/table-run.ts##decode',
      'engine/tables/table-run.ts##varint',
      'engine/tables/table-run.ts##enter',
      'engine/leveldb/leveldb-table.ts#storedBlock',
      'engine/byte-copy.ts#copyBytes',
    ],
    codes: ['ENGINE_TABLE_DAMAGED'],
    seeds: async () => (await leveldbFiles()).tables,
    repair: repairTable,
    inputs: 900,
    // The hash's own buffer.
    allocationBytes: 256 * 1024,
    decode: async (input) => {
      const open = (): Promise<OpenTable> =>
        Promise.resolve({ ...countedSource(input), close: () => Promise.resolve() })
      const lengths = { entries: 0, keyBytes: 0, valueBytes: 0 }
      // The same table twice: each key is met again, so that the ages of its entries are compared too.
      const hash = new EntryHash()
      const onEntry: MergeListener['onEntry'] = (entry) => {
        hash.add(entry)
        lengths.entries += 1
        lengths.keyBytes += entry.keyBytes
        lengths.valueBytes += entry.valueBytes
      }
      const listeners = [Number.MAX_SAFE_INTEGER, 2].map((sequenceMax) => ({ sequenceMax, onEntry }))
      await mergeRuns([new TableRun([{ open }]), new TableRun([{ open }])], listeners)
      return { ...lengths, hex: (await hash.end()).hex }
    },
  },
  {
    name: 'leveldb-snappy',
    covers: ['engine/leveldb/leveldb-snappy.ts#unpackSnappy'],
    codes: [],
    seeds: () => SNAPPY,
    decode: (input) => orRefused(unpackSnappy(input, 1024 * 1024 * 1024)),
  },
  {
    name: 'leveldb-version',
    covers: ['engine/leveldb/leveldb-version.ts#read'],
    codes: ['ENGINE_MANIFEST_DAMAGED'],
    seeds: async () => {
      const { current, manifest } = await leveldbFiles()
      return [packFiles([current, manifest])]
    },
    repair: (input) => {
      const [, manifest = input] = unpackFiles(input, 2)
      repairManifest(manifest)
      return input
    },
    inputs: 300,
    decode: async (input) => {
      const [current = input, manifest = input] = unpackFiles(input, 2)
      const name = /MANIFEST-\d+/.exec((await leveldbFiles()).current.toString())?.[0] ?? ''
      const files = await filesInMemory({ '/data/CURRENT': current, [`/data/${name}`]: manifest })
      return orRefused(await new VersionReader('/data', files).read())
    },
  },
  {
    name: 'leveldb-name',
    covers: ['engine/leveldb/leveldb-files.ts#parseLeveldbName'],
    codes: [],
    shape: 'text',
    seeds: () =>
      [tableName(7), '000003.log', 'MANIFEST-000002', 'CURRENT', '000009.dbtmp'].map((name) =>
        Buffer.from(name),
      ),
    // Sixteen digits may be more than a safe integer; such a name is no name of LevelDB's that was ever written.
    anyNumber: true,
    decode: (input) => orRefused(parseLeveldbName(input.toString())),
  },
  {
    name: 'applied-position',
    covers: ['engine/reserved-keys.ts#decodeApplied'],
    codes: ['ENGINE_STATE_DAMAGED'],
    seeds: () => [encodeApplied({ lsn: 7, committedAtUs: 1_700_000_000_000_000 })],
    decode: (input) => decodeApplied(input),
    encode: encodeApplied,
  },
]
