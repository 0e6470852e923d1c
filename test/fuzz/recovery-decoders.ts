// What recovery and backup read: targets, labels, reports, and a backup folder as a whole.
import { createHash } from 'node:crypto'
import { encodeBackupManifest } from '@timberline/archive'
import { encodeCheckpoint, type Operation } from '@timberline/engine'
import { verifyBackup } from '@timberline/hotbackup'
import { checkedTarget, formatTarget, planHistory, type History, type Target } from '@timberline/recovery'
import { goldenFiles, IDENTITY } from '../../packages/wal/test/log-scenario.ts'
import { decodeDelta, type DeltaHeader, encodeDelta } from '../../packages/recovery/src/delta/delta-codec.ts'
import { readBackupFolder } from '../../packages/recovery/src/history/folder-history.ts'
import { decodeReport } from '../../packages/recovery/src/restore/report.ts'
import { decodeStandbyLabel } from '../../packages/recovery/src/standby/standby-label.ts'
import { readLabel } from '../../packages/recovery/src/restore/workplace.ts'
import { BACKUP_MANIFEST } from './archive-decoders.ts'
import { repairCheckpoint, repairDelta, repairSegment } from './checksums.ts'
import { type Decoder, packFiles, Refused, unpackFiles } from './decoder.ts'
import { filesInMemory } from './memory-files.ts'

const TIME_US = 1_700_000_000_000_000
const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

const CHECKPOINT = {
  format: 1,
  ...IDENTITY,
  lsn: 1,
  committedAtUs: TIME_US + 10,
  segmentNumber: 1,
  current: 'MANIFEST-000002\n',
  manifestName: 'MANIFEST-000002',
  manifestBase64: Buffer.from('manifest!').toString('base64'),
  tables: [],
  createdAtUs: TIME_US,
} as const

const HISTORY: History = {
  branches: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 15 }],
  spans: [
    {
      timeline: 1,
      segmentNumber: 1,
      firstLsn: 1,
      lastLsn: 20,
      firstCommittedAtUs: TIME_US + 1,
      lastCommittedAtUs: TIME_US + 20,
      bytes: 100,
      origin: { type: 'files', directory: '/log', path: '/log/x', last: true },
    },
  ],
  bases: [
    {
      label: 'full-1',
      timeline: 1,
      lsn: 5,
      committedAtUs: TIME_US + 5,
      bytes: 100,
      origin: { type: 'directory', directory: '/set', manifest: BACKUP_MANIFEST },
    },
  ],
  marks: [{ timeline: 1, name: 'release', lsn: 7, committedAtUs: TIME_US + 7 }],
  known: [{ timeline: 1, lsn: 20 }],
}

const DELTA: DeltaHeader = {
  environmentId: '0f'.repeat(16),
  timeline: 1,
  firstLsn: 1,
  lastLsn: 20,
  lastCommittedAtUs: TIME_US + 20,
}

async function deltaOf(...batches: readonly (readonly Operation[])[]): Promise<Buffer> {
  const made: Buffer[] = []
  for await (const chunk of encodeDelta(DELTA, chunksOf(batches))) made.push(chunk)
  return Buffer.concat(made)
}

async function* chunksOf<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  for (const item of items) yield await Promise.resolve(item)
}

/** A backup folder of four files that come from the input, under a manifest that has their sums. */
async function backupFolder(input: Buffer): Promise<Parameters<typeof readBackupFolder>> {
  const [identity = input, checkpoint = input, segment = input, last = input] = unpackFiles(input, 4)
  const files: Readonly<Record<string, Buffer>> = {
    'timberline.json': identity,
    'checkpoint/0000000000000001.json': checkpoint,
    'log/log.0000000001': segment,
    ...(last.length === 0 ? {} : { 'log/log.0000000002': last }),
  }
  const { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current } = CHECKPOINT
  const manifest = encodeBackupManifest({
    ...BACKUP_MANIFEST,
    ...IDENTITY,
    checkpoint: { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current },
    files: Object.entries(files).map(([name, content]) => ({
      name,
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
    })),
  })
  const all = { ...files, 'backup.json': manifest }
  const placed = Object.entries(all).map(([name, content]) => [`/set/${name}`, Buffer.from(content)])
  return ['/set', await filesInMemory(Object.fromEntries(placed) as Record<string, Buffer>)]
}

async function backupSeeds(): Promise<Buffer[]> {
  const identity = json({ format: 1, ...IDENTITY, createdAtUs: TIME_US })
  const { tiny, sealed, unsealed } = await goldenFiles()
  const checkpoint = encodeCheckpoint(CHECKPOINT)
  return [
    packFiles([identity, checkpoint, tiny]),
    packFiles([identity, checkpoint, sealed]),
    packFiles([identity, checkpoint, sealed, unsealed]),
  ]
}

function repairBackup(input: Buffer): Buffer {
  const [identity = input, checkpoint = input, ...segments] = unpackFiles(input, 4)
  const mended = segments.map((segment) => repairSegment(Buffer.from(segment)))
  return packFiles([identity, repairCheckpoint(checkpoint), ...mended])
}

