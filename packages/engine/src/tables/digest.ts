import type { AbstractSnapshot } from 'abstract-level'
import { type EntriesDigest, EntryHash } from './digest-hash.ts'
import { RESERVED_FLOOR } from '../reserved-keys.ts'

/** What a state is, in 32 bytes: every key and value and their order, at one LSN. Two equal digests are equal states. */
export interface StateDigest {
  readonly algorithm: 'sha256'
  readonly lsn: number
  readonly entries: number
  /** Bytes of all keys and values. */
  readonly bytes: number
  readonly hex: string
}

/** The part of a Level database that a digest reads. */
export interface DigestSource {
  snapshot(): AbstractSnapshot
  iterator(options: {
    lt: Buffer
    keyEncoding: 'buffer'
    valueEncoding: 'buffer'
    snapshot: AbstractSnapshot
    highWaterMarkBytes: number
    fillCache: boolean
  }): { nextv(size: number): Promise<[Buffer, Buffer][]>; close(): Promise<void> }
}

/** Options of {@link stateDigest}. */
export interface StateDigestOptions {
  /** Read this one; otherwise a snapshot is taken on the call and closed at the end. */
  readonly snapshot?: AbstractSnapshot
  readonly signal?: AbortSignal
}

const ENTRIES_AT_A_TIME = 1000
const READ_AHEAD_BYTES = 1024 * 1024

/**
 * The digest of a whole state: sha256 over u32le key length, u32le value length, key, value of every entry in key order;
 * the engine's reserved zone is left out, so a plain LevelDB with the same entries has the same digest.
 *
 * The iterator is the cost (about 100 MB/s), not the hash; writers go on meanwhile.
 *
 * @param lsn - the LSN of the state that the snapshot shows; the caller knows it
 */
export async function stateDigest(
  level: DigestSource,
  lsn: number,
  options: StateDigestOptions = {},
): Promise<StateDigest> {
  const snapshot = options.snapshot ?? level.snapshot()
  try {
    return { algorithm: 'sha256', lsn, ...(await digestEntries(level, snapshot, options.signal)) }
  } finally {
    if (options.snapshot === undefined) await snapshot.close()
  }
}

async function digestEntries(
  level: DigestSource,
  snapshot: AbstractSnapshot,
  signal: AbortSignal | undefined,
): Promise<EntriesDigest> {
  const hash = new EntryHash()
  const iterator = level.iterator({
    lt: RESERVED_FLOOR,
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
    snapshot,
    highWaterMarkBytes: READ_AHEAD_BYTES,
    fillCache: false,
  })
  try {
    for (;;) {
      signal?.throwIfAborted()
      const batch = await iterator.nextv(ENTRIES_AT_A_TIME)
      if (batch.length === 0) break
      for (const [key, value] of batch) {
        hash.addBuffers(key, value)
      }
    }
  } finally {
    await iterator.close()
  }
  return hash.end()
}
