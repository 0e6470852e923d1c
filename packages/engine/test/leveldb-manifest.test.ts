import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { TimberlineError, nodeFileSystem } from '@timberline/wal'
import { ManifestParser, parseManifest } from '../src/leveldb/leveldb-manifest.ts'
import { VersionReader } from '../src/leveldb/leveldb-version.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()

/** LevelDB's own list of its tables: `number:bytes` by level. */
function tablesOf(level: ClassicLevel<string, string>): string[] {
  const found: string[] = []
  let depth = -1
  for (const line of level.getProperty('leveldb.sstables').split('\n')) {
    const heading = /^--- level (\d+) ---$/.exec(line)
    if (heading !== null) depth = Number(heading[1])
    const table = /^ (\d+):(\d+)\[/.exec(line)
    if (table !== null) found.push(`${depth} ${table[1]}:${table[2]}`)
  }
  return found.toSorted()
}

/** What a call throws; `undefined` when it ends in a value. */
function outcomeOf(call: () => unknown): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}

async function churn(level: ClassicLevel<string, string>, round: number): Promise<void> {
  const batch = level.batch()
  for (let index = 0; index < 400; index += 1) {
    batch.put(`k${(round * 37 + index * 11) % 3000}`.padEnd(200, 'x'), `${round}.${index}`.repeat(12))
  }
  await batch.write()
}

describe('the MANIFEST reader', () => {
  let whole: Buffer
  /** Where each whole record ends. */
  const ends: number[] = []

  beforeAll(async () => {
    const directory = join(folder, 'churned')
    const level = new ClassicLevel<string, string>(directory, {
      writeBufferSize: 64 * 1024,
      maxFileSize: 1024 * 1024,
    })
    for (let reopened = 0; reopened < 3; reopened += 1) {
      await level.open()
      for (let round = 0; round < 150; round += 1) await churn(level, round + reopened * 1000)
      if (reopened < 2) await level.close()
    }
    await level.compactRange('a', 'z')
    const name = readdirSync(directory).find((entry) => entry.startsWith('MANIFEST-')) ?? ''
    await level.close()
    whole = readFileSync(join(directory, name))
    const parser = new ManifestParser()
    for (let end = 0; end <= whole.length; end += 1) {
      parser.parse(whole.subarray(0, end))
      if (parser.endBytes !== (ends.at(-1) ?? 0)) ends.push(parser.endBytes)
    }
  })

  test('agrees with LevelDB about its live tables, at every point of a busy life', async () => {
    const directory = join(folder, 'compared')
    const level = new ClassicLevel<string, string>(directory, {
      writeBufferSize: 64 * 1024,
      maxFileSize: 1024 * 1024,
    })
    const reader = new VersionReader(directory, nodeFileSystem)
    let compared = 0
    let tablesSeen = 0
    for (let round = 0; round < 200; round += 1) {
      if (level.status !== 'open') await level.open()
      await churn(level, round)
      // The MANIFEST shows a version a moment before LevelDB itself does, so the two are read until they meet.
      let ours: string[] = []
      let theirs: string[] = []
      for (let tries = 0; tries === 0 || (tries < 500 && ours.join() !== theirs.join()); tries += 1) {
        const tables = (await reader.read())?.version.tables.values() ?? []
        ours = [...tables].map((table) => `${table.level} ${table.number}:${table.bytes}`).toSorted()
        theirs = tablesOf(level)
      }
      expect(ours).toEqual(theirs)
      compared += 1
      tablesSeen += ours.length
      if (round % 67 === 66) await level.close()
    }
    await level.close()
    expect(compared).toBe(200)
    expect(tablesSeen).toBeGreaterThan(200)
  })

  test('reads a version at every cut position: that of the last whole record', () => {
    expect(ends.length).toBeGreaterThan(50)
    const near = new Set(ends.flatMap((end) => Array.from({ length: 20 }, (_, index) => end - 10 + index)))
    const wrong: number[] = []
    for (let cut = 0; cut <= whole.length; cut += 1) {
      // All around the ends of records; elsewhere a cut differs from its neighbour in nothing.
      if (!near.has(cut) && cut % 61 !== 0) continue
      const parser = new ManifestParser()
      const version = parser.parse(whole.subarray(0, cut))
      const expected = ends.findLast((end) => end <= cut) ?? 0
      if (parser.endBytes !== expected || (version !== undefined && version.endBytes !== expected))
        wrong.push(cut)
    }
    expect(wrong).toEqual([])
  })

  test('goes on where it ended when the file has grown', () => {
    const parser = new ManifestParser()
    const random = seededRandom(7)
    for (let end = 0; end < whole.length; end += Math.ceil(random() * 500))
      parser.parse(whole.subarray(0, end))
    const grown = parser.parse(whole)
    const once = parseManifest(whole)
    expect(grown).toEqual(once)
    expect(once.endBytes).toBe(whole.length)
  })

  test('never takes a flipped bit for a record, and never reads past it', () => {
    const random = seededRandom(11)
    for (let trial = 0; trial < 2000; trial += 1) {
      const position = Math.floor(random() * whole.length)
      const damaged = Buffer.from(whole)
      damaged.writeUInt8(damaged.readUInt8(position) ^ (1 << Math.floor(random() * 8)), position)
      const parser = new ManifestParser()
      parser.parse(damaged)
      expect(parser.endBytes).toBe(ends.findLast((end) => end <= position) ?? 0)
    }
  })

  test('ends in a value or a typed error for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 4096 }), fc.nat({ max: 4096 }), (bytes, keep) => {
        const mixed = Buffer.concat([whole.subarray(0, keep), bytes])
        const outcome = outcomeOf(() => parseManifest(mixed))
        expect(outcome === undefined || outcome instanceof TimberlineError).toBe(true)
      }),
      { numRuns: 300 },
    )
  })

  test('refuses a MANIFEST without a whole version by name', () => {
    expect(() => parseManifest(Buffer.alloc(0))).toThrow(
      expect.objectContaining({ code: 'ENGINE_MANIFEST_DAMAGED' }),
    )
  })

  test('reads records that span blocks', () => {
    expect(whole.length).toBeGreaterThan(32 * 1024)
    expect(
      ends.some((end, index) => Math.floor((ends[index - 1] ?? 0) / 32768) !== Math.floor((end - 1) / 32768)),
    ).toBe(true)
  })
})
