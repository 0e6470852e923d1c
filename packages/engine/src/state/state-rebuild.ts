/**
 * `data/` made anew from a checkpoint. The old folder stays in place until the new one is whole and durable; then two
 * renames switch them. Between the two there is no `data/`, and the next open does the same again.
 */
import { join } from 'node:path'
import { parseSegmentName, removeIfPresent, segmentName } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { checkpointLsns, checkpointName, readCheckpoint } from '../checkpoint/checkpoint-manifest.ts'
import type { CheckpointManifest } from '../checkpoint/checkpoint-manifest.ts'
import { writeDataFromCheckpoint } from '../checkpoint/checkpoint-restore.ts'
import { codeOf, engineError } from '../errors.ts'
import type { HomeIdentity } from '../home/home-identity.ts'
import type { HomeLayout } from '../home/home-layout.ts'

/** Why `data/` was rebuilt. */
export type RebuildReason =
  /** There was none, or it had lost its CURRENT. */
  | 'missing'
  /** LevelDB refused to open it. */
  | 'unopenable'
  /** It opened, and then could not be read, or a table was not what its checksum says. */
  | 'damaged'
  /** It held transactions beyond the end of the log: they were never durable. */
  | 'ahead'
  /** It was older than the newest checkpoint: a power cut took LevelDB's last CURRENT back. */
  | 'behind'
  /** It held half of a bulk load that never came to its end. */
  | 'half-loaded'
  /** A bulk load was decided, and no checkpoint held it yet. */
  | 'loaded'

/** What a rebuild needs to know. */
export interface RebuildOptions {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly fileSystem: FileSystem
  /** The first LSN that the log still has. */
  readonly firstLsn: number
  /** The last one that it has. */
  readonly lastLsn: number
  readonly reason: RebuildReason
  /** What to rebuild from; default: the newest checkpoint that is whole. */
  readonly from?: CheckpointManifest | undefined
}

/** What the new `data/` was made of. */
export interface Rebuilt {
  /** `undefined`: of nothing, the log has everything. */
  readonly from: CheckpointManifest | undefined
  /** Where the old folder was kept, if it held what the log does not. */
  readonly keptAt?: string
}

/** What is going to be `data/`, and what it was. */
const REBUILDING = 'data.rebuilding'
const REPLACED = 'data.replaced'

/** Systems without hard links, and file systems that end at the folder. */
const NO_LINKS: ReadonlySet<string> = new Set(['EXDEV', 'EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'])

/**
 * Replaces `data/` by the newest checkpoint that is whole, every table verified, or by nothing when the log begins at the
 * first transaction of an environment that began empty. Never silently empty.
 *
 * @throws ENGINE_STATE_LOST when neither is to be had
 */
export async function rebuildData(options: RebuildOptions): Promise<Rebuilt> {
  const { layout, fileSystem } = options
  const fresh = join(layout.home, REBUILDING)
  const { from, problems } = await (options.from === undefined
    ? restoreNewest(options, fresh)
    : restoreGiven(options.from, options, fresh))
  if (from === undefined && !(options.firstLsn === 1 && options.identity.adoptedAtUs === undefined)) {
    const missingLog = await logBefore(layout.logDirectory, fileSystem)
    throw engineError('ENGINE_STATE_LOST', 'the data folder cannot be rebuilt', {
      details: {
        home: layout.home,
        reason: options.reason,
        firstLsn: options.firstLsn,
        missingLog,
        problems,
      },
    })
  }
  // What the log does not have may be all that is left of somebody's work, so it is kept; the rest is in log and checkpoint.
  const keptAt = await switchData(options, from === undefined ? undefined : fresh)
  await forgetOtherCheckpoints(layout, from, fileSystem)
  return { from, ...(keptAt === undefined ? {} : { keptAt }) }
}

/** The log files that would have to be there as well, by name; `undefined` when the first one is. */
async function logBefore(logDirectory: string, fileSystem: FileSystem): Promise<string | undefined> {
  const numbers = (await fileSystem.list(logDirectory)).map((name) => parseSegmentName(name) ?? Infinity)
  const first = numbers.reduce((least, number) => Math.min(least, number), Infinity)
  if (first === 1 || first === Infinity) return undefined
  return first === 2 ? segmentName(1) : `${segmentName(1)} to ${segmentName(first - 1)}`
}

