import { nodeFileSystem, type FileSystem, type LogIdentity } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import { archiveError } from '../errors.ts'

/** The log's identity, and where its timeline left its parent; a home's identity file has this shape. */
export interface ShippedIdentity extends LogIdentity {
  readonly parent?: { readonly timeline: number; readonly forkLsn: number } | undefined
}

/** How to ship a log. */
export interface RunShipperOptions {
  /** The log folder; its owner may be another process. */
  readonly logDirectory: string
  readonly archive: Archive
  /** What the home calls this archive: 1 to 64 letters, digits, `_` and `-`. */
  readonly name: string
  readonly identity: ShippedIdentity
  /** The recovery point to hold, in milliseconds; 10 to 3,600,000, default 1,000. */
  readonly intervalMs?: number | undefined
  /** Ends the shipper; what is under way is finished or leaves nothing. */
  readonly signal?: AbortSignal | undefined
  /** Delay before the second try, and the most that it grows to by doubling; default 250 and 30,000 milliseconds. */
  readonly retryMs?: { readonly first: number; readonly max: number } | undefined
  /** After so long without a piece the shipper looks whether the archive is still its own; default 60,000 milliseconds. */
  readonly heartbeatMs?: number | undefined
  /** How the log is read; default the real file system. */
  readonly fileSystem?: FileSystem | undefined
}

/** Options with every default filled in. */
export interface ShipperSettings {
  readonly logDirectory: string
  readonly archive: Archive
  readonly name: string
  readonly identity: ShippedIdentity
  readonly intervalMs: number
  readonly gatherMs: number
  readonly heartbeatMs: number
  readonly retryMs: { readonly first: number; readonly max: number }
  readonly fileSystem: FileSystem
}

/**
 * The follower's part of the interval, and the most that it takes of it, in milliseconds: each look at a busy log flushes it, which its
 * writer waits for, and what a look takes of the interval makes pieces more frequent.
 */
const GATHER_SHARE = 1 / 10
const GATHER_MS_MAX = 100
const HEARTBEAT_MS = 60_000

/** Delay before the second try, and the most that it grows to, in milliseconds. */
export const RETRY_MS: { readonly first: number; readonly max: number } = { first: 250, max: 30_000 }

/** @throws ARCHIVE_OPTION_INVALID, ARCHIVE_FOREIGN_ENVIRONMENT */
export function completeShipperOptions(options: RunShipperOptions): ShipperSettings {
  const { logDirectory, archive, name, identity, intervalMs = 1000 } = options
  const { retryMs = RETRY_MS, fileSystem = nodeFileSystem, heartbeatMs = HEARTBEAT_MS } = options
  if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(name)) throw invalid('name', name)
  if (!(intervalMs >= 10 && intervalMs <= 3_600_000)) throw invalid('intervalMs', intervalMs)
  if (!(heartbeatMs >= 1)) throw invalid('heartbeatMs', heartbeatMs)
  if (!(retryMs.first >= 1 && retryMs.max >= retryMs.first)) throw invalid('retryMs', retryMs.max)
  const { environmentId } = archive.identity
  if (environmentId !== identity.environmentId) {
    throw archiveError(
      'ARCHIVE_FOREIGN_ENVIRONMENT',
      'the archive belongs to another environment than the log',
      {
        details: { url: archive.store.url, environmentId, expectedEnvironmentId: identity.environmentId },
      },
    )
  }
  const gatherMs = Math.min(GATHER_MS_MAX, intervalMs * GATHER_SHARE)
  return { logDirectory, archive, name, identity, intervalMs, gatherMs, heartbeatMs, retryMs, fileSystem }
}

function invalid(option: string, value: string | number): Error {
  return archiveError('ARCHIVE_OPTION_INVALID', `${option} is out of bounds`, {
    details: { [option]: value },
  })
}
