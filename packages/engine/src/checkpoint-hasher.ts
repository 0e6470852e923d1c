import type { FileSystem } from '@timberline/wal'
import { hashTable } from './checkpoint-hash.ts'
import { writeCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import type { HomeLayout } from './home-layout.ts'
import { inTurns } from './turns.ts'

/**
 * Hashes tables of a checkpoint in the background, each once in its life, and writes the manifest again with what it
 * learned. A checkpoint appears before its new tables are hashed, so that it need not wait for the reading.
 */
export class CheckpointHasher {
  readonly #layout: HomeLayout
  readonly #fileSystem: FileSystem
  #stopping = false
  #running: Promise<CheckpointManifest | undefined> = Promise.resolve(undefined)

  constructor(layout: HomeLayout, fileSystem: FileSystem) {
    this.#layout = layout
    this.#fileSystem = fileSystem
  }

  /** Begins; `onDone` is told the tables hashed now, once the manifest has them. */
  begin(manifest: CheckpointManifest, onDone: (hashed: number, error?: unknown) => void): void {
    this.#stopping = false
    this.#running = this.#run(manifest, onDone)
  }

  /** Resolves when the checkpoint's tables all have hashes, or hashing was stopped or failed. */
  async settled(): Promise<void> {
    await this.#running
  }

  /** Ends within one read; resolves with the manifest as far as it got, or nothing when none was begun. */
  stop(): Promise<CheckpointManifest | undefined> {
    this.#stopping = true
    return this.#running
  }

  async #run(
    manifest: CheckpointManifest,
    onDone: (hashed: number, error?: unknown) => void,
  ): Promise<CheckpointManifest> {
    const hashes = new Map<string, string>()
    try {
      const unhashed: CheckpointTable[] = []
      await inTurns(manifest.tables, (table) => {
        if (table.sha256 === undefined) unhashed.push(table)
      })
      for (const table of unhashed) {
        const sha256 = await this.#hash(table)
        if (sha256 !== undefined) hashes.set(table.name, sha256)
      }
      const whole = hashes.size === 0 ? manifest : await withHashes(manifest, hashes)
      if (whole !== manifest && !this.#stopping)
        await writeCheckpoint(this.#layout.home, whole, this.#fileSystem)
      if (!this.#stopping) onDone(hashes.size)
      return whole
    } catch (error) {
      onDone(hashes.size, error)
      return manifest
    }
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
