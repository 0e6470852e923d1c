import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { nodeFileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import type { StateDigest } from '../tables/digest.ts'
import { engineError } from '../errors.ts'
import { homeLayout } from '../home/home-layout.ts'
import { nextTurn } from '../turns.ts'

/** One immutable LevelDB table of a checkpoint, in `checkpoint/tables/`. */
export interface CheckpointTable {
  /** `NNNNNN.ldb` */
  readonly name: string
  readonly bytes: number
  /** Absent until the table has been hashed, which happens once, some seconds after the checkpoint appeared. */
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
/** Text made in one turn of the loop, in bytes. */
const TURN_BYTES = 64 * 1024
const PIECE_TABLES = 250
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

/**
 * Writes a checkpoint's manifest, atomically and durably: by this it exists. The text of a large database's manifest takes long,
 * and commits go on meanwhile.
 */
export async function writeCheckpoint(
  home: string,
  manifest: CheckpointManifest,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const path = join(homeLayout(home).checkpointDirectory, checkpointName(manifest.lsn))
  const text = new CheckpointText()
  let turnBytes = 0
  for (const piece of piecesOf(manifest)) {
    text.add(piece)
    turnBytes += piece.length
    if (turnBytes < TURN_BYTES) continue
    turnBytes = 0
    await nextTurn()
  }
  await writeFileAtomic(path, text.end(), fileSystem)
}

/** The bytes of a `checkpoint/<lsn>.json`: the manifest as JSON, with the sha256 of that JSON as its last property. */
export function encodeCheckpoint(manifest: CheckpointManifest): Buffer {
  const text = new CheckpointText()
  for (const piece of piecesOf(manifest)) text.add(piece)
  return text.end()
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

/** The text of a manifest, gathered piece by piece. */
class CheckpointText {
  readonly #hash = createHash('sha256')
  readonly #pieces: Buffer[] = []

  add(piece: string): void {
    const bytes = Buffer.from(piece)
    this.#hash.update(bytes)
    this.#pieces.push(bytes)
  }

  /** All of it, with the checksum put in before the brace that was added last. */
  end(): Buffer {
    this.#pieces.pop()
    return Buffer.concat([...this.#pieces, Buffer.from(`,"checksum":"${this.#hash.digest('hex')}"}\n`)])
  }
}

/** What `JSON.stringify` makes of a manifest, in pieces that take a fraction of a millisecond; the last is the closing brace. */
function* piecesOf(manifest: CheckpointManifest): Generator<string> {
  const { tables, manifestBase64 } = manifest
  let separator = '{'
  for (const [name, value] of Object.entries(manifest)) {
    if (value === undefined) continue
    yield `${separator}${JSON.stringify(name)}:`
    separator = ','
    if (name === 'tables') yield* piecesOfTables(tables)
    else if (name === 'manifestBase64') yield* piecesOfPlain(manifestBase64)
    else yield JSON.stringify(value)
  }
  yield '}'
}

function* piecesOfTables(tables: readonly CheckpointTable[]): Generator<string> {
  yield '['
  for (let at = 0; at < tables.length; at += PIECE_TABLES) {
    const text = JSON.stringify(tables.slice(at, at + PIECE_TABLES)).slice(1, -1)
    yield at === 0 ? text : `,${text}`
  }
  yield ']'
}

/** A string without characters that JSON writes otherwise. */
function* piecesOfPlain(text: string): Generator<string> {
  yield '"'
  for (let at = 0; at < text.length; at += TURN_BYTES) yield text.slice(at, at + TURN_BYTES)
  yield '"'
}

/** JSON keeps the order of properties, so what was parsed is written again byte for byte. */
function checksumOf(body: object): string {
  return createHash('sha256').update(JSON.stringify(body)).digest('hex')
}
