import type { FileSystem } from '@timberline/wal'
import { hashTable } from './checkpoint-hash.ts'
import { writeCheckpoint } from './checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
import type { HomeLayout } from './home-layout.ts'

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
    let hashed = 0
    const tables: CheckpointTable[] = []
    try {
      for (const table of manifest.tables) {
        const sha256 = table.sha256 ?? (await this.#hash(table))
        if (table.sha256 === undefined && sha256 !== undefined) hashed += 1
        tables.push(sha256 === undefined ? table : { ...table, sha256 })
      }
      const whole = { ...manifest, tables }
      if (hashed > 0 && !this.#stopping) await writeCheckpoint(this.#layout.home, whole, this.#fileSystem)
      if (!this.#stopping) onDone(hashed)
      return whole
    } catch (error) {
      onDone(hashed, error)
      return manifest
    }
  }

  async #hash(table: CheckpointTable): Promise<string | undefined> {
    if (this.#stopping) return undefined
    const place = { tablesDirectory: this.#layout.tablesDirectory, fileSystem: this.#fileSystem }
    return hashTable(table, place, () => !this.#stopping)
  }
}