export const recoveryDecoders: readonly Decoder[] = [
  {
    name: 'recovery-label',
    covers: ['recovery/restore/workplace.ts#readLabel'],
    codes: ['RECOVERY_TARGET_NOT_EMPTY'],
    shape: 'json',
    seeds: () => [
      json({ format: 1, phase: 'build', request: 'latest from /backups' }),
      json({ format: 1, phase: 'install', request: 'latest', report: { lsn: 7 } }),
    ],
    anyNumber: true,
    inputs: 400,
    decode: async (input) => readLabel('/home', await filesInMemory({ '/home/recovery.json': input })),
  },
  {
    name: 'standby-label',
    covers: ['recovery/standby/standby-label.ts#decodeStandbyLabel'],
    codes: ['RECOVERY_TARGET_NOT_EMPTY'],
    shape: 'json',
    seeds: () => {
      const label = { format: 1, environmentId: IDENTITY.environmentId }
      const aside = 'aside-20261126-051500'
      return [
        json({ ...label, phase: 'base', aside }),
        json({ ...label, phase: 'follow', timeline: 2, segmentNumber: 7 }),
      ]
    },
    inputs: 400,
    decode: (input) => decodeStandbyLabel(input, '/home/standby.json'),
  },
  {
    name: 'recovery-report',
    covers: ['recovery/restore/report.ts#decodeReport'],
    codes: ['RECOVERY_TARGET_NOT_EMPTY'],
    shape: 'json',
    seeds: () => [json({ lsn: 7, timeline: 2, proofs: [] })],
    anyNumber: true,
    decode: (input) => {
      let value: unknown
      try {
        value = JSON.parse(input.toString())
      } catch {
        return new Refused('no JSON')
      }
      return decodeReport(value)
    },
  },
  {
    name: 'recovery-target',
    covers: ['recovery/plan/target.ts#checkedTarget', 'recovery/plan/plan.ts#planHistory'],
    codes: ['RECOVERY_TARGET_INVALID'],
    shape: 'json',
    seeds: () =>
      [
        { type: 'latest' },
        { type: 'lsn', lsn: 7, edge: 'before' },
        { type: 'time', atUs: TIME_US + 7, edge: 'through' },
        { type: 'mark', name: 'release', edge: 'through' },
      ].map(json),
    anyNumber: true,
    decode: (input) => {
      let target: unknown
      try {
        // An application may well have its LSNs as big integers.
        target = JSON.parse(input.toString(), (_, value: unknown) =>
          Number.isSafeInteger(value) && input.length % 3 === 0 ? BigInt(value as number) : value,
        )
      } catch {
        return new Refused('no JSON')
      }
      if (typeof target !== 'object' || target === null) return new Refused('no object')
      const checked = checkedTarget(target as Target)
      return [formatTarget(checked), planHistory(HISTORY, checked)]
    },
  },
  {
    name: 'delta',
    covers: ['recovery/delta/delta-codec.ts#decodeDelta', 'recovery/delta/delta-codec.ts#decode'],
    codes: ['RECOVERY_DELTA_UNUSABLE'],
    seeds: async () => [
      await deltaOf(),
      await deltaOf([
        { type: 'put', key: Buffer.from('a'), value: Buffer.alloc(300, 'x') },
        { type: 'del', key: Buffer.from('b') },
        { type: 'put', key: Buffer.from('c'), value: Buffer.alloc(0) },
      ]),
    ],
    repair: repairDelta,
    decode: async (input) => {
      const operations: Operation[] = []
      const chunks = [input.subarray(0, 100), input.subarray(100)]
      for await (const batch of decodeDelta(chunksOf(chunks), DELTA)) operations.push(...batch)
      return operations
    },
  },
  {
    name: 'backup-folder',
    covers: [
      'recovery/history/folder-history.ts#readBackupFolder',
      'recovery/history/folder-history.ts#readLogFolder',
    ],
    codes: ['WAL_CORRUPT', 'ENGINE_HOME_DAMAGED'],
    rareCodes: [
      'WAL_FORMAT',
      'WAL_GAP',
      'WAL_FOREIGN',
      'WAL_INVALID',
      'RECOVERY_ENVIRONMENT_MISMATCH',
      'RECOVERY_SOURCE_MISSING',
    ],
    seeds: backupSeeds,
    repair: repairBackup,
    inputs: 250,
    allocationBytes: 2 * 1024 * 1024,
    decode: async (input) => {
      const { history, environmentId } = await readBackupFolder(...(await backupFolder(input)))
      return { environmentId, spans: history.spans, plan: planHistory(history, { type: 'latest' }) }
    },
  },
  {
    name: 'backup-verification',
    covers: ['hotbackup/verify-backup.ts#verifyBackup', 'hotbackup/verify-backup.ts#verifyCheckpoint'],
    codes: [],
    seeds: backupSeeds,
    repair: repairBackup,
    inputs: 250,
    // It copies in chunks of four megabytes.
    allocationBytes: 5 * 1024 * 1024,
    decode: async (input) => {
      const [directory, fileSystem] = await backupFolder(input)
      const findings = await verifyBackup(directory, { fileSystem })
      // The log of the seeds ends elsewhere than the manifest says; what else is found is a refusal of the input.
      const other = findings.map(({ code }) => code).filter((code) => code !== 'BACKUP_LOG_END')
      return other[0] === undefined ? findings : new Refused(other[0])
    },
  },
]
