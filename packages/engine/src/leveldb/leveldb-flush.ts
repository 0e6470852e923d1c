import { join } from 'node:path'
import type { FileSystem } from '@timberline/wal'
import { engineError } from '../errors.ts'
import { highestLogNumber } from './leveldb-files.ts'
import type { LeveldbVersion, VersionReader } from './leveldb-version.ts'
import { RESERVED_FLOOR } from '../reserved-keys.ts'

/** The part of classic-level that a flush needs. */
export interface Compactable {
  compactRange(start: Buffer, end: Buffer, options: { keyEncoding: 'buffer' }): Promise<void>
}

/** In 20,000 flushes under load none needed more than two calls; a full disk needs them all. */
const CALLS_MAX = 20
const VERSION_TRIES_MAX = 50
const PAUSE_MS = 2

/**
 * Beyond every key, the engine's own included: asks LevelDB to empty its memory, and overlaps no table, so that nothing is
 * compacted for it.
 */
const BEYOND_ALL_KEYS = Buffer.concat([RESERVED_FLOOR, RESERVED_FLOOR])

/**
 * Makes everything that LevelDB holds in memory on the call durable in its tables, and proves it. `compactRange` alone
 * proves nothing: beside running writers it sometimes flushes nothing, and it resolves on a full disk too. LevelDB's own
 * log number in the MANIFEST tells: once it is above every log that existed before, all of them are in tables.
 *
 * Needs no pause of writers. Resolves with the confirmed version; a later one may be there by then.
 *
 * @throws ENGINE_CHECKPOINT_UNCONFIRMED
 */
export async function flushConfirmed(
  level: Compactable,
  reader: VersionReader,
  place: { readonly dataDirectory: string; readonly fileSystem: FileSystem },
): Promise<LeveldbVersion> {
  const { dataDirectory, fileSystem } = place
  const logBefore = await highestLogNumber(dataDirectory, fileSystem)
  for (let calls = 1; calls <= CALLS_MAX; calls += 1) {
    await level.compactRange(BEYOND_ALL_KEYS, BEYOND_ALL_KEYS, { keyEncoding: 'buffer' })
    const found = await readVersion(reader, dataDirectory)
    if (found.version.logNumber > logBefore) {
      await syncVersion(dataDirectory, found.manifestName, fileSystem)
      return found
    }
    await pause()
  }
  throw engineError('ENGINE_CHECKPOINT_UNCONFIRMED', 'LevelDB did not confirm a flush in its MANIFEST', {
    details: { dataDirectory, calls: CALLS_MAX, logNumber: logBefore },
  })
}

/**
 * The newest version of a folder, waiting while LevelDB replaces its MANIFEST.
 *
 * @throws ENGINE_CURRENT_DAMAGED when there is none
 */
export async function readVersion(reader: VersionReader, dataDirectory: string): Promise<LeveldbVersion> {
  for (let tries = 1; tries <= VERSION_TRIES_MAX; tries += 1) {
    const found = await reader.read()
    if (found !== undefined) return found
    await pause()
  }
  throw engineError('ENGINE_CURRENT_DAMAGED', 'CURRENT and MANIFEST name no version', {
    details: { dataDirectory },
  })
}

/** Makes durable what a reader has seen: the record may be visible before LevelDB's own sync of it has ended. */
export async function syncVersion(
  dataDirectory: string,
  manifestName: string,
  fileSystem: FileSystem,
): Promise<void> {
  const handle = await fileSystem.open(join(dataDirectory, manifestName), 'read')
  try {
    // The version cannot go back behind this record any more.
    await handle.sync()
  } finally {
    await handle.close()
  }
  // The names of the tables, of the MANIFEST and of CURRENT are durable.
  await fileSystem.syncDirectory(dataDirectory)
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, PAUSE_MS)
  })
}
