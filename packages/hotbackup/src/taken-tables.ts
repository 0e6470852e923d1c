/**
 * Tables that an incremental backup takes over from its base as soon as it knows its checkpoint. They need no pin: no link into the home and
 * out of it again for each table that stays.
 */
import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import type { CheckpointManifest } from '@timberline/engine'
import { inParallel } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { holdsTable } from './sink/backup-base.ts'
import type { BackupBase } from './sink/backup-base.ts'
import type { BackupSink } from './sink/sink.ts'

const LINKS_AT_A_TIME = 8

/** What a folder in the making has of its base. */
export class TakenTables {
  readonly #base: BackupBase
  readonly #sink: BackupSink
  readonly #fileSystem: FileSystem
  readonly #files = new Map<string, BackupFile>()

  constructor(
    { base, sink }: { readonly base: BackupBase; readonly sink: BackupSink },
    fileSystem: FileSystem,
  ) {
    this.#base = base
    this.#sink = sink
    this.#fileSystem = fileSystem
  }

  /** By the names of the tables. */
  get files(): ReadonlyMap<string, BackupFile> {
    return this.#files
  }

  /** Takes over what the base has of a checkpoint, gives back what was taken for another one, and names what it holds then. */
  readonly take = async ({ tables }: CheckpointManifest): Promise<ReadonlySet<string>> => {
    const held = tables.filter((table) => holdsTable(this.#base, table))
    const wanted = new Set(held.map(({ name }) => name))
    for (const [table, { name }] of this.#files) {
      if (wanted.has(table)) continue
      await this.#fileSystem.remove(join(this.#sink.folder ?? '', name))
      this.#files.delete(table)
    }
    const missing = held.filter(({ name }) => !this.#files.has(name))
    await inParallel(missing, LINKS_AT_A_TIME, async ({ name }) => {
      const known = this.#base.files.get(`checkpoint/tables/${name}`)
      const file = known && (await this.#sink.reuse?.(known))
      if (file !== undefined) this.#files.set(name, file)
    })
    return new Set(this.#files.keys())
  }
}
