import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { makeDirectoryDurable, nodeFileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import { engineError } from '../errors.ts'
import { homeLayout, STANDBY_LABEL } from './home-layout.ts'

/** Which environment and which line of its history a home is; the content of `timberline.json`. */
export interface HomeIdentity {
  readonly format: 1
  /** 32 lowercase hex characters; the same in every copy of the environment. */
  readonly environmentId: string
  /** 1 for the first line; each recovery begins a new one. */
  readonly timeline: number
  readonly createdAtUs: number
  /** False in a recovered home until its owner says otherwise; absent means true. */
  readonly archiving?: boolean
  /** The line that a recovery left, and the last LSN it took from there. */
  readonly parent?: { readonly timeline: number; readonly forkLsn: number }
  /**
   * Set when the state before LSN 1 was not empty: the home was made from a plain LevelDB folder. Such a home can
   * never be rebuilt from its log alone.
   */
  readonly adoptedAtUs?: number
  /** True from the first moment of a new home until its log is durable: only then is a home without a log no lost one. */
  readonly creating?: boolean
}

const IDENTITY_BYTES_MAX = 64 * 1024
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const identitySchema = v.object({
  format: v.literal(1),
  environmentId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  timeline: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  createdAtUs: count,
  archiving: v.exactOptional(v.boolean()),
  parent: v.exactOptional(v.object({ timeline: v.pipe(count, v.minValue(1)), forkLsn: count })),
  adoptedAtUs: v.exactOptional(count),
  creating: v.exactOptional(v.boolean()),
})

/** A new environment's identity: random id, timeline 1. */
export function newHomeIdentity(nowUs: number = Date.now() * 1000): HomeIdentity {
  return { format: 1, environmentId: randomBytes(16).toString('hex'), timeline: 1, createdAtUs: nowUs }
}

/**
 * The identity of an existing home.
 *
 * @throws ENGINE_HOME_MISSING when there is no identity file: a mistyped path is an error, never a new database
 * @throws ENGINE_HOME_STANDBY in the folder of a standby
 * @throws ENGINE_HOME_DAMAGED when the file cannot be decoded
 */
export async function readHomeIdentity(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<HomeIdentity> {
  const { identityPath } = homeLayout(home)
  if ((await fileSystem.status(identityPath)) === undefined) {
    // It is the content of a home already, and becomes one by a promotion.
    if ((await fileSystem.status(join(home, STANDBY_LABEL))) !== undefined) {
      throw engineError('ENGINE_HOME_STANDBY', 'the folder is a standby', { details: { home } })
    }
    throw engineError('ENGINE_HOME_MISSING', 'no home is there', { details: { home, identityPath } })
  }
  const bytes = await readFileWhole(identityPath, fileSystem, IDENTITY_BYTES_MAX)
  return decodeHomeIdentity(bytes, identityPath)
}

/** Writes the identity, atomically and durably; the home folder is made when missing. */
export async function writeHomeIdentity(
  home: string,
  identity: HomeIdentity,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  await makeDirectoryDurable(home, fileSystem)
  const { identityPath } = homeLayout(home)
  const whole: HomeIdentity = v.parse(identitySchema, identity)
  await writeFileAtomic(identityPath, Buffer.from(`${JSON.stringify(whole, null, 2)}\n`), fileSystem)
}

/**
 * The identity in the bytes of a `timberline.json`; properties of later versions are ignored.
 *
 * @throws ENGINE_HOME_DAMAGED
 */
export function decodeHomeIdentity(bytes: Uint8Array, path: string): HomeIdentity {
  try {
    return v.parse(identitySchema, JSON.parse(Buffer.from(bytes).toString('utf8')))
  } catch (cause) {
    throw engineError('ENGINE_HOME_DAMAGED', 'the identity file cannot be decoded', {
      details: { path },
      cause,
    })
  }
}
