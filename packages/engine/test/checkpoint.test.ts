import { createHash } from 'node:crypto'
import { cpSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { TimberlineError, nodeFileSystem } from '@timberline/wal'
import {
  CrashFileSystem,
  FaultFileSystem,
  crashAt,
  failAt,
  immediateFileSystem,
} from '@timberline/wal/testing'
import { hashTable } from '../src/checkpoint/checkpoint-hash.ts'
import {
  decodeCheckpoint,
  encodeCheckpoint,
  listCheckpoints,
  newestCheckpoint,
  readCheckpoint,
  writeCheckpoint,
} from '../src/checkpoint/checkpoint-manifest.ts'
import type { CheckpointManifest, CheckpointTable } from '../src/checkpoint/checkpoint-manifest.ts'
import { writeDataFromCheckpoint } from '../src/checkpoint/checkpoint-restore.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import type { HomeLayout } from '../src/home/home-layout.ts'
import { openState } from '../src/state/state.ts'
import { HomeFixture, expectedState, visibleState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
/** The long form of the loops; the short one fits a busy machine. */
const SOAK = process.env['SOAK'] === '1'
vi.setConfig({ testTimeout: SOAK ? 1_800_000 : 180_000 })
let homes = 0

function newHome(): string {
  homes += 1
  return join(folder, `home${homes}`)
}

/** Opens a copy of a checkpoint and compares it with the state that its LSN promises. */
async function expectPrefix(manifest: CheckpointManifest, layout: HomeLayout): Promise<void> {
  const scratch = join(folder, 'copy')
  rmSync(scratch, { recursive: true, force: true })
  await writeDataFromCheckpoint(manifest, layout.tablesDirectory, scratch, { mode: 'copy' })
  const state = await openState(scratch, { createIfMissing: false })
  expect(await state.applied()).toEqual({ lsn: manifest.lsn, committedAtUs: manifest.committedAtUs })
  expect(await visibleState(state.level)).toEqual(expectedState(manifest.lsn))
  await state.close()
}

describe('a checkpoint', () => {
  test('of an empty state is one too', async () => {
    const fixture = await HomeFixture.open(newHome())
    const { manifest } = await fixture.checkpoint()
    expect(manifest).toMatchObject({ lsn: 0, committedAtUs: 0, segmentNumber: 1, tables: [] })
    await expectPrefix(manifest, fixture.layout)
    await fixture.close()
  })

  test('under a writer that never stops is exactly the prefix that its LSN names, again and again', async () => {
    const fixture = await HomeFixture.open(newHome())
    let writing = true
    const writer = (async () => {
      while (writing) await fixture.commit(20)
    })()
    const rounds = SOAK ? 1000 : 60
    let retried = 0
    let lastLsn = 0
    for (let round = 0; round < rounds; round += 1) {
      const atLeast = fixture.lsn
      const { manifest, created } = await fixture.checkpoint()
      expect(manifest.lsn).toBeGreaterThanOrEqual(atLeast)
      expect(created || manifest.lsn === lastLsn).toBe(true)
      lastLsn = manifest.lsn
      if (manifest.lsn > 5000) writing = false
      if (SOAK || round % 4 === 0) await expectPrefix(manifest, fixture.layout)
      retried += 1
    }
    writing = false
    await writer
    expect(retried).toBe(rounds)
    await fixture.close()
  })

  test('links only new tables and drops those that are gone: the folder holds what the manifest names', async () => {
    const home = newHome()
    const fixture = await HomeFixture.open(home)
    let linked = 0
    let named = 0
    for (let round = 0; round < 30; round += 1) {
      await fixture.commit(100)
      const taken = await fixture.checkpoint()
      linked += taken.linkedCount
      named += taken.manifest.tables.length
      expect(readdirSync(fixture.layout.tablesDirectory).toSorted()).toEqual(
        taken.manifest.tables.map(({ name }) => name).toSorted(),
      )
      expect(await listCheckpoints(home)).toHaveLength(1)
    }
    expect(linked).toBeLessThan(named)
    await fixture.close()
  })

  test('shares its tables with the live database: it copies nothing', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(300)
    const { manifest } = await fixture.checkpoint()
    for (const { name } of manifest.tables) {
      const link = statSync(join(fixture.layout.tablesDirectory, name))
      const live = statSync(join(fixture.layout.dataDirectory, name))
      expect(link.ino).toBe(live.ino)
    }
    await fixture.close()
  })

  test('is not taken twice when nothing has changed', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(10)
    expect((await fixture.checkpoint()).created).toBe(true)
    const again = await fixture.checkpoint()
    expect(again.created).toBe(false)
    await expectPrefix(again.manifest, fixture.layout)
    await fixture.close()
  })

  test('lists leftovers of an interrupted one as nothing, and takes their numbers for the tables that have them now', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(300)
    await fixture.checkpoint()
    // As if a checkpoint had died after linking, and the numbers had since been given to other content.
    for (let number = 1; number < 60; number += 1) {
      const name = `${String(number).padStart(6, '0')}.ldb`
      const path = join(fixture.layout.tablesDirectory, name)
      if (!readdirSync(fixture.layout.tablesDirectory).includes(name)) writeFileSync(path, 'leftover')
    }
    await fixture.commit(300)
    const { manifest } = await fixture.checkpoint()
    await expectPrefix(manifest, fixture.layout)
    expect(readdirSync(fixture.layout.tablesDirectory)).toEqual(
      expect.arrayContaining(manifest.tables.map(({ name }) => name)),
    )
    await fixture.close()
  })

  test('stopped before any single operation on files leaves the one before or the new one, whole', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(200)
    let before = (await fixture.checkpoint()).manifest.lsn
    let stops = 0
    for (let index = 1; ; index += 1) {
      await fixture.commit(30)
      const fileSystem = new FaultFileSystem(immediateFileSystem, crashAt(index))
      const stopped = await fixture.checkpoint({ fileSystem }).then(
        () => false,
        () => true,
      )
      const manifest = await newestCheckpoint(fixture.layout.home)
      expect([before, fixture.lsn]).toContain(manifest?.lsn)
      before = manifest?.lsn ?? 0
      if (manifest !== undefined) await expectPrefix(manifest, fixture.layout)
      if (!stopped) break
      stops += 1
    }
    expect(stops).toBeGreaterThan(25)
    await fixture.close()
  })

  test('that meets an I/O error at any single operation fails by it and harms nothing', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(200)
    await fixture.checkpoint()
    for (const fault of ['EIO', 'ENOSPC'] as const) {
      let faults = 0
      for (let index = 1; ; index += 1) {
        await fixture.commit(10)
        const fileSystem = new FaultFileSystem(immediateFileSystem, failAt(index, fault))
        const error: unknown = await fixture.checkpoint({ fileSystem }).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        const manifest = await newestCheckpoint(fixture.layout.home)
        if (manifest !== undefined && index % 5 === 0) await expectPrefix(manifest, fixture.layout)
        if (fileSystem.injected.length === 0) break
        if (error !== undefined) faults += 1
      }
      expect(faults).toBeGreaterThan(20)
    }
    expect(await fixture.state()).toEqual(expectedState(fixture.lsn))
    await fixture.close()
  })

  test('says by name when LevelDB does not confirm a flush', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(3)
    const { takeCheckpoint } = await import('../src/checkpoint/checkpoint-take.ts')
    const taking = takeCheckpoint({
      layout: fixture.layout,
      identity: fixture.identity,
      // As on a full disk: resolves, and nothing has happened.
      level: { compactRange: () => Promise.resolve() },
      segmentAfter: () => Promise.resolve(1),
    })
    await expect(taking).rejects.toMatchObject({ code: 'ENGINE_CHECKPOINT_UNCONFIRMED' })
    expect(await newestCheckpoint(fixture.layout.home)).toBeUndefined()
    await fixture.close()
  })

  test('takes over the hash of a table that somebody has proved, and none of a table of another length', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(300)
    const { manifest: first } = await fixture.checkpoint()
    const table = first.tables.at(0) ?? { name: '', bytes: 0 }
    const proved = { ...table, sha256: 'a'.repeat(64) }
    const taken = async (known: CheckpointTable): Promise<CheckpointManifest> => {
      const { manifest } = await fixture.checkpoint({ proved: [known], evenIfUnchanged: true })
      return manifest
    }
    expect((await taken({ ...proved, bytes: proved.bytes + 1 })).tables).toContainEqual(table)
    expect((await taken(proved)).tables).toContainEqual(proved)
    await fixture.close()
  })

  test('is written to a folder of data with CURRENT last, and never into a folder that has data', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(300)
    const { manifest } = await fixture.checkpoint()
    const made: string[] = []
    const watching = {
      ...nodeFileSystem,
      open: (path: string, mode: 'read' | 'write' | 'create') => {
        if (mode === 'create') made.push(path)
        return nodeFileSystem.open(path, mode)
      },
    }
    const target = join(folder, 'written')
    const { tablesDirectory } = fixture.layout
    await writeDataFromCheckpoint(manifest, tablesDirectory, target, { mode: 'copy', fileSystem: watching })
    expect(made.at(-1)).toBe(join(target, 'CURRENT'))
    await expect(
      writeDataFromCheckpoint(manifest, tablesDirectory, target, { mode: 'copy' }),
    ).rejects.toMatchObject({ code: 'ENGINE_STATE_DAMAGED' })
    await fixture.close()
  })

  test('finds any table that is not what it was, with a hash or without', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(600)
    const { manifest } = await fixture.checkpoint()
    await fixture.close()
    const place = { tablesDirectory: fixture.layout.tablesDirectory, fileSystem: nodeFileSystem }
    const tables = await Promise.all(
      manifest.tables.map(async (table) => ({ ...table, sha256: (await hashTable(table, place)) ?? '' })),
    )
    let refused = 0
    for (const whole of [manifest, { ...manifest, tables }]) {
      for (const mode of ['link', 'copy'] as const) {
        for (const damage of ['flip', 'cut', 'remove'] as const) {
          const source = join(folder, 'damaged')
          const target = join(folder, 'from-damaged')
          for (const path of [source, target]) rmSync(path, { recursive: true, force: true })
          cpSync(fixture.layout.tablesDirectory, source, { recursive: true })
          const path = join(source, manifest.tables[0]?.name ?? '')
          const bytes = readFileSync(path)
          if (damage === 'remove') rmSync(path)
          else if (damage === 'cut') writeFileSync(path, bytes.subarray(0, bytes.length - 1))
          else {
            bytes.writeUInt8(bytes.readUInt8(77) ^ 16, 77)
            writeFileSync(path, bytes)
          }
          await expect(writeDataFromCheckpoint(whole, source, target, { mode })).rejects.toMatchObject({
            code: 'ENGINE_TABLE_DAMAGED',
          })
          refused += 1
        }
      }
    }
    expect(refused).toBe(12)
  })
})

