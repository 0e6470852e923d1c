/**
 * One version of a live LevelDB folder, pinned while its owner goes on: the tables that one whole prefix of the MANIFEST names, and
 * LevelDB's own logs that are not in them yet.
 *
 * Model: a table is whole and durable before the MANIFEST names it, and is removed only after a later record of the MANIFEST
 * dropped it; a log is made before its first write, is removed only after a record of the MANIFEST raised the log number above
 * it, and nothing is appended to it once there is a younger one. So if all tables of a prefix could be pinned, they are that version; and
 * if the log number is the same after the logs were pinned as before, none of those that it needs was missed. What is missing
 * although the MANIFEST has not moved is damage; all else is a reason to look again.
 */
import { setTimeout as wait } from 'node:timers/promises'
import {
  leveldbNames,
  type LeveldbLog,
  type LeveldbVersion,
  readVersion,
  scanLeveldbLog,
  tableName,
  VersionReader,
} from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'
import type { Pins } from './pins.ts'

/** A table, by the name that it has. */
export interface PinnedTable {
  readonly name: string
  readonly bytes: number
}

/** One of LevelDB's own logs, as far as its whole records reached when it was read. */
export interface PinnedLog extends LeveldbLog {
  readonly name: string
}

/** A version whose files stay readable. */
export interface PinnedVersion {
  /** Content of CURRENT. */
  readonly current: string
  readonly manifestName: string
  /** The MANIFEST as far as it names this version. */
  readonly manifest: Buffer
  readonly tables: readonly PinnedTable[]
  /** Oldest first. */
  readonly logs: readonly PinnedLog[]
  readonly tries: number
}

/** A folder, and what keeps its files. */
export interface PinSource {
  readonly folder: string
  readonly pins: Pins
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
}

/** Under load and kills, with pauses between all steps, the worst of some thousand copies needed a few hundred. */
const TRIES_MAX = 2000
const PAUSE_MS = 2
/** So often in a row something must look damaged, with the MANIFEST standing still, before it is believed. */
const DOUBTS_MAX = 5

/**
 * Pins the newest version that holds still for long enough.
 *
 * @throws HOTBACKUP_PLAIN_DAMAGED, HOTBACKUP_PLAIN_RESTLESS, ENGINE_MANIFEST_DAMAGED, ENGINE_CURRENT_DAMAGED
 */
export async function pinVersion(source: PinSource): Promise<PinnedVersion> {
  const { folder, fileSystem, signal } = source
  const reader = new VersionReader(folder, fileSystem)
  let doubts = 0
  for (let tries = 1; tries <= TRIES_MAX; tries += 1) {
    signal?.throwIfAborted()
    const outcome = await attempt(reader, source)
    if (outcome.type === 'pinned') return { ...outcome.version, tries }
    doubts = outcome.type === 'damaged' ? doubts + 1 : 0
    if (outcome.type === 'damaged' && doubts === DOUBTS_MAX) {
      throw hotbackupError('HOTBACKUP_PLAIN_DAMAGED', outcome.what, {
        details: { folder, file: outcome.file },
      })
    }
    if (tries > 1) await wait(PAUSE_MS)
  }
  throw hotbackupError('HOTBACKUP_PLAIN_RESTLESS', 'the tables and logs of one version kept vanishing', {
    details: { folder, tries: TRIES_MAX },
  })
}

type Outcome =
  | { readonly type: 'pinned'; readonly version: Omit<PinnedVersion, 'tries'> }
  | { readonly type: 'moved' }
  | { readonly type: 'damaged'; readonly what: string; readonly file: string }

const MOVED: Outcome = { type: 'moved' }

async function attempt(reader: VersionReader, source: PinSource): Promise<Outcome> {
  const { folder, pins } = source
  const found = await readVersion(reader, folder)
  const { logNumber } = found.version
  const tables = await pinTables(found, pins)
  const logNames = await pinLogs(logNumber, source)
  const now = await readVersion(reader, folder)
  const hasMoved = now.manifestName !== found.manifestName || now.version.endBytes !== found.version.endBytes
  if (typeof tables === 'string' || logNames === undefined) {
    if (hasMoved || typeof tables !== 'string') return MOVED
    return { type: 'damaged', what: 'a table that the MANIFEST names is missing', file: tables }
  }
  if (now.manifestName !== found.manifestName || now.version.logNumber !== logNumber) return MOVED
  if (found.tail === 'damaged') {
    return { type: 'damaged', what: 'the MANIFEST is damaged', file: found.manifestName }
  }
  for (const { name, bytes } of tables) {
    if ((await pins.bytes(name)) === bytes) continue
    return { type: 'damaged', what: 'a table has not the length that the MANIFEST records', file: name }
  }
  // Without any log the folder is what its tables are; with a later one alone it has a hole.
  const first = [...logNames.keys()][0]
  if (logNumber > 0 && first !== undefined && first !== logNumber) {
    return { type: 'damaged', what: 'a log that the MANIFEST names is missing', file: logName(logNumber) }
  }
  const logs = await readLogs([...logNames.values()], pins)
  if (typeof logs === 'string') return { type: 'damaged', what: 'a log is damaged', file: logs }
  await pins.keepOnly(new Set([...tables, ...logs].map(({ name }) => name)))
  const { current, manifestName, manifest } = found
  return { type: 'pinned', version: { current, manifestName, manifest, tables, logs } }
}

/** The tables of a version; or the name of one that is gone. */
async function pinTables(found: LeveldbVersion, pins: Pins): Promise<readonly PinnedTable[] | string> {
  // The version's own map goes on with the next read.
  const live = [...found.version.tables.values()].toSorted((a, b) => a.number - b.number)
  const names = live.map(({ number }) => [tableName(number), tableName(number, 'sst')] as const)
  await pins.keepOnly(new Set(names.flat()))
  const tables: PinnedTable[] = []
  for (const { number, bytes } of live) {
    const name = tableName(number)
    // Old versions of LevelDB called their tables `.sst`.
    const old = tableName(number, 'sst')
    if (await pins.pin(name)) tables.push({ name, bytes })
    else if (await pins.pin(old)) tables.push({ name: old, bytes })
    else return name
  }
  return tables
}

/** The logs that are not in the tables, by their numbers, oldest first; `undefined` when one vanished meanwhile. */
async function pinLogs(
  fromNumber: number,
  { folder, pins, fileSystem }: PinSource,
): Promise<ReadonlyMap<number, string> | undefined> {
  const numbers: (readonly [number: number, name: string])[] = []
  for (const [name, parsed] of await leveldbNames(folder, fileSystem)) {
    if (parsed.type === 'log' && parsed.number >= fromNumber) numbers.push([parsed.number, name])
  }
  const logs = new Map(numbers.toSorted(([a], [b]) => a - b))
  for (const name of logs.values()) if (!(await pins.pin(name))) return undefined
  return logs
}

/** What the logs hold; or the name of a damaged one. A log that LevelDB never ended may be torn: what was whole counts. */
async function readLogs(names: readonly string[], pins: Pins): Promise<readonly PinnedLog[] | string> {
  const logs: PinnedLog[] = []
  let nextSequence = 0
  for (const name of names) {
    const log = await pins.use(name, scanLeveldbLog)
    if (log.tail === 'damaged' || (log.firstSequence ?? nextSequence) < nextSequence) return name
    nextSequence = Math.max(nextSequence, log.nextSequence)
    logs.push({ name, ...log })
  }
  return logs
}

/** `000003.log` */
function logName(number: number): string {
  return `${String(number).padStart(6, '0')}.log`
}
