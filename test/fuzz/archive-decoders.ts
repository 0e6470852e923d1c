// The decoders of an archive: objects, checked JSON, the journal and what it folds into, names and addresses.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  decodeBackupManifest,
  encodeBackupManifest,
  memoryStore,
  nativeGzip,
  openArchive,
  openStore,
  parseIdentityFile,
  portableGzip,
  type BackupManifest,
  type GzipCodec,
  type JournalEntry,
} from '@timberline/archive'
import { planRecovery, type Target } from '@timberline/recovery'
import {
  decodeJournalEntry,
  encodeJournalEntry,
  type CatalogueEvent,
} from '../../packages/archive/src/catalogue/catalogue-event.ts'
import { CatalogueFold } from '../../packages/archive/src/catalogue/catalogue-fold.ts'
import { decodeJournalPage, type JournalPage } from '../../packages/archive/src/catalogue/journal-pages.ts'
import { decodeCheckedJson, encodeCheckedJson } from '../../packages/archive/src/objects/checked-json.ts'
import { checkedName } from '../../packages/archive/src/stores/archive-store.ts'
import { type S3Address, s3AddressOf } from '../../packages/archive/src/stores/s3-address.ts'
import {
  backupFileName,
  bundleName,
  journalName,
  pageName,
  parseBackupLabel,
  parseBundleName,
  parseJournalName,
  parsePageName,
  parsePieceName,
  parseSegmentObjectName,
  segmentObjectName,
  pieceName,
} from '../../packages/archive/src/layout.ts'
import { Keyring } from '../../packages/archive/src/objects/keyring.ts'
import { decodeObject, encodeObject } from '../../packages/archive/src/objects/object-codec.ts'
import { decodeParts, encodePart } from '../../packages/archive/src/objects/piece-parts.ts'
import { decodeEnvelope, encodeEnvelope } from '../../packages/archive/src/objects/object-envelope.ts'
import { repairCheckedJson, repairEnvelope, repairPlainObject } from './checksums.ts'
import { type Decoder, orRefused, packFiles, Refused, unpackFiles } from './decoder.ts'

const ENVIRONMENT_ID = '00112233445566778899aabbccddeeff'
const TIME_US = 1_700_000_000_000_000
const NAME = 'segment/00000001/0000000001-00'
const CONTENT = Buffer.alloc(3000, 'some content, which can be packed ')
const SHA256 = 'ab'.repeat(32)
const PIECE = {
  timeline: 1,
  segmentNumber: 3,
  position: 0,
  endPosition: 4096,
  epoch: 1,
  firstLsn: 21,
  lastLsn: 30,
  lastCommittedAtUs: TIME_US + 30,
}

const BUNDLE = { timeline: 1, segmentNumber: 3, epoch: 1, number: 2 }

export const BACKUP_MANIFEST: BackupManifest = {
  format: 1,
  label: 'full-1',
  environmentId: ENVIRONMENT_ID,
  timeline: 1,
  kind: 'full',
  checkpoint: {
    lsn: 5,
    committedAtUs: TIME_US,
    segmentNumber: 1,
    manifestName: 'MANIFEST-000002',
    manifestBase64: Buffer.from('manifest!').toString('base64'),
    current: 'MANIFEST-000002\n',
  },
  beginLsn: 1,
  endLsn: 10,
  endCommittedAtUs: TIME_US + 10,
  files: [
    { name: 'checkpoint/tables/000005.ldb', bytes: 100, sha256: SHA256, object: 'backup/full-1/x' },
    { name: 'log/log.0000000001', bytes: 400, sha256: SHA256 },
  ],
  digest: { algorithm: 'sha256', lsn: 5, entries: 3, bytes: 30, hex: SHA256 },
  startedAtUs: TIME_US,
  endedAtUs: TIME_US + 1000,
  tool: 'timberline 0.1.0',
}

const segmentEvent = (segmentNumber: number, firstLsn: number): CatalogueEvent => ({
  type: 'segment.archived',
  epoch: 1,
  segment: {
    timeline: 1,
    segmentNumber,
    firstLsn,
    lastLsn: firstLsn + 9,
    firstCommittedAtUs: TIME_US + firstLsn,
    lastCommittedAtUs: TIME_US + firstLsn + 9,
    bytes: 4096,
    sha256: SHA256,
    storedBytes: 1000,
    headerChecksum: 1,
    sealChecksum: 2,
    marks: [{ name: 'release', lsn: firstLsn + 3, committedAtUs: TIME_US + firstLsn + 3 }],
    name: `segment/${String(segmentNumber)}`,
  },
})

