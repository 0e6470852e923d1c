import { join } from 'node:path'
import { nodeFileSystem, removeIfPresent } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { checkpointLsns, checkpointName, newestCheckpoint, writeCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import { linkVersion } from './checkpoint-tables.ts'
import type { LinkedVersion } from './checkpoint-tables.ts'
import type { StateDigest } from '../tables/digest.ts'
import { engineError } from '../errors.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { appliedInTables } from '../leveldb/leveldb-applied.ts'
import { flushConfirmed, readVersion, syncVersion } from '../leveldb/leveldb-flush.ts'
import type { Compactable } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'
import type { LeveldbVersion } from '../leveldb/leveldb-version.ts'
import type { AppliedPosition } from '../reserved-keys.ts'
import { inTurns, nextTurn } from '../turns.ts'

/** Written as text in one turn of the loop; a multiple of three, so that no piece is padded. */
const BASE64_BYTES = 3 * 256 * 1024

/** Options of {@link takeCheckpoint}. */
export interface TakeCheckpointOptions {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  /** The open LevelDB of the home; absent when nobody has it open: its tables are all there is. */
  readonly level?: Compactable
  /**
   * Called with the position that the tables hold, before the checkpoint appears: makes the log durable through it, and
   * resolves with the first segment needed to go on from there.
   */
  readonly segmentAfter: (position: AppliedPosition) => Promise<number>
  /** The checkpoint that this one replaces; default: read from the home. */
  readonly previous?: CheckpointManifest | undefined
  /** Tables that are linked already for another reason than the checkpoint before. */
  readonly linked?: readonly CheckpointTable[]
  /** Tables whose hashes somebody has proved already: those of this checkpoint among them need not be read for it. */
  readonly proved?: readonly CheckpointTable[]
  /** Kept from one checkpoint to the next, so that the MANIFEST is parsed once. */
  readonly reader?: VersionReader
  /** Goes into the manifest if it belongs to just the LSN that the checkpoint turns out to have. */
  readonly digest?: StateDigest
  /** Take one even when the newest already stands at the same LSN. */
  readonly evenIfUnchanged?: boolean
  readonly fileSystem?: FileSystem
  readonly now?: () => number
}

/** What a checkpoint cost and gave. */
export interface TakenCheckpoint {
  readonly manifest: CheckpointManifest
  /** False when the newest checkpoint already stood at this LSN. */
  readonly created: boolean
  readonly linkedCount: number
  readonly droppedCount: number
  readonly ms: number
}

/**
 * Takes a checkpoint: a confirmed flush, then hard links to exactly the tables of one version, then the manifest by one
 * atomic act, then the one before is dropped. Writers go on. What it costs follows what changed since the last one.
 *
 * Interrupted anywhere, the checkpoint before stands; links that no manifest names are swept later.
 *
 * @throws ENGINE_CHECKPOINT_UNCONFIRMED, ENGINE_CHECKPOINT_RESTLESS, ENGINE_TABLE_DAMAGED
 */
export async function takeCheckpoint(options: TakeCheckpointOptions): Promise<TakenCheckpoint> {
  const begunAtMs = performance.now()
  const { layout, fileSystem = nodeFileSystem } = options
  const reader = options.reader ?? new VersionReader(layout.dataDirectory, fileSystem)
  const place = { dataDirectory: layout.dataDirectory, tablesDirectory: layout.tablesDirectory, fileSystem }
  const previous = 'previous' in options ? options.previous : await newestCheckpoint(layout.home, fileSystem)
  const published = await tablesByNumber(previous, options.linked)
  const confirmed =
    options.level === undefined
      ? await readResting(reader, place)
      : await flushConfirmed(options.level, reader, place)
  const linked = await linkVersion(confirmed, reader, { ...place, published })
  // The confirmed version is durable; the linked one may be a later one.
  if (linked.tries > 1) await syncVersion(layout.dataDirectory, linked.found.manifestName, fileSystem)
  const position = await appliedInTables(
    linked.found.version.tables.values(),
    layout.tablesDirectory,
    fileSystem,
  )
  const elapsedMs = (): number => performance.now() - begunAtMs
  if (previous?.lsn === position.lsn && options.evenIfUnchanged !== true) {
    await dropTables(linked.tables, { keep: previous.tables, layout, fileSystem })
    return { manifest: previous, created: false, linkedCount: 0, droppedCount: 0, ms: elapsedMs() }
  }
  refuseBackward(previous, position)
  const manifest = await describe(linked, position, options)
  await writeCheckpoint(layout.home, manifest, fileSystem)
  const droppedCount = await dropOlder(manifest, previous?.tables ?? [], { layout, fileSystem })
  return { manifest, created: true, linkedCount: linked.linkedCount, droppedCount, ms: elapsedMs() }
}

/** The version of a folder that nobody has open, made durable. */
export async function readResting(
  reader: VersionReader,
  place: { readonly dataDirectory: string; readonly fileSystem: FileSystem },
): Promise<LeveldbVersion> {
  const { dataDirectory, fileSystem } = place
  const found = await readVersion(reader, dataDirectory)
  await syncVersion(dataDirectory, found.manifestName, fileSystem)
  return found
}

/** Its tables by their numbers, and others of the same numbering. */
export async function tablesByNumber(
  manifest: CheckpointManifest | undefined,
  others: readonly CheckpointTable[] = [],
): Promise<ReadonlyMap<number, CheckpointTable>> {
  const tables = new Map<number, CheckpointTable>()
  for (const list of [others, manifest?.tables ?? []]) {
    // Names in a manifest are those of tables: their number is what they begin with.
    await inTurns(list, (table) => tables.set(Number.parseInt(table.name, 10), table))
  }
  return tables
}

async function describe(
  linked: LinkedVersion,
  position: AppliedPosition,
  options: TakeCheckpointOptions,
): Promise<CheckpointManifest> {
  const { identity, digest } = options
  return {
    format: 1,
    environmentId: identity.environmentId,
    timeline: identity.timeline,
    lsn: position.lsn,
    committedAtUs: position.committedAtUs,
    segmentNumber: await options.segmentAfter(position),
    current: linked.found.current,
    manifestName: linked.found.manifestName,
    manifestBase64: await base64Of(linked.found.manifest),
    tables: withProved(linked.tables, options.proved),
    ...(digest?.lsn === position.lsn ? { digest } : {}),
    createdAtUs: options.now?.() ?? Date.now() * 1000,
  }
}

/** A number is never given to other content while the state is at rest, so that name and length tell a table. */
function withProved(
  tables: readonly CheckpointTable[],
  proved: readonly CheckpointTable[] | undefined,
): readonly CheckpointTable[] {
  if (proved === undefined) return tables
  const byName = new Map(proved.map((table) => [table.name, table]))
  return tables.map((table) => {
    const known = byName.get(table.name)
    return known?.bytes === table.bytes ? { ...table, ...known } : table
  })
}

/** As `toString('base64')`, which takes a millisecond for two megabytes. */
async function base64Of(bytes: Buffer): Promise<string> {
  let text = ''
  for (let at = 0; at < bytes.length; at += BASE64_BYTES) {
    text += bytes.toString('base64', at, at + BASE64_BYTES)
    await nextTurn()
  }
  return text
}

function refuseBackward(previous: CheckpointManifest | undefined, position: AppliedPosition): void {
  if (previous === undefined || previous.lsn <= position.lsn) return
  // The open of the home rebuilds a state that is behind its checkpoint, so this state lost something while it was open.
  throw engineError('ENGINE_STATE_DAMAGED', 'the state is behind its own checkpoint', {
    details: { lsn: position.lsn, checkpointLsn: previous.lsn },
  })
}

/** The switch is done; what only older checkpoints held goes. */
async function dropOlder(
  manifest: CheckpointManifest,
  previousTables: readonly CheckpointTable[],
  place: { layout: HomeLayout; fileSystem: FileSystem },
): Promise<number> {
  const { layout, fileSystem } = place
  for (const lsn of await checkpointLsns(layout.home, fileSystem)) {
    if (lsn === manifest.lsn) continue
    await removeIfPresent(join(layout.checkpointDirectory, checkpointName(lsn)), fileSystem)
  }
  // No older manifest can come back after a power cut and miss the tables that go next.
  await fileSystem.syncDirectory(layout.checkpointDirectory)
  return dropTables(previousTables, { keep: manifest.tables, layout, fileSystem })
}

async function dropTables(
  tables: readonly CheckpointTable[],
  place: { keep: readonly CheckpointTable[]; layout: HomeLayout; fileSystem: FileSystem },
): Promise<number> {
  const keep = new Set<string>()
  await inTurns(place.keep, ({ name }) => keep.add(name))
  const gone: string[] = []
  await inTurns(tables, ({ name }) => {
    if (!keep.has(name)) gone.push(name)
  })
  let dropped = 0
  for (const name of gone) {
    const path = join(place.layout.tablesDirectory, name)
    if (await removeIfPresent(path, place.fileSystem)) dropped += 1
  }
  return dropped
}
