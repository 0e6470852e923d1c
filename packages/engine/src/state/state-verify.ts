import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { verifyTable } from '../checkpoint/checkpoint-hash.ts'
import type { CheckpointTable } from '../checkpoint/checkpoint-manifest.ts'
import { newestIfSound } from '../checkpoint/checkpoint-sweep.ts'
import { tablesByNumber } from '../checkpoint/checkpoint-take.ts'
import { codeOf } from '../errors.ts'
import type { HomeLayout } from '../home/home-layout.ts'
import { tableName } from '../leveldb/leveldb-files.ts'
import { readVersion } from '../leveldb/leveldb-flush.ts'
import { VersionReader } from '../leveldb/leveldb-version.ts'

/** A table that is not what it should be. */
export interface DataFinding {
  readonly table: string
  readonly code: string
  readonly message: string
}

/** Options of {@link verifyData}. */
export interface VerifyDataOptions {
  readonly fileSystem?: FileSystem
  readonly signal?: AbortSignal | undefined
}

/**
 * Verifies every live table of `data/`: against its hash where a checkpoint recorded one, otherwise against the checksums
 * of its blocks. LevelDB itself serves a flipped bit as data. The folder may be open: a table that LevelDB has dropped
 * meanwhile is no finding.
 */
export async function verifyData(
  layout: HomeLayout,
  options: VerifyDataOptions = {},
): Promise<readonly DataFinding[]> {
  const { fileSystem = nodeFileSystem, signal } = options
  const reader = new VersionReader(layout.dataDirectory, fileSystem)
  const live = [...(await readVersion(reader, layout.dataDirectory)).version.tables.values()]
  const hashed = await tablesByNumber(await newestIfSound(layout.home, fileSystem))
  const findings: DataFinding[] = []
  for (const { number, bytes } of live) {
    signal?.throwIfAborted()
    const known = hashed.get(number)
    const table: CheckpointTable =
      known?.bytes === bytes ? known : { name: await presentName(number, layout, fileSystem), bytes }
    try {
      await verifyTable(table, { tablesDirectory: layout.dataDirectory, fileSystem })
    } catch (error) {
      const code = codeOf(error) ?? ''
      const dropped = !(await readVersion(reader, layout.dataDirectory)).version.tables.has(number)
      if (dropped) continue
      if (code !== 'ENGINE_TABLE_DAMAGED' && code !== 'ENOENT') throw error
      findings.push({
        table: table.name,
        code,
        message: error instanceof Error ? error.message : String(error),
      })
    }
  }
  return findings
}

async function presentName(number: number, layout: HomeLayout, fileSystem: FileSystem): Promise<string> {
  const old = tableName(number, 'sst')
  const isOld = (await fileSystem.status(join(layout.dataDirectory, old))) !== undefined
  return isOld ? old : tableName(number)
}
