import { setTimeout as wait } from 'node:timers/promises'
import type { FileSystem } from '@timberline/wal'
import { hashTable } from './checkpoint-hash.ts'
import { writeCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { inTurns } from '../turns.ts'

/**
 * How long a checkpoint stands before its new tables are hashed, in milliseconds. Writers flat out bring the next one sooner, and most
 * of those tables are merged by then: to hash them took a twelfth of what the calling thread did.
 */
const NEW_TABLES_MS = 5000

/**
 * Hashes tables of a checkpoint in the background, each once in its life, and writes the manifest again with what it
 * learned. A checkpoint appears before its new tables are hashed, so that it need not wait for the reading. Those that the checkpoint
 * before had already are hashed at once, so that each has its turn under any load.
 */
export class CheckpointHasher {
  readonly #layout: HomeLayout
  readonly #fileSystem: FileSystem
  readonly #newTablesMs: number
  /** Tables without a hash that a checkpoint had. */
  #seen: ReadonlySet<string> = new Set()
  #stopping = false
  /** Aborted when nobody is to wait for new tables to grow old. */
  #hurry = new AbortController()
  #running: Promise<CheckpointManifest | undefined> = Promise.resolve(undefined)

  /** @param newTablesMs - how long a checkpoint stands before its new tables are hashed */
  constructor(layout: HomeLayout, fileSystem: FileSystem, newTablesMs: number = NEW_TABLES_MS) {
    this.#layout = layout
    this.#fileSystem = fileSystem
    this.#newTablesMs = newTablesMs
  }

  /** Begins; `onDone` is told the tables hashed now, once the manifest has them. */
  begin(manifest: CheckpointManifest, onDone: (hashed: number, error?: unknown) => void): void {
    this.#stopping = false
    this.#hurry = new AbortController()
    this.#running = this.#run(manifest, onDone)
  }

  /** Resolves when the checkpoint's tables all have hashes, or hashing was stopped or failed. */
  async settled(): Promise<void> {
    this.#hurry.abort()
    await this.#running
  }

  /** Ends within one read; resolves with the manifest as far as it got, or nothing when none was begun. */
  stop(): Promise<CheckpointManifest | undefined> {
    this.#stopping = true
    this.#hurry.abort()
    return this.#running
  }

  async #run(
    manifest: CheckpointManifest,
    onDone: (hashed: number, error?: unknown) => void,
  ): Promise<CheckpointManifest> {
    let learned = manifest
    try {
      const { old, young } = await this.#unhashed(manifest)
      learned = await this.#learn(learned, old)
      if (young.length > 0) {
        await this.#patience()
        learned = await this.#learn(learned, young)
      }
      if (!this.#stopping) onDone(old.length + young.length)
    } catch (error) {
      onDone(0, error)
    }
    return learned
  }

  async #unhashed(
    manifest: CheckpointManifest,
  ): Promise<{ old: CheckpointTable[]; young: CheckpointTable[] }> {
    const old: CheckpointTable[] = []
    const young: CheckpointTable[] = []
    const seen = new Set<string>()
    await inTurns(manifest.tables, (table) => {
      if (table.sha256 !== undefined) return
      seen.add(table.name)
      if (this.#seen.has(table.name)) old.push(table)
      else young.push(table)
    })
    this.#seen = seen
    return { old, young }
  }

  async #patience(): Promise<void> {
    const { signal } = this.#hurry
    // Not referenced: a program that ends needs no hashes.
    await wait(this.#newTablesMs, undefined, { signal, ref: false }).catch(() => undefined)
  }

  /** The manifest with the hashes of these tables, as far as it got before it was stopped. */
  async #learn(
    manifest: CheckpointManifest,
    tables: readonly CheckpointTable[],
  ): Promise<CheckpointManifest> {
    const hashes = new Map<string, string>()
    for (const table of tables) {
      const sha256 = await this.#hash(table)
      if (sha256 !== undefined) hashes.set(table.name, sha256)
    }
    if (hashes.size === 0) return manifest
    const whole = await withHashes(manifest, hashes)
    if (!this.#stopping) await writeCheckpoint(this.#layout.home, whole, this.#fileSystem)
    return whole
  }

  async #hash(table: CheckpointTable): Promise<string | undefined> {
    if (this.#stopping) return undefined
    const place = { tablesDirectory: this.#layout.tablesDirectory, fileSystem: this.#fileSystem }
    return hashTable(table, place, () => !this.#stopping)
  }
}

async function withHashes(
  manifest: CheckpointManifest,
  hashes: ReadonlyMap<string, string>,
): Promise<CheckpointManifest> {
  const tables: CheckpointTable[] = []
  await inTurns(manifest.tables, (table) => {
    const sha256 = hashes.get(table.name)
    tables.push(sha256 === undefined ? table : { ...table, sha256 })
  })
  return { ...manifest, tables }
}
