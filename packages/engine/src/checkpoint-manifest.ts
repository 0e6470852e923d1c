import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { nodeFileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import type { StateDigest } from './digest.ts'
import { engineError } from './errors.ts'
import { homeLayout } from './home-layout.ts'

/** One immutable LevelDB table of a checkpoint, in `checkpoint/tables/`. */
export interface CheckpointTable {
  /** `NNNNNN.ldb` */
  readonly name: string
  readonly bytes: number
  /** Absent until the table has been hashed, which happens once, soon after the checkpoint appeared. */
  readonly sha256?: string
}

/** A version of the LevelDB files at a known LSN; the content of `checkpoint/<lsn>.json`. See FORMAT.md. */
export interface CheckpointManifest {
  readonly format: 1
  readonly environmentId: string
  readonly timeline: number
  /** Exactly the transactions through this one are in the tables, no other. */
  readonly lsn: number
  readonly committedAtUs: number
  /** The first log segment needed to go on from `lsn`. */
  readonly segmentNumber: number
  /** Content of CURRENT. */
  readonly current: string
  readonly manifestName: string
  /** The whole records of the MANIFEST up to this version. */
  readonly manifestBase64: string
  readonly tables: readonly CheckpointTable[]
  readonly digest?: StateDigest
  readonly createdAtUs: number
}

/** A manifest of 50,000 tables is 6 MB; this bounds what a damaged folder can make us read. */
export const MANIFEST_BYTES_MAX: number = 256 * 1024 * 1024
const LSN_DIGITS = 16
const NAME = /^(\d{16})\.json$/

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))
const manifestSchema = v.object({
  format: v.literal(1),
  environmentId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  timeline: v.pipe(count, v.minValue(1)),
  lsn: count,
  committedAtUs: count,
  segmentNumber: count,
  current: v.pipe(v.string(), v.regex(/^MANIFEST-\d{1,16}\n$/)),
  manifestName: v.pipe(v.string(), v.regex(/^MANIFEST-\d{1,16}$/)),
  manifestBase64: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]*={0,2}$/)),
  tables: v.array(
    v.object({
      name: v.pipe(v.string(), v.regex(/^\d{1,16}\.(ldb|sst)$/)),
      bytes: count,
      sha256: v.exactOptional(sha256),
    }),
  ),
  digest: v.exactOptional(
    v.object({ algorithm: v.literal('sha256'), lsn: count, entries: count, bytes: count, hex: sha256 }),
  ),
  createdAtUs: count,
})

/** `0000000000000042.json` */
export function checkpointName(lsn: number): string {
  return `${String(lsn).padStart(LSN_DIGITS, '0')}.json`
}

/** The newest checkpoint of a home, or `undefined` when it has none. Needs no lock. */
export async function newestCheckpoint(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<CheckpointManifest | undefined> {
  for (const lsn of (await checkpointLsns(home, fileSystem)).toReversed()) {
    const manifest = await readCheckpoint(home, lsn, fileSystem)
    // Gone between the listing and the reading: a newer one has appeared, or an older one is as good as it gets.
    if (manifest !== undefined) return manifest
  }
  return undefined
}

/** All checkpoints of a home, oldest first; while one replaces another there are two. */
export async function listCheckpoints(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<readonly CheckpointManifest[]> {
  const found: CheckpointManifest[] = []
  for (const lsn of await checkpointLsns(home, fileSystem)) {
    const manifest = await readCheckpoint(home, lsn, fileSystem)
    if (manifest !== undefined) found.push(manifest)
  }
  return found
}

/** The LSNs of a home's checkpoints, ascending, by their names alone. */
export async function checkpointLsns(home: string, fileSystem: FileSystem): Promise<readonly number[]> {
  const { checkpointDirectory } = homeLayout(home)
  if ((await fileSystem.status(checkpointDirectory)) === undefined) return []
  const names = await fileSystem.list(checkpointDirectory)
  return names
    .map((name) => NAME.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .filter((lsn) => Number.isSafeInteger(lsn))
    .toSorted((a, b) => a - b)
}

/** One checkpoint by its LSN, or `undefined` when it is not there. */
export async function readCheckpoint(
  home: string,
  lsn: number,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<CheckpointManifest | undefined> {
  const path = join(homeLayout(home).checkpointDirectory, checkpointName(lsn))
  if ((await fileSystem.status(path)) === undefined) return undefined
  try {
    return decodeCheckpoint(await readFileWhole(path, fileSystem, MANIFEST_BYTES_MAX), path)
  } catch (error) {
    if ((await fileSystem.status(path)) === undefined) return undefined
    throw error
  }
}

/** Writes a checkpoint's manifest, atomically and durably: by this it exists. */
export async function writeCheckpoint(
  home: string,
  manifest: CheckpointManifest,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const path = join(homeLayout(home).checkpointDirectory, checkpointName(manifest.lsn))
  await writeFileAtomic(path, encodeCheckpoint(manifest), fileSystem)
}

/** The bytes of a `checkpoint/<lsn>.json`: the manifest as JSON, with the sha256 of that JSON as its last property. */
export function encodeCheckpoint(manifest: CheckpointManifest): Buffer {
  return Buffer.from(`${JSON.stringify({ ...manifest, checksum: checksumOf(manifest) })}\n`)
}

/**
 * The manifest in the bytes of a `checkpoint/<lsn>.json`.
 *
 * @throws ENGINE_CHECKPOINT_DAMAGED
 */
export function decodeCheckpoint(bytes: Uint8Array, path: string): CheckpointManifest {
  let manifest: CheckpointManifest
  let sound: boolean
  try {
    const { checksum, ...body }: Record<string, unknown> = v.parse(
      v.record(v.string(), v.unknown()),
      JSON.parse(Buffer.from(bytes).toString('utf8')),
    )
    sound = checksum === checksumOf(body)
    manifest = v.parse(manifestSchema, body)
  } catch (cause) {
    throw engineError('ENGINE_CHECKPOINT_DAMAGED', 'the manifest of a checkpoint cannot be decoded', {
      details: { path },
      cause,
    })
  }
  if (sound && manifest.current === `${manifest.manifestName}\n`) return manifest
  throw engineError(
    'ENGINE_CHECKPOINT_DAMAGED',
    'the manifest of a checkpoint has not the checksum it names',
    {
      details: { path },
    },
  )
}

/** JSON keeps the order of properties, so what was parsed is written again byte for byte. */
function checksumOf(body: object): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex')
}
