import { invariant, readFully } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import type { StateDigest } from './digest.ts'
import { EntryHash, type EntryPlace, type HashSink } from './digest-hash.ts'
import { HashThread, HashThreadLost, isWorthThread } from './hash-thread.ts'
import { tablePath } from '../leveldb/leveldb-applied.ts'
import type { ManifestTable } from '../leveldb/leveldb-edit.ts'
import { APPLIED_KEY, decodeApplied, isReservedKey, NOTHING_APPLIED } from '../reserved-keys.ts'
import { type MergeListener, mergeRuns } from './table-merge.ts'
import { type OpenTable, TableRun } from './table-run.ts'

/** The greatest that the first bytes of a key can be as a number: the engine's own zone begins with it. */
const PREFIX_MAX = 2 ** 48 - 1

/** Where tables lie, and what hashes them. */
export interface DigestPlace {
  readonly directory: string
  readonly fileSystem: FileSystem
  /** A thread for so many bytes; default: one where that is worth it. */
  readonly beginThread?: (bytes: number) => HashThread | undefined
}

/**
 * The digest of the state that a set of tables is, and the LSN that it says it has, read without LevelDB: a third of the
 * processor time of its iterator, or less. The tables must stay while they are read: links to them, never a folder that LevelDB
 * works in. Checksums of blocks are not looked at; whoever must not trust the files compares their hashes first.
 *
 * @throws ENGINE_TABLE_DAMAGED, ENGINE_STATE_DAMAGED
 */
export async function digestTables(
  tables: Iterable<ManifestTable>,
  directory: string,
  fileSystem: FileSystem,
): Promise<StateDigest> {
  const [digest] = await digestsOfTables(tables, { directory, fileSystem }, [Number.MAX_SAFE_INTEGER])
  invariant(digest !== undefined, 'there is a digest for each state that was asked for')
  return digest
}

/**
 * The digests of several states that the same tables are, in one reading: all entries up to a sequence number of LevelDB are a state, as long as
 * nobody has merged them with later ones.
 *
 * @throws ENGINE_TABLE_DAMAGED, ENGINE_STATE_DAMAGED
 */
export async function digestsOfTables(
  tables: Iterable<ManifestTable>,
  { directory, fileSystem, beginThread = threadFor }: DigestPlace,
  sequences: readonly number[],
): Promise<StateDigest[]> {
  const all = [...tables]
  const merge = async (thread?: HashThread): Promise<StateDigest[]> => {
    const hashes = sequences.map((sequenceMax) => new StateHash(sequenceMax, thread?.sink()))
    await mergeRuns(runsOf(all, directory, fileSystem), hashes, () => thread?.room())
    return Promise.all(hashes.map((hash) => hash.end()))
  }
  const bytes = all.reduce((sum, table) => sum + table.bytes, 0)
  const thread = beginThread(bytes * sequences.length)
  if (thread === undefined) return merge()
  try {
    return await merge(thread)
  } catch (error) {
    // The system had no thread to give, or took it away.
    if (error instanceof HashThreadLost) return await merge()
    throw error
  } finally {
    await thread.close()
  }
}

function threadFor(bytes: number): HashThread | undefined {
  return isWorthThread(bytes) ? new HashThread() : undefined
}

class StateHash implements MergeListener {
  readonly sequenceMax: number
  readonly #hash: EntryHash
  #applied = NOTHING_APPLIED

  constructor(sequenceMax: number, sink: HashSink | undefined) {
    this.sequenceMax = sequenceMax
    this.#hash = new EntryHash(sink)
  }

  onEntry(entry: EntryPlace & { readonly prefix: number }): void {
    if (entry.prefix === PREFIX_MAX) {
      const key = entry.key.bytes.subarray(0, entry.keyBytes)
      if (key.equals(APPLIED_KEY)) this.#applied = decodeApplied(valueOf(entry))
      if (isReservedKey(key)) return
    }
    this.#hash.add(entry)
  }

  async end(): Promise<StateDigest> {
    return { algorithm: 'sha256', lsn: this.#applied.lsn, ...(await this.#hash.end()) }
  }
}

function valueOf({ block, valueAt, valueBytes }: EntryPlace): Buffer {
  return block.bytes.subarray(valueAt, valueAt + valueBytes)
}

/** Each new table is a run, as any two may overlap; those of a deeper level follow one another. */
function runsOf(tables: Iterable<ManifestTable>, directory: string, fileSystem: FileSystem): TableRun[] {
  const sorted = [...tables].toSorted(
    (a, b) => a.level - b.level || Buffer.compare(a.largestKey, b.largestKey),
  )
  const runs: ManifestTable[][] = []
  let before: ManifestTable | undefined
  for (const table of sorted) {
    // Two that end with one key: which of them has its newer entry is not known here, and the merge finds out.
    const follows =
      table.level > 0 &&
      before?.level === table.level &&
      Buffer.compare(before.largestKey, table.largestKey) < 0
    if (follows) runs.at(-1)?.push(table)
    else runs.push([table])
    before = table
  }
  return runs.map(
    (run) => new TableRun(run.map((table) => ({ open: () => opened(table, directory, fileSystem) }))),
  )
}

async function opened(
  { number }: ManifestTable,
  directory: string,
  fileSystem: FileSystem,
): Promise<OpenTable> {
  const path = await tablePath(number, directory, fileSystem)
  const handle = await fileSystem.open(path, 'read')
  try {
    const { bytes } = await handle.status()
    return {
      path,
      bytes,
      read: (target, position) => readFully(handle, target, position),
      close: () => handle.close(),
    }
  } catch (error) {
    /* v8 ignore next 2 -- no system refuses the status of an open file */
    await handle.close()
    throw error
  }
}
