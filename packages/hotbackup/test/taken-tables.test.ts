import { readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeCheckpoint, encodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest, TimberLevel } from '@timberline/engine'
import { FaultFileSystem, immediateFileSystem } from '@timberline/wal/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { baseOf } from '../src/sink/backup-base.ts'
import { beginFolderSink } from '../src/sink/folder-sink.ts'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { TakenTables } from '../src/taken-tables.ts'
import { makeFastFolder, openUsedHome } from './fixture.ts'

let folder = ''
let home = ''
let monday = ''
let db: TimberLevel<string, string>
let base: BackupResult

beforeEach(async () => {
  folder = await makeFastFolder()
  home = join(folder, 'home')
  monday = join(folder, 'monday')
  db = await openUsedHome(home, 60)
  base = await hotbackup({ home, target: monday, digest: false })
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The checkpoint of the home or of a backup, which there is one of. */
async function checkpointIn(place: string): Promise<{ path: string; checkpoint: CheckpointManifest }> {
  const names = await readdir(join(place, 'checkpoint'))
  const path = join(place, 'checkpoint', names.find((name) => name.endsWith('.json')) ?? '')
  return { path, checkpoint: decodeCheckpoint(await readFile(path), path) }
}

describe('an incremental backup', () => {
  it('links no table into the home that it takes over from its base', async () => {
    // The engine hashes its tables when it comes to it; a backup has all hashes of the same checkpoint.
    const { path } = await checkpointIn(home)
    const { checkpoint } = await checkpointIn(monday)
    await writeFile(path, encodeCheckpoint(checkpoint))
    const counting = new FaultFileSystem(immediateFileSystem)
    const tuesday = join(folder, 'tuesday')
    const { reusedBytes } = await hotbackup({
      home,
      target: tuesday,
      base: monday,
      digest: false,
      fileSystem: counting,
    })
    expect(reusedBytes).toBe(checkpoint.tables.reduce((sum, { bytes }) => sum + bytes, 0))
    const inHome = counting.operations.filter(({ path: at, to }) => `${at} ${String(to)}`.includes('.ldb'))
    expect(inHome.filter((each) => `${each.path} ${String(each.to)}`.includes(home))).toEqual([])
    expect(await verifyBackup(tuesday)).toEqual([])
  })

  it('gives back what it took for a checkpoint that another one replaced', async () => {
    const { checkpoint } = await checkpointIn(monday)
    const [first, ...others] = checkpoint.tables
    expect(others.length).toBeGreaterThan(0)
    const found = { ...baseOf(base.manifest), folder: monday }
    const sink = await beginFolderSink({
      target: join(folder, 'tuesday'),
      label: 'L',
      base: found,
      fileSystem: immediateFileSystem,
    })
    const taken = new TakenTables({ base: found, sink }, immediateFileSystem)
    const names = async (): Promise<readonly string[]> => readdir(join(sink.folder, 'checkpoint/tables'))
    const all = checkpoint.tables.map(({ name }) => name).toSorted()
    expect([...(await taken.take(checkpoint))].toSorted()).toEqual(all)
    expect(await names()).toEqual(all)
    // A number that was given to another table, and one that is gone.
    const later = {
      ...checkpoint,
      tables: others.map((table, index) => (index === 0 ? { ...table, sha256: '0' } : table)),
    }
    const left = others.slice(1).map(({ name }) => name)
    expect([...(await taken.take(later))].toSorted()).toEqual(left.toSorted())
    expect(await names()).toEqual(left.toSorted())
    expect([...(await taken.take(checkpoint))]).toContain(first?.name)
    await sink.abandon()
  })
})