/** Removes what rebuilds left that were cut short; only once the data they were to replace is sound again. */
export async function sweepRebuilds(layout: HomeLayout, fileSystem: FileSystem): Promise<void> {
  for (const name of [REBUILDING, REPLACED]) {
    const path = join(layout.home, name)
    if ((await fileSystem.status(path)) !== undefined) await fileSystem.removeTree(path)
  }
}

async function restoreNewest(
  options: RebuildOptions,
  fresh: string,
): Promise<{ from: CheckpointManifest | undefined; problems: string[] }> {
  const { layout, fileSystem } = options
  const problems: string[] = []
  for (const lsn of (await checkpointLsns(layout.home, fileSystem)).toReversed()) {
    try {
      const manifest = await readCheckpoint(layout.home, lsn, fileSystem)
      if (manifest === undefined) continue
      refuseUnfit(manifest, options)
      await restoreTo(fresh, manifest, options)
      return { from: manifest, problems }
    } catch (error) {
      // The one before may be whole; if none is, the error that ends the rebuild lists what was wrong with each.
      if (!isDamage(error)) throw error
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  return { from: undefined, problems }
}

async function restoreGiven(
  from: CheckpointManifest,
  options: RebuildOptions,
  fresh: string,
): Promise<{ from: CheckpointManifest; problems: string[] }> {
  refuseUnfit(from, options)
  await restoreTo(fresh, from, options)
  return { from, problems: [] }
}

async function restoreTo(
  fresh: string,
  manifest: CheckpointManifest,
  options: RebuildOptions,
): Promise<void> {
  const { layout, fileSystem } = options
  await fileSystem.removeTree(fresh)
  try {
    // Links of exactly this set: LevelDB writes only numbers above all of them.
    await writeDataFromCheckpoint(manifest, layout.tablesDirectory, fresh, { mode: 'link', fileSystem })
  } catch (error) {
    if (!NO_LINKS.has(codeOf(error) ?? '')) throw error
    await fileSystem.removeTree(fresh)
    await writeDataFromCheckpoint(manifest, layout.tablesDirectory, fresh, { mode: 'copy', fileSystem })
  }
}

/** The checkpoint must be of this line, and the log must go on from it. */
function refuseUnfit(manifest: CheckpointManifest, options: RebuildOptions): void {
  const { identity, firstLsn, lastLsn } = options
  const sameLine =
    manifest.environmentId === identity.environmentId && manifest.timeline === identity.timeline
  if (sameLine && manifest.lsn + 1 >= firstLsn && manifest.lsn <= lastLsn) return
  throw engineError('ENGINE_CHECKPOINT_DAMAGED', 'a checkpoint does not fit the log', {
    details: { lsn: manifest.lsn, firstLsn, lastLsn, timeline: manifest.timeline },
  })
}

function isDamage(error: unknown): boolean {
  const code = codeOf(error) ?? ''
  return (
    code === 'ENGINE_TABLE_DAMAGED' ||
    code === 'ENGINE_CHECKPOINT_DAMAGED' ||
    code === 'ENGINE_MANIFEST_DAMAGED'
  )
}

async function switchData(options: RebuildOptions, fresh: string | undefined): Promise<string | undefined> {
  const { layout, fileSystem, reason } = options
  const aside = join(layout.home, reason === 'ahead' ? 'data.ahead' : REPLACED)
  const present = (await fileSystem.status(layout.dataDirectory)) !== undefined
  if (present) {
    await fileSystem.removeTree(aside)
    await fileSystem.rename(layout.dataDirectory, aside)
  }
  if (fresh !== undefined) await fileSystem.rename(fresh, layout.dataDirectory)
  // From here on a power cut finds the new folder, or none.
  await fileSystem.syncDirectory(layout.home)
  if (present && reason === 'ahead') return aside
  await fileSystem.removeTree(aside)
  return undefined
}

/** The new folder counts its tables on from this checkpoint: the numbers of any other may soon mean something else. */
async function forgetOtherCheckpoints(
  layout: HomeLayout,
  kept: CheckpointManifest | undefined,
  fileSystem: FileSystem,
): Promise<void> {
  let removed = false
  for (const lsn of await checkpointLsns(layout.home, fileSystem)) {
    if (lsn === kept?.lsn) continue
    await removeIfPresent(join(layout.checkpointDirectory, checkpointName(lsn)), fileSystem)
    removed = true
  }
  // None of them comes back after a power cut.
  if (removed) await fileSystem.syncDirectory(layout.checkpointDirectory)
}