/** Events of each kind, in an order that the fold accepts. */
const EVENTS: readonly CatalogueEvent[] = [
  { type: 'timeline.begun', timeline: 1 },
  { type: 'owner.claimed', epoch: 1, ownerId: '0f'.repeat(16), description: 'a shipper', timeline: 1 },
  {
    type: 'backup.added',
    backup: {
      label: 'full-1',
      timeline: 1,
      kind: 'full',
      lsn: 5,
      committedAtUs: TIME_US + 5,
      beginLsn: 1,
      endLsn: 8,
      endCommittedAtUs: TIME_US + 8,
      bytes: 500,
      name: 'backup/full-1/manifest.json',
      manifestSha256: SHA256,
    },
  },
  segmentEvent(1, 1),
  segmentEvent(2, 11),
  { type: 'mark.noted', epoch: 1, mark: { timeline: 1, name: 'soon', lsn: 25, committedAtUs: TIME_US + 25 } },
  { type: 'owner.adopted', epoch: 1, segmentNumber: 3, endPosition: 0 },
  { type: 'timeline.begun', timeline: 2, parent: 1, forkLsn: 15 },
  { type: 'timeline.ended', epoch: 1, timeline: 1, lsn: 28, successor: 3 },
  {
    type: 'delta.added',
    delta: {
      timeline: 1,
      firstSegmentNumber: 1,
      lastSegmentNumber: 2,
      firstLsn: 1,
      lastLsn: 20,
      lastCommittedAtUs: TIME_US + 20,
      entries: 2,
      bytes: 200,
      sha256: SHA256,
      storedBytes: 150,
      name: 'delta/1-20',
    },
  },
  { type: 'delta.declined', declined: { timeline: 1, firstLsn: 1, lastLsn: 10, reason: 'size' } },
  { type: 'delta.removed', name: 'delta/0-0' },
  { type: 'promise.made', promise: { instantsUs: 1000, bases: [{ everyUs: 10, spanUs: 100 }] } },
  {
    type: 'retention.decided',
    decision: {
      backups: ['full-1'],
      segments: [{ timeline: 1, fromSegment: 1, throughSegment: 1 }],
      timelines: [2],
    },
  },
  { type: 'retention.finished', throughSequence: 10 },
  {
    type: 'recovery.proved',
    proof: {
      timeline: 1,
      lsn: 20,
      committedAtUs: TIME_US + 20,
      provedAtUs: TIME_US + 30,
      totalUs: 12_500,
      restoreUs: 5000,
      replayUs: 2500,
      baseBytes: 500,
      logBytes: 4096,
      records: 12,
    },
  },
  { type: 'recipients.set', recipients: ['age1cy0su9fwf3gf9mw868g5yut09p6nytfmmnktexz2ya5uqg9vl9sss4euqm'] },
]

const TARGETS: readonly Target[] = [
  { type: 'latest' },
  { type: 'lsn', lsn: 12, edge: 'through' },
  { type: 'lsn', lsn: 22, edge: 'before' },
  { type: 'time', atUs: TIME_US + 14, edge: 'before' },
  { type: 'time', atUs: TIME_US + 16, edge: 'through' },
  { type: 'mark', name: 'release', edge: 'through' },
]

const entryOf = (event: CatalogueEvent, sequence: number): JournalEntry => ({
  format: 1,
  sequence,
  environmentId: ENVIRONMENT_ID,
  writerId: '1e'.repeat(16),
  atUs: TIME_US + sequence,
  event,
})

const JOURNAL = EVENTS.map((event, index) => entryOf(event, index + 1))

async function* inChunks(content: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += bytes) yield content.subarray(at, at + bytes)
}

/** Of an archive that age itself encrypted: made anew, an input would not be the same for the same seed. */
function goldenFile(name: string): Buffer {
  return readFileSync(new URL(`../../packages/archive/test/golden/v1-encrypted/${name}`, import.meta.url))
}

async function objectSeeds(gzip: GzipCodec): Promise<Buffer[]> {
  const made: Buffer[] = []
  for (const content of [CONTENT, Buffer.alloc(0)]) {
    for (const codec of ['gzip', 'none'] as const) {
      const sha256 = createHash('sha256').update(content).digest('hex')
      const source = { read: () => inChunks(content, 1000) }
      const envelope = { codec, bytes: content.length, sha256 }
      const chunks: Uint8Array[] = []
      for await (const chunk of encodeObject(NAME, { envelope, source }, gzip)) chunks.push(chunk)
      made.push(Buffer.concat(chunks))
    }
  }
  return made
}

