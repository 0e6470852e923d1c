/* oxlint-disable max-params -- from and to stand side by side in every call of writeDataFromCheckpoint */
import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { inParallel, nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { verifyTable } from './checkpoint-hash.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import { codeOf, engineError } from '../errors.ts'
import { leveldbNames, parseLeveldbName } from '../leveldb/leveldb-files.ts'
import { parseManifest } from '../leveldb/leveldb-manifest.ts'

/** Options of {@link writeDataFromCheckpoint}. */
export interface WriteDataOptions {
  /** `link` costs no space and no time; the source must stay immutable. `copy` for another file system or owner. */
  readonly mode: 'copy' | 'link'
  /** Prove each table's length and hash; default true. */
  readonly verify?: boolean
  readonly fileSystem?: FileSystem
  readonly signal?: AbortSignal
  readonly onTable?: (table: CheckpointTable) => void
}

const CHUNK_BYTES = 1024 * 1024
const TABLES_AT_A_TIME = 4

/**
 * Makes a LevelDB folder out of a checkpoint: its tables, the MANIFEST prefix, CURRENT last; all durable when it resolves.
 * The folder must be empty or missing: LevelDB would use whatever else it found there.
 *
 * @throws ENGINE_TABLE_DAMAGED, ENGINE_CHECKPOINT_DAMAGED, ENGINE_STATE_DAMAGED when the folder is not empty
 */
export async function writeDataFromCheckpoint(
  manifest: CheckpointManifest,
  tablesDirectory: string,
  dataDirectory: string,
  options: WriteDataOptions,
): Promise<void> {
  const { mode, verify = true, fileSystem = nodeFileSystem } = options
  refuseIncomplete(manifest)
  await refuseFilled(dataDirectory, fileSystem)
  await fileSystem.makeDirectory(dataDirectory)
  const place = { tablesDirectory, dataDirectory, fileSystem }
  await inParallel(manifest.tables, TABLES_AT_A_TIME, async (table) => {
    options.signal?.throwIfAborted()
    if (mode === 'copy') await copyTable(table, place, verify)
    else await linkTable(table, place, verify)
    options.onTable?.(table)
  })
  const prefix = Buffer.from(manifest.manifestBase64, 'base64')
  await writeDurable(join(dataDirectory, manifest.manifestName), prefix, fileSystem)
  // All that CURRENT will lead to has its name for good before CURRENT appears.
  await fileSystem.syncDirectory(dataDirectory)
  await writeDurable(join(dataDirectory, 'CURRENT'), Buffer.from(manifest.current), fileSystem)
  await fileSystem.syncDirectory(dataDirectory)
  // The folder's own name is durable.
  await fileSystem.syncDirectory(dirname(dataDirectory))
}

/** The MANIFEST bytes must name just the tables that the checkpoint lists; LevelDB would open another version. */
function refuseIncomplete(manifest: CheckpointManifest): void {
  const prefix = Buffer.from(manifest.manifestBase64, 'base64')
  const version = parseManifest(prefix)
  const listed = new Map<number, number>()
  for (const table of manifest.tables) {
    const name = parseLeveldbName(table.name)
    if (name !== undefined && 'number' in name) listed.set(name.number, table.bytes)
  }
  const same =
    version.endBytes === prefix.length &&
    version.tables.size === listed.size &&
    manifest.tables.length === listed.size &&
    [...version.tables.values()].every((table) => listed.get(table.number) === table.bytes)
  if (same) return
  throw engineError('ENGINE_CHECKPOINT_DAMAGED', 'the MANIFEST of a checkpoint does not name its tables', {
    details: { lsn: manifest.lsn, listed: listed.size, named: version.tables.size },
  })
}

async function refuseFilled(dataDirectory: string, fileSystem: FileSystem): Promise<void> {
  const names = await leveldbNames(dataDirectory, fileSystem)
  if (names.size === 0) return
  throw engineError('ENGINE_STATE_DAMAGED', 'the folder for the data is not empty', {
    details: { dataDirectory, names: [...names.keys()].slice(0, 8) },
  })
}

interface RestorePlace {
  readonly tablesDirectory: string
  readonly dataDirectory: string
  readonly fileSystem: FileSystem
}

async function linkTable(table: CheckpointTable, place: RestorePlace, verify: boolean): Promise<void> {
  if (verify) await verifyTable(table, place)
  await place.fileSystem
    .link(join(place.tablesDirectory, table.name), join(place.dataDirectory, table.name))
    .catch((cause: unknown) => {
      throw missing(table, place, cause)
    })
}

async function copyTable(table: CheckpointTable, place: RestorePlace, verify: boolean): Promise<void> {
  // Blocks are checked at the source; a hash is checked on the bytes that were written.
  if (verify && table.sha256 === undefined) await verifyTable(table, place)
  const from = join(place.tablesDirectory, table.name)
  const source = await place.fileSystem.open(from, 'read').catch((cause: unknown) => {
    throw missing(table, place, cause)
  })
  try {
    const target = await place.fileSystem.open(join(place.dataDirectory, table.name), 'create')
    try {
      const hash = createHash('sha256')
      const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, table.bytes))
      let position = 0
      // Never beyond the known length: a source that changes must not keep us reading.
      while (position < table.bytes) {
        const read = await source.read(
          chunk.subarray(0, Math.min(chunk.length, table.bytes - position)),
          position,
        )
        if (read === 0) break
        hash.update(chunk.subarray(0, read))
        await target.write(chunk.subarray(0, read), position)
        position += read
      }
      // The table's content is durable.
      await target.sync()
      const sound = !verify || table.sha256 === undefined || hash.digest('hex') === table.sha256
      if (position === table.bytes && (await source.status()).bytes === table.bytes && sound) return
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
  throw engineError('ENGINE_TABLE_DAMAGED', 'a table is not what its checkpoint recorded', {
    details: { path: from, expectedBytes: table.bytes },
  })
}

/** A missing table is damage of the checkpoint; other errors are the system's. */
function missing(table: CheckpointTable, place: RestorePlace, cause: unknown): unknown {
  if (codeOf(cause) !== 'ENOENT') return cause
  return engineError('ENGINE_TABLE_DAMAGED', 'a table of the checkpoint is missing', {
    details: { path: join(place.tablesDirectory, table.name) },
    cause,
  })
}

async function writeDurable(path: string, bytes: Uint8Array, fileSystem: FileSystem): Promise<void> {
  const handle = await fileSystem.open(path, 'create')
  try {
    await handle.write(bytes, 0)
    // The content is durable.
    await handle.sync()
  } finally {
    await handle.close()
  }
}