describe('the manifest of a checkpoint', () => {
  async function someManifest(): Promise<CheckpointManifest> {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(100)
    const { manifest } = await fixture.checkpoint()
    await fixture.close()
    return manifest
  }

  test('comes back as it was written', async () => {
    const manifest = await someManifest()
    expect(decodeCheckpoint(encodeCheckpoint(manifest), 'x')).toEqual(manifest)
  })

  test('of many tables is the JSON it would be in one piece, made in many turns of the loop', async () => {
    const table = (number: number) => ({ name: `${number}.ldb`, bytes: number, sha256: 'ab'.repeat(32) })
    const tables = Array.from({ length: 5000 }, (_, number) => table(number))
    const manifestBase64 = Buffer.alloc(300_000, 'MANIFEST').toString('base64')
    const manifest: CheckpointManifest = { ...(await someManifest()), manifestBase64, tables }
    const json = JSON.stringify(manifest)
    const checksum = createHash('sha256').update(json).digest('hex')
    expect(encodeCheckpoint(manifest).toString()).toBe(`${JSON.stringify({ ...manifest, checksum })}\n`)
    const disk = new CrashFileSystem()
    await disk.makeDirectory('/home/checkpoint')
    let isWritten = false
    const written = writeCheckpoint('/home', manifest, disk).then(() => (isWritten = true))
    let turns = 0
    for (; !isWritten; turns += 1) await new Promise(setImmediate)
    await written
    expect(turns).toBeGreaterThan(10)
    expect(await readCheckpoint('/home', manifest.lsn, disk)).toEqual(manifest)
  })

  test('is refused by name with any byte changed or missing', async () => {
    const bytes = encodeCheckpoint(await someManifest())
    let refused = 0
    for (let position = 0; position < bytes.length - 1; position += 1) {
      const damaged = Buffer.from(bytes)
      damaged.writeUInt8(damaged.readUInt8(position) ^ 1, position)
      for (const content of [damaged, bytes.subarray(0, position)]) {
        expect(() => decodeCheckpoint(content, 'x')).toThrow(
          expect.objectContaining({ code: 'ENGINE_CHECKPOINT_DAMAGED' }),
        )
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(500)
  })

  test('ends in a value or a typed error for any JSON', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => decodeCheckpoint(Buffer.from(json), 'x')).toThrow(TimberlineError)
      }),
      { numRuns: 300 },
    )
  })

  test('is not used when its MANIFEST names other tables than it lists', async () => {
    const fixture = await HomeFixture.open(newHome())
    await fixture.commit(400)
    const { manifest } = await fixture.checkpoint()
    await fixture.close()
    const fewer = { ...manifest, tables: manifest.tables.slice(1) }
    await expect(
      writeDataFromCheckpoint(fewer, homeLayout(fixture.layout.home).tablesDirectory, join(folder, 'fewer'), {
        mode: 'copy',
      }),
    ).rejects.toMatchObject({ code: 'ENGINE_CHECKPOINT_DAMAGED' })
  })
})