/** Streams an object to its end; what passes may be more than is held, as long as it is not held. */
async function contentOf(input: Buffer, gzip: GzipCodec): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of decodeObject(NAME, inChunks(input, 700), { gzip })) {
    if (chunk.length > CHUNK_BYTES_MAX) throw new Error(`one chunk has ${String(chunk.length)} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The longest chunk that a decoder may make at once: what 16 KiB of gzip can inflate to. */
const CHUNK_BYTES_MAX = 17 * 1024 * 1024

function written(entry: Readonly<Record<string, unknown>>): Buffer | undefined {
  try {
    return encodeCheckedJson(entry)
  } catch {
    // JSON.stringify recurses, JSON.parse does not: what was read may be too deep to be written.
    return undefined
  }
}

/** All plans over a catalogue: each is a plan or a gap, whatever the catalogue says. */
function plansOver(fold: CatalogueFold): unknown {
  const pieces = [
    { ...PIECE, name: pieceName(PIECE), storedBytes: 10 },
    { ...PIECE, position: 4096, endPosition: 8192, firstLsn: 31, lastLsn: 40, name: 'x', storedBytes: 10 },
  ]
  const identity = { format: 1, environmentId: ENVIRONMENT_ID, createdAtUs: TIME_US } as const
  const catalogue = fold.catalogue(identity, pieces)
  return TARGETS.flatMap((target) => [
    planRecovery(catalogue, target).possible,
    ...catalogue.timelines.map(({ timeline }) => planRecovery(catalogue, target, { timeline }).possible),
  ])
}

export const archiveDecoders: readonly Decoder[] = [
  {
    name: 'checked-json',
    covers: ['archive/objects/checked-json.ts#decodeCheckedJson'],
    codes: [],
    shape: 'json',
    seeds: () => [encodeCheckedJson({ a: 1, b: [{ c: 'd' }] }), encodeCheckedJson({ one: null })],
    repair: repairCheckedJson,
    anyNumber: true,
    decode: (input) => {
      const decoded = decodeCheckedJson(input)
      return decoded.type === 'whole' ? decoded : new Refused(decoded.reason.slice(0, 12))
    },
  },
  {
    name: 'backup-manifest',
    covers: ['archive/catalogue/backup-manifest.ts#decodeBackupManifest'],
    codes: ['ARCHIVE_MANIFEST_DAMAGED'],
    shape: 'json',
    seeds: () => [encodeBackupManifest(BACKUP_MANIFEST)],
    repair: repairCheckedJson,
    decode: (input) => decodeBackupManifest(input),
    encode: encodeBackupManifest,
  },
  {
    name: 'journal-entry',
    covers: [
      'archive/catalogue/catalogue-event.ts#decodeJournalEntry',
      'archive/catalogue/catalogue-index.ts##decode',
    ],
    codes: ['ARCHIVE_JOURNAL_DAMAGED'],
    shape: 'json',
    seeds: () => EVENTS.map((event) => encodeJournalEntry(entryOf(event, 1))),
    repair: repairCheckedJson,
    decode: (input) => decodeJournalEntry(input, { sequence: 1, environmentId: ENVIRONMENT_ID }),
    encode: encodeJournalEntry,
  },
  {
    name: 'journal-page',
    covers: [
      'archive/catalogue/journal-pages.ts#decodeJournalPage',
      'archive/catalogue/journal-pages.ts#entriesAfter',
    ],
    codes: ['ARCHIVE_JOURNAL_DAMAGED'],
    seeds: () => [Buffer.concat(JOURNAL.slice(0, 3).map(encodeJournalEntry))],
    decode: (input) =>
      decodeJournalPage(input, { fromSequence: 1, throughSequence: 3, environmentId: ENVIRONMENT_ID }),
    encode: (entries: readonly JournalEntry[]) => Buffer.concat(entries.map(encodeJournalEntry)),
  },
  {
    name: 'catalogue',
    covers: ['archive/catalogue/catalogue-fold.ts#apply', 'recovery/plan/catalogue-history.ts#planRecovery'],
    codes: ['ARCHIVE_JOURNAL_DAMAGED'],
    shape: 'json',
    seeds: () => [Buffer.from(JSON.stringify(JOURNAL)), Buffer.from(JSON.stringify(JOURNAL.slice(0, 6)))],
    inputs: 700,
    decode: (input) => {
      let entries: unknown
      try {
        entries = JSON.parse(input.toString())
      } catch {
        return new Refused('no JSON')
      }
      if (!Array.isArray(entries)) return new Refused('no list')
      const fold = new CatalogueFold()
      for (const [index, entry] of entries.slice(0, 50).entries()) {
        if (typeof entry !== 'object' || entry === null) return new Refused('no entry')
        const content = written({ ...(entry as object), sequence: index + 1 })
        if (content === undefined) return new Refused('too deep to be written')
        fold.apply(decodeJournalEntry(content, { sequence: index + 1, environmentId: ENVIRONMENT_ID }))
      }
      return plansOver(fold)
    },
  },
  {
    name: 'archive',
    covers: ['archive/archive.ts#readIdentity', 'archive/catalogue/journal.ts#entries'],
    codes: ['ARCHIVE_OBJECT_DAMAGED', 'ARCHIVE_JOURNAL_DAMAGED'],
    rareCodes: ['ARCHIVE_FORMAT'],
    seeds: () => {
      const identity = encodeCheckedJson({ format: 1, environmentId: ENVIRONMENT_ID, createdAtUs: TIME_US })
      return [packFiles([identity, ...JOURNAL.slice(0, 3).map(encodeJournalEntry)])]
    },
    repair: (input) => packFiles(unpackFiles(input, 4).map(repairCheckedJson)),
    inputs: 500,
    decode: async (input) => {
      const [identity = input, ...entries] = unpackFiles(input, 4)
      const store = memoryStore()
      await store.put('archive.json', identity)
      for (const [index, entry] of entries.entries()) await store.put(journalName(index + 1), entry)
      const archive = await openArchive(store)
      return archive.catalogue()
    },
  },
  {
    name: 'object-envelope',
    covers: ['archive/objects/object-envelope.ts#decodeEnvelope'],
    codes: ['ARCHIVE_OBJECT_DAMAGED', 'ARCHIVE_FORMAT'],
    seeds: () => [encodeEnvelope(NAME, { codec: 'gzip', bytes: 7, sha256: SHA256 })],
    repair: (input) => repairEnvelope(input, NAME),
    decode: (input) => decodeEnvelope(NAME, input),
    encode: (value: Parameters<typeof encodeEnvelope>[1]) => encodeEnvelope(NAME, value),
  },
  ...(
    [
      ['object', nativeGzip],
      ['object-portable', portableGzip],
    ] as const
  ).map(([name, gzip]): Decoder => ({
    name,
    covers: [
      'archive/objects/object-codec.ts#decodeObject',
      `archive/objects/${gzip.name === 'nativeGzip' ? 'native' : 'portable'}-gzip.ts#decompress`,
    ],
    codes: ['ARCHIVE_OBJECT_DAMAGED', 'ARCHIVE_FORMAT'],
    seeds: () => objectSeeds(gzip()),
    repair: (input) => repairPlainObject(input, NAME),
    inputs: 250,
    allocationBytes: 1024 * 1024,
    decode: (input) => contentOf(input, gzip()),
  })),
  {
    name: 'encrypted-object',
    covers: ['archive/objects/keyring.ts#open'],
    codes: ['ARCHIVE_OBJECT_DAMAGED', 'ARCHIVE_KEY_WRONG'],
    rareCodes: ['ARCHIVE_FORMAT'],
    // What is encrypted cannot be mended after damage; what is in the clear passes through the same door.
    seeds: async () => [goldenFile('file/greeting'), ...(await objectSeeds(nativeGzip()))],
    repair: (input) => (input.toString('latin1', 0, 3) === 'age' ? input : repairPlainObject(input, NAME)),
    inputs: 400,
    allocationBytes: 1024 * 1024,
    decode: async (input) => {
      const book = { current: async () => [], all: async () => [] }
      const identities = parseIdentityFile(goldenFile('identity.txt').toString())
      const name = input.toString('latin1', 0, 3) === 'age' ? 'file/greeting' : NAME
      const stored = new Keyring(memoryStore(), book, { identities }).open(name, inChunks(input, 70))
      const chunks: Uint8Array[] = []
      for await (const chunk of decodeObject(name, stored, { gzip: nativeGzip() })) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
  },
  {
    name: 'identity-file',
    covers: ['archive/objects/identity-file.ts#parseIdentityFile'],
    codes: ['ARCHIVE_KEY_INVALID'],
    shape: 'text',
    seeds: () => [goldenFile('identity.txt')],
    decode: (input) => parseIdentityFile(input.toString()),
  },
  {
    name: 'piece-name',
    covers: ['archive/layout.ts#parsePieceName'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(pieceName(PIECE))],
    decode: (input) => orRefused(parsePieceName({ name: input.toString(), bytes: 10 })),
    encode: (value: typeof PIECE) => Buffer.from(pieceName(value)),
  },
  {
    name: 'bundle-name',
    covers: ['archive/layout.ts#parseBundleName'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(bundleName(BUNDLE))],
    decode: (input) => orRefused(parseBundleName(input.toString())),
    encode: (value: typeof BUNDLE) => Buffer.from(bundleName(value)),
  },
  {
    name: 'bundle',
    covers: ['archive/objects/piece-parts.ts#decodeParts'],
    codes: [],
    seeds: () => {
      const first = encodePart(pieceName(PIECE), 0, Buffer.alloc(300, 'an object'))
      const second = encodePart(pieceName(PIECE), first.length, Buffer.alloc(10, 'another'))
      return [Buffer.concat([first, second, Buffer.alloc(200)]), first]
    },
    takesAnything: true,
    decode: (input) => decodeParts(input, 0),
  },
  {
    name: 'segment-object-name',
    covers: ['archive/layout.ts#parseSegmentObjectName'],
    codes: [],
    shape: 'text',
    seeds: () => [
      Buffer.from(segmentObjectName({ timeline: 1, segmentNumber: 17, sha256: 'ab'.repeat(32) })),
    ],
    decode: (input) => orRefused(parseSegmentObjectName(input.toString())),
  },
  {
    name: 'backup-object-name',
    covers: ['archive/layout.ts#parseBackupLabel'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(backupFileName('20261124-190507F', 'checkpoint/tables/000005.ldb'))],
    decode: (input) => {
      const label = parseBackupLabel(input.toString())
      return orRefused(label === undefined ? undefined : { label })
    },
  },
  {
    name: 'journal-name',
    covers: ['archive/layout.ts#parseJournalName'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(journalName(7))],
    // Sixteen digits may be more than a safe integer; the journal takes it for a hole, because it is not the next number.
    anyNumber: true,
    decode: (input) => orRefused(parseJournalName(input.toString())),
  },
  {
    name: 'page-name',
    covers: ['archive/layout.ts#parsePageName'],
    codes: [],
    shape: 'text',
    seeds: () => [Buffer.from(pageName(1, 128))],
    decode: (input) => orRefused(parsePageName(input.toString())),
    encode: (page: JournalPage) => Buffer.from(pageName(page.fromSequence, page.throughSequence)),
  },
  {
    name: 'object-name',
    covers: ['archive/stores/archive-store.ts#checkedName'],
    codes: ['ARCHIVE_NAME_INVALID'],
    shape: 'text',
    seeds: () => [Buffer.from(NAME), Buffer.from('a')],
    decode: (input) => ({ name: checkedName(input.toString()) }),
  },
  {
    name: 's3-address',
    covers: ['archive/stores/s3-address.ts#s3AddressOf'],
    codes: ['ARCHIVE_URL_UNKNOWN'],
    shape: 'text',
    seeds: () =>
      [
        's3://bucket',
        's3://bucket/a/prefix?region=eu-central-1',
        's3://bucket/p?endpoint=http://127.0.0.1:7480&path-style=false',
      ].map((url) => Buffer.from(url)),
    decode: (input) => s3AddressOf(input.toString()),
    complaint: ({ bucket, keyPrefix, endpoint, region }: S3Address) => {
      // What stands in an address ends in hosts, paths and headers of requests.
      if (/[^a-z0-9._-]/.test(bucket)) return 'a bucket that no host name can hold'
      if (keyPrefix !== '' && !/^[A-Za-z0-9._/-]+\/$/.test(keyPrefix)) return 'a prefix that is none'
      if (endpoint !== undefined && !/^https?:/i.test(endpoint.trim())) return 'an endpoint of another kind'
      return region !== undefined && /[^a-z0-9-]/.test(region) ? 'a region that is none' : undefined
    },
  },
  {
    name: 'store-address',
    covers: ['archive/stores/open-store.ts#openStore'],
    codes: ['ARCHIVE_URL_UNKNOWN'],
    shape: 'text',
    seeds: () =>
      ['/backups/app', 'dir:/backups/app', 'file:///backups/app', 'C:/x'].map((url) => Buffer.from(url)),
    decode: (input) => ({ url: openStore(input.toString()).url }),
  },
]
