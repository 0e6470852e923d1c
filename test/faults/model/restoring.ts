/**
 * Recovery from the simulated archive: planned and carried out by the product, into a real folder in memory, because LevelDB
 * reads and writes its own files. Its result is a function of the archive, so the history stays repeatable.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  backupFileName,
  type BackupFile,
  createArchive,
  directoryStore,
} from '@timberline/archive'
import { homeLayout, openState } from '@timberline/engine'
import { planRecovery, recover, type RecoveryFrom, type Target } from '@timberline/recovery'
import { createHash } from 'node:crypto'
import type { Counts } from './counts.ts'
import { contentAt, digestOf, type Ending, endingOf, type Entry } from './history-model.ts'
import * as invariants from './invariants.ts'
import { ARCHIVE } from './machines.ts'
import { auditArchive, observer } from './shipping.ts'
import { IDENTITY, type World } from './world.ts'

/** A target as it is drawn; what it points at depends on what the archive holds when it is used. */
export interface DrawnTarget {
  readonly type: Target['type']
  /** Which record or mark, counted from the beginning, modulo what there is. */
  readonly at: number
  readonly edge: 'before' | 'through'
  /** Microseconds beside the record's commit time. */
  readonly shiftUs: -1 | 0 | 1
}

export function targetOf({ type, at, edge, shiftUs }: DrawnTarget, records: readonly Entry[]): Target {
  if (type === 'latest') return { type }
  if (type === 'mark') {
    const names = records.flatMap(({ kind, name }) => (kind === 'mark' && name !== undefined ? [name] : []))
    return { type, name: names[at % Math.max(1, names.length)] ?? 'of nobody', edge }
  }
  if (type === 'lsn') return { type, lsn: at % (records.length + 2), edge }
  const atUs = records[at % Math.max(1, records.length)]?.committedAtUs ?? 1_000_000
  return { type, atUs: atUs + shiftUs, edge }
}

export function textOfTarget({ type, at, edge, shiftUs }: DrawnTarget): string {
  if (type === 'latest') return 'latest'
  if (type === 'mark') return `${edge} mark ${at}`
  const shift = shiftUs === 0 ? '' : ` ${shiftUs > 0 ? '+' : '-'} 1 us`
  return type === 'lsn' ? `${edge} lsn ${at}` : `${edge} time of record ${at}${shift}`
}

/** Recovers, and compares the end, the content, the digest and the last transaction with the model. */
export async function restore(world: World, drawn: DrawnTarget): Promise<void> {
  const archived = await auditArchive(world)
  const target = targetOf(drawn, archived)
  const expected = endingOf(target, { records: archived, bases: [0] })
  const archive = await observer(world)
  const plan = planRecovery(await archive.catalogue(), target)
  const text = textOfTarget(drawn)
  if (!plan.possible) {
    invariants.endsAs(text, expected, { code: plan.code })
    world.counts.add('restores refused')
    return
  }
  if (plan.throughLsn !== undefined) invariants.endsAs(text, expected, { lsn: plan.throughLsn })
  const comparison = { from: { archive }, target, text, expected, records: archived, counts: world.counts }
  await world.scheduler.really(() =>
    inScratch((folder) => recoverAndCompare(join(folder, 'home'), { ...comparison, scratch: true })),
  )
}

/** A recovery, and what the model says of it. */
export interface Comparison {
  readonly from: RecoveryFrom
  readonly target: Target
  readonly text: string
  readonly expected: Ending
  /** The records that the source holds. */
  readonly records: readonly Entry[]
  readonly counts: Counts
  /** Whether the new timeline stays out of the archive. */
  readonly scratch: boolean
  /** The one to follow; default: the newest. */
  readonly timeline?: number
}

/** Recovers into a folder; resolves with the LSN reached, or with nothing when it was rightly refused. */
export async function recoverAndCompare(home: string, comparison: Comparison): Promise<number | undefined> {
  const { from, target, text, expected, records, counts, scratch, timeline } = comparison
  const chosen = timeline === undefined ? {} : { timeline }
  const result = await recover({ from, home, target, scratch, ...chosen }).then(
    ({ lsn, digest, lastApplied, deltas }) => ({ lsn, digest, lastApplied, deltas }),
    (error: unknown) => ({ code: invariants.codeOf(error) }),
  )
  invariants.endsAs(text, expected, result)
  if ('code' in result) {
    counts.add('restores refused')
    return undefined
  }
  counts.add('restores compared')
  const { lsn, digest, lastApplied, deltas } = result
  if (deltas !== undefined) counts.add('restores over deltas')
  const content = contentAt(records, lsn)
  invariants.contentIsExactly('the restore', content, await contentOf(home))
  const model = { lsn, hex: digestOf(content) }
  invariants.digestsAgree(lsn, { model, restore: digest ?? { lsn: -1, hex: 'none' } })
  const last = records[lsn - 1]
  // A base that is itself the target leaves nothing to replay, and so nothing to name.
  const isNamed = lastApplied === undefined || (lastApplied.lsn === lsn && lastApplied.meta === metaOf(last))
  invariants.hold(isNamed, 'the report must name the last transaction that is in', { lsn, lastApplied })
  return lsn
}

function metaOf(entry: Entry | undefined): number | undefined {
  return entry?.kind === 'entry' && entry.id !== 0 ? entry.id : undefined
}

/** The digest of a restore of everything, for the comparison with the living database. */
export async function latestDigest(world: World): Promise<{ readonly lsn: number; readonly hex: string }> {
  const archive = await observer(world)
  return world.scheduler.really(() =>
    inScratch(async (folder) => {
      const { digest } = await recover({ from: { archive }, home: join(folder, 'home'), scratch: true })
      return digest ?? { lsn: -1, hex: 'none' }
    }),
  )
}

/** A folder in memory, where the system has one: syncs on it prove nothing and cost nothing. */
export async function inScratch<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const prefix = 'timberline-model-'
  const folder = await mkdtemp(join('/dev/shm', prefix)).catch(() => mkdtemp(join(tmpdir(), prefix)))
  try {
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function contentOf(home: string): Promise<Map<string, string>> {
  const state = await openState(homeLayout(home).dataDirectory, { createIfMissing: false })
  try {
    const content = new Map<string, string>()
    for await (const [key, value] of state.level.iterator({ lt: Buffer.alloc(16, 0xff) })) {
      content.set(key.toString(), value.toString())
    }
    return content
  } finally {
    await state.close()
  }
}

interface EmptyBackup {
  readonly checkpoint: Parameters<Archive['addBackup']>[0]['checkpoint']
  readonly files: readonly { readonly name: string; readonly content: Buffer }[]
}

/** A checkpoint of a database in which nothing was ever written: what recovery starts from when the log is whole. */
export async function emptyBackup(): Promise<EmptyBackup> {
  return inScratch(async (folder) => {
    const layout = homeLayout(folder)
    const state = await openState(layout.dataDirectory, { createIfMissing: true })
    try {
      const { manifest } = await state.checkpoint({
        layout,
        identity: { format: 1, createdAtUs: 1, ...IDENTITY },
        segmentAfter: () => Promise.resolve(1),
      })
      const { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current } = manifest
      const files: { name: string; content: Buffer }[] = []
      for (const { name } of manifest.tables) {
        const content = await readFile(join(layout.tablesDirectory, name))
        files.push({ name: `checkpoint/tables/${name}`, content })
      }
      return {
        checkpoint: { lsn, committedAtUs, segmentNumber, manifestName, manifestBase64, current },
        files,
      }
    } finally {
      await state.close()
    }
  })
}

/** Gives the new archive its first backup. */
export async function addEmptyBackup(world: World, { checkpoint, files }: EmptyBackup): Promise<void> {
  const label = 'empty'
  const archive = await createArchive(directoryStore(ARCHIVE, world.archiveDisk), IDENTITY)
  const stored: BackupFile[] = []
  for (const { name, content } of files) {
    const object = backupFileName(label, name)
    await archive.putObject(object, content, { codec: 'none' })
    const sha256 = createHash('sha256').update(content).digest('hex')
    stored.push({ name, bytes: content.length, sha256, object })
  }
  await archive.addBackup({
    format: 1,
    label,
    ...IDENTITY,
    kind: 'full',
    checkpoint,
    beginLsn: 1,
    endLsn: 0,
    endCommittedAtUs: 0,
    files: stored,
    startedAtUs: 1,
    endedAtUs: 2,
    tool: 'model',
  })
}
