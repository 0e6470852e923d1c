// Model: beside every log stands the whole content after each of its records. However a state is reached, over deltas or record by
// record, it must be that content; and what is wrong with a delta may cost time, never the recovery.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import {
  type Archive,
  type ArchiveStore,
  countingStore,
  createArchive,
  decideRetention,
  memoryStore,
  openArchive,
  verifyArchive,
} from '@timberline/archive'
import { BULK_LOAD_MARK } from '@timberline/engine'
import type { AppliedPosition, OperationBatch, ReplayTarget } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import { type Random, seededRandom } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { coverageOf } from '../src/history/coverage.ts'
import { pathTo } from '../src/history/history.ts'
import {
  compactLog,
  type CompactReport,
  drill,
  formatDrill,
  historyOf,
  ledgerOf,
  planRecovery,
  recover,
  type RecoveryReport,
} from '../src/index.ts'
import { LogReader } from '../src/source/log-reader.ts'
import { openSource } from '../src/source/open-source.ts'
import { RangeReplay } from '../src/delta/range-replay.ts'
import {
  backupInto,
  type Content,
  contentOf,
  digestOf,
  Environment,
  scratchFolder,
  ship,
} from './environment.ts'

const blockSegments = 3

async function emptyScene(store: ArchiveStore = memoryStore()): Promise<{
  folder: string
  env: Environment
  archive: Archive
}> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(store, { environmentId: env.identity.environmentId })
  return { folder, env, archive }
}

/** Writes over few keys, so that most are overwritten: segments of three to six records each. */
async function writeSegments(env: Environment, count: number, random: Random): Promise<void> {
  const pick = (below: number): number => random.integer(below)
  for (let segment = 0; segment < count; segment++) {
    for (let record = 3 + pick(4); record > 0; record--) {
      const kind = pick(10)
      if (kind === 0) await env.mark(`mark ${env.lsn}`)
      else if (kind === 1) await env.note({ type: 'checkpoint', lsn: 0, segmentNumber: 1, tables: 0 })
      else if (kind === 2)
        await env.write(Object.fromEntries([...env.content(env.lsn).keys()].map((key) => [key, null])))
      else {
        const keys = Array.from({ length: 1 + pick(3) }, () => `k${pick(12)}`)
        await env.write(
          Object.fromEntries(keys.map((key) => [key, pick(4) === 0 ? null : `v${env.lsn} ${pick(100)}`])),
        )
      }
    }
    await env.log.roll()
  }
}

/** A state in memory. */
class MemoryTarget implements ReplayTarget {
  readonly content: Map<string, string>
  #position: AppliedPosition

  constructor(content: Content, position: AppliedPosition) {
    this.content = new Map(content)
    this.#position = position
  }

  applied(): Promise<AppliedPosition> {
    return Promise.resolve(this.#position)
  }

  operationBatch(): OperationBatch {
    const changes: (() => void)[] = []
    return {
      put: (key, value) => void changes.push(() => this.content.set(String(key), String(value))),
      del: (key) => void changes.push(() => this.content.delete(String(key))),
      addAll: (transaction) => {
        while (transaction.next()) {
          const [key, value] = [String(transaction.key), transaction.value]
          if (value === undefined) changes.push(() => this.content.delete(key))
          else changes.push(() => this.content.set(key, String(value)))
        }
      },
      write: (position) => {
        for (const change of changes) change()
        this.#position = position
        return Promise.resolve()
      },
    }
  }
}

function recovered(
  { folder, archive }: { folder: string; archive: Archive },
  more: Partial<Parameters<typeof recover>[0]> = {},
): Promise<RecoveryReport> {
  return recover({ from: { archive }, home: join(folder, `restored-${homes++}`), ...more })
}

let homes = 0

function kinds({ outcomes }: CompactReport): string[] {
  return outcomes.map((outcome) => {
    const { level, firstSegmentNumber, lastSegmentNumber } = outcome.planned
    const why = outcome.type === 'failed' ? ` ${outcome.code}` : ''
    return `${outcome.type}${why} ${level}:${firstSegmentNumber}-${lastSegmentNumber}`
  })
}

/** A backup before nine segments, and a tail as pieces behind them. */
async function longScene(store?: ArchiveStore): Promise<Awaited<ReturnType<typeof emptyScene>>> {
  const scene = await emptyScene(store)
  const { env, archive } = scene
  await env.write({ before: 'all' })
  await env.log.roll()
  await backupInto(env, archive, { label: 'b1' })
  await writeSegments(env, 9, seededRandom(7))
  await env.writeMany(3)
  await ship(env, archive)
  return scene
}

describe('a state reached over deltas', () => {
  test.each([1, 2, 3])(
    'is the one after each record, from the base and from states between, across a fork (seed %i)',
    async (seed) => {
      const random = seededRandom(seed)
      const first = await emptyScene()
      await first.env.write({ first: '1' })
      await backupInto(first.env, first.archive, { label: 'b1' })
      await writeSegments(first.env, 7, random)
      const { archive, folder } = first
      await ship(first.env, archive)
      const forkLsn = first.env.lsn - 5
      const home = join(folder, 'second')
      await recover({ from: { archive }, home, target: { type: 'lsn', lsn: forkLsn, edge: 'through' } })
      const second = await Environment.recovered(home, first.env)
      await writeSegments(second, 8, random)
      await ship(second, archive)
      const report = await compactLog({ archive, blockSegments: 2, scratch: folder })
      expect(new Set(report.outcomes.map(({ planned }) => planned.timeline)), 'both timelines').toEqual(
        new Set([1, 2]),
      )
      const applied = await replayEverywhere(archive, { env: second, folder, random })
      expect(applied, 'deltas were applied').toBeGreaterThan(20)
      await first.env.close()
      await second.close()
    },
  )

  test('has the digest of plain replay, and the report tells what was used', async () => {
    const scene = await longScene()
    const { env, archive, folder } = scene
    await compactLog({ archive, blockSegments, scratch: folder })
    const over = await recovered(scene)
    const plain = await recovered(scene, { deltas: false })
    expect(over.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    expect(over.digest).toEqual(plain.digest)
    expect([over.lsn, over.committedAtUs]).toEqual([plain.lsn, plain.committedAtUs])
    expect(await contentOf(over.home)).toEqual(env.content(env.lsn))
    expect(over.lastApplied).toEqual(plain.lastApplied)
    expect(plain.deltas).toBeUndefined()
    expect(over.deltas?.count).toBeGreaterThan(0)
    expect(over.records + (over.deltas?.records ?? 0)).toBe(plain.records)
    expect(over.warnings).toEqual([])
    await env.close()
  })

  test('is compared with the digest that the backup recorded, though a delta leads past it', async () => {
    const { env, archive, folder } = await emptyScene()
    await env.write({ a: '1' })
    const checkpoint = await env.checkpoint()
    await env.writeMany(4)
    await env.log.roll()
    await env.writeMany(2)
    // The digest is of this record, in the middle of the segment.
    await backupInto(env, archive, { label: 'b1', checkpoint })
    const recordedLsn = env.lsn
    await env.writeMany(3)
    await env.log.roll()
    await writeSegments(env, 8, seededRandom(3))
    await ship(env, archive)
    await compactLog({ archive, blockSegments, scratch: folder })
    const { deltas } = await archive.catalogue()
    expect(deltas.some((one) => one.firstLsn <= recordedLsn && recordedLsn < one.lastLsn)).toBe(true)
    const report = await recovered({ folder, archive })
    expect(report.proofs.map(({ lsn }) => lsn)).toEqual([recordedLsn])
    expect(report.deltas?.count).toBeGreaterThan(0)
    expect(report.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    await env.close()
  })
})

/** To every record, from the base and from some state on the way; returns how many deltas it took. */
async function replayEverywhere(
  archive: Archive,
  { env, folder, random }: { env: Environment; folder: string; random: Random },
): Promise<number> {
  const history = historyOf(await archive.catalogue())
  const path = pathTo(history.branches, env.identity.timeline) ?? []
  const coverage = coverageOf(history, path)
  // The whole way is the plan to the latest; parts of it are cut out of that.
  const plan = planRecovery(await archive.catalogue(), { type: 'latest' })
  if (!plan.possible) throw new Error(plan.message)
  const source = await openSource({ archive }, nodeFileSystem)
  let applied = 0
  for (let through = plan.base.lsn + 1; through <= env.lsn; through++) {
    for (const from of [plan.base.lsn, plan.base.lsn + random.integer(through - plan.base.lsn)]) {
      const position = { lsn: from, committedAtUs: env.times[from] ?? 0 }
      const target = new MemoryTarget(env.content(from), position)
      const reader = new LogReader(source, { directory: folder, fileSystem: nodeFileSystem })
      const replay = new RangeReplay({
        target,
        source,
        reader,
        choice: { spans: plan.spans, deltas: coverage.deltas },
        directory: folder,
        fileSystem: nodeFileSystem,
      })
      await replay.run({ fromLsn: from + 1, throughLsn: through, deltasThroughLsn: through })
      await reader.close()
      const where = `from ${from} through ${through}`
      expect(target.content, where).toEqual(env.content(through))
      expect(await target.applied(), where).toEqual({ lsn: through, committedAtUs: env.times[through] })
      applied += replay.applied.length
      for (const left of await readdir(folder)) expect(left).not.toMatch(/^delta/)
      await Promise.all(
        (await readdir(folder))
          .filter((name) => /^(segment|pieces)-/.test(name))
          .map((name) => nodeFileSystem.remove(join(folder, name))),
      )
    }
  }
  return applied
}

describe('a target inside a delta', () => {
  test('is reached by log alone, and behind its end the delta is used', async () => {
    const scene = await longScene()
    const { env, archive, folder } = scene
    await compactLog({ archive, blockSegments, scratch: folder })
    const catalogue = await archive.catalogue()
    const [first] = catalogue.deltas
    if (first === undefined) throw new Error('no delta')
    for (const [lsn, deltas] of [
      [first.lastLsn - 1, 0],
      [first.lastLsn, 0],
      [first.lastLsn + 1, 1],
    ] as const) {
      const plan = planRecovery(catalogue, { type: 'lsn', lsn, edge: 'through' })
      expect(plan).toMatchObject({ possible: true, predicted: { deltas } })
      const report = await recovered(scene, { target: { type: 'lsn', lsn, edge: 'through' } })
      expect(report.deltas?.count ?? 0).toBe(deltas)
      expect(report.digest).toEqual(digestOf(env.content(lsn), lsn))
    }
    const plan = planRecovery(catalogue, { type: 'latest' }, { deltas: false })
    expect(plan).toMatchObject({ possible: true, deltas: [], predicted: { deltas: 0 } })
    await env.close()
  })

  test('by time is exact, with either edge', async () => {
    const scene = await longScene()
    const { env, archive, folder } = scene
    await compactLog({ archive, blockSegments, scratch: folder })
    const [, first] = (await archive.catalogue()).deltas
    const lastLsn = first?.lastLsn ?? 0
    let used = 0
    for (const lsn of [lastLsn - 1, lastLsn, lastLsn + 1, lastLsn + 2]) {
      const target = { type: 'time', atUs: env.times[lsn] ?? 0 } as const
      for (const edge of ['before', 'through'] as const) {
        const report = await recovered(scene, { target: { ...target, edge } })
        const expected = edge === 'before' ? lsn - 1 : lsn
        expect(report.digest).toEqual(digestOf(env.content(expected), expected))
        used += report.deltas?.count ?? 0
      }
    }
    expect(used).toBeGreaterThan(0)
    await env.close()
  })
})

test('the ledger predicts by what will be written, keys of deltas and records alike', async () => {
  const { env, archive, folder } = await longScene()
  const proof = {
    timeline: 1,
    lsn: 2,
    committedAtUs: 1,
    provedAtUs: 2,
    baseBytes: 1,
    logBytes: 1,
    records: 1,
  }
  const times = { totalUs: 1000, restoreUs: 0, replayUs: 1000 }
  await archive.appendEvent({ type: 'recovery.proved', proof: { ...proof, ...times } })
  const plain = ledgerOf(await archive.catalogue(), 10).predicted
  expect(plain).toMatchObject({ deltas: 0, deltaEntries: 0, ms: plain?.records })
  await compactLog({ archive, blockSegments, scratch: folder })
  const over = ledgerOf(await archive.catalogue(), 10).predicted
  expect(over?.deltas).toBeGreaterThan(0)
  expect(over?.records).toBeLessThan(plain?.records ?? 0)
  expect(over?.ms).toBe((over?.records ?? 0) + (over?.deltaEntries ?? 0))
  const report = await recovered({ folder, archive })
  expect(report).toMatchObject({ records: over?.records, deltas: { entries: over?.deltaEntries } })
  await env.close()
})

const damages: Record<string, (bytes: Buffer) => Buffer | undefined> = {
  missing: () => undefined,
  cut: (bytes) => bytes.subarray(0, bytes.length - 1),
  flipped: (bytes) => {
    const other = Buffer.from(bytes)
    // In the middle of what is compressed.
    const at = 64 + Math.floor((bytes.length - 64) / 2)
    other.writeUInt8(other.readUInt8(at) ^ 4, at)
    return other
  },
}

async function damageObject(store: ArchiveStore, name: string, damage: string): Promise<void> {
  const bytes = damages[damage]?.(await store.get(name))
  await store.delete(name)
  if (bytes !== undefined) await store.put(name, bytes)
}

async function findingsOf(archive: Archive): Promise<string[]> {
  const findings = []
  for await (const { name } of verifyArchive(archive, { strays: true })) findings.push(name)
  return findings
}

describe('a delta that cannot be used', () => {
  test.each(Object.keys(damages))(
    'because it is %s costs time, not the recovery, and is told',
    async (damage) => {
      const store = memoryStore()
      const scene = await longScene(store)
      const { env, archive, folder } = scene
      await compactLog({ archive, blockSegments, scratch: folder })
      const { deltas } = await archive.catalogue()
      for (const { name } of deltas) await damageObject(store, name, damage)
      const report = await recovered(scene)
      expect(report.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
      expect(report.deltas).toBeUndefined()
      expect(report.warnings.length).toBeGreaterThan(0)
      for (const warning of report.warnings)
        expect(deltas.some(({ name }) => warning.includes(name))).toBe(true)
      expect((await findingsOf(archive)).toSorted()).toEqual(deltas.map(({ name }) => name).toSorted())
      await env.close()
    },
  )

  test('because a later release wrote it is gone around too, and touches nothing', async () => {
    const scene = await longScene()
    const { env, archive, folder } = scene
    await compactLog({ archive, blockSegments, scratch: folder })
    for (const { storedBytes: _, ...old } of (await archive.catalogue()).deltas) {
      const content = await archive.getObject(old.name)
      content.writeUInt16LE(2, 8)
      content.writeUInt32LE(crc32(content.subarray(0, 64)), 64)
      const name = `${old.name}-2`
      const { bytes, sha256, storedBytes } = await archive.putObject(name, content)
      await archive.appendEvent({ type: 'delta.removed', name: old.name })
      await archive.appendEvent({ type: 'delta.added', delta: { ...old, bytes, sha256, storedBytes, name } })
    }
    const report = await recovered(scene)
    expect(report.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    expect(report.deltas).toBeUndefined()
    expect(report.warnings[0]).toContain('RECOVERY_DELTA_UNUSABLE')
    await env.close()
  })

  test('leaves the smaller ones inside its run to the recovery', async () => {
    const store = memoryStore()
    const scene = await longScene(store)
    const { env, archive, folder } = scene
    const made = await compactLog({ archive, blockSegments, scratch: folder })
    expect(kinds(made)).toContain('added 2:1-9')
    const large = (await archive.catalogue()).deltas.find(
      (one) => one.lastSegmentNumber - one.firstSegmentNumber > 3,
    )
    await store.delete(large?.name ?? '')
    const report = await recovered(scene)
    expect(report.warnings).toHaveLength(1)
    expect(report.deltas?.count).toBeGreaterThan(1)
    expect(report.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    await env.close()
  })
})

describe('compaction', () => {
  test('makes recovery open few objects for many segments', async () => {
    const counting = countingStore(memoryStore())
    const scene = await emptyScene(counting)
    const { env, archive, folder } = scene
    await env.write({ a: '1' })
    await backupInto(env, archive, { label: 'b1' })
    await writeSegments(env, 40, seededRandom(11))
    await ship(env, archive)
    await compactLog({ archive, blockSegments, scratch: folder })
    const opened = async (deltas: boolean): Promise<number> => {
      const before = counting.counts.getStream
      const { digest } = await recovered(scene, { deltas, scratch: true })
      expect(digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
      return counting.counts.getStream - before
    }
    const plain = await opened(false)
    const over = await opened(true)
    expect(plain).toBeGreaterThan(40)
    expect(over).toBeLessThan(plain - 25)
    await env.close()
  })

  test('of more keys than go into one batch is applied whole, and a drill tells of it', async () => {
    const scene = await emptyScene()
    const { env, archive, folder } = scene
    await env.write({ a: '1' })
    await backupInto(env, archive, { label: 'b1' })
    for (let round = 0; round < 8; round++) {
      const keys = Array.from({ length: 1200 }, (_, index) => [`key ${index}`, `value ${round}`] as const)
      await env.write(Object.fromEntries(keys))
      await env.log.roll()
    }
    await ship(env, archive)
    await compactLog({ archive, blockSegments, scratch: folder })
    const report = await drill({ archive, scratch: join(folder, 'drill') })
    expect(report.recovery?.deltas?.entries).toBeGreaterThan(1000)
    expect(report.recovery?.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    expect(formatDrill(report).join('\n')).toMatch(/keys of \d+ deltas in place of \d+ more/)
    await env.close()
  })

  test('done again finds nothing to do, and goes on when the log went on', async () => {
    const { env, archive, folder } = await longScene()
    const first = await compactLog({ archive, blockSegments, scratch: folder })
    expect(first.outcomes.length).toBeGreaterThan(2)
    expect((await compactLog({ archive, blockSegments, scratch: folder })).outcomes).toEqual([])
    await writeSegments(env, 3, seededRandom(5))
    await ship(env, archive)
    expect((await compactLog({ archive, blockSegments, scratch: folder })).outcomes).toHaveLength(1)
    expect(await readdir(folder), 'no scratch is left').toEqual(['home'])
    await env.close()
  })

  test('makes the same delta of a run, whatever other deltas are there', async () => {
    const { env, archive, folder } = await longScene()
    const madeOf = async (): Promise<string[]> => {
      await compactLog({ archive, blockSegments: 2, scratch: folder })
      const { deltas } = await archive.catalogue()
      const names = deltas
        .filter((one) => one.firstSegmentNumber % 2 === 1 && one.lastSegmentNumber % 2 === 0)
        .map(({ name }) => name)
      for (const { name } of deltas) await archive.appendEvent({ type: 'delta.removed', name })
      return names
    }
    const alone = await madeOf()
    expect(alone.length).toBeGreaterThan(3)
    await compactLog({ archive, blockSegments: 3, scratch: folder })
    expect(await madeOf()).toEqual(alone)
    await env.close()
  })

  test('finds the archive whole, and a delta of an event that never came a stray', async () => {
    const store = memoryStore()
    const { env, archive, folder } = await longScene(store)
    await compactLog({ archive, blockSegments, scratch: folder })
    const found = async (): Promise<string[]> => {
      const findings = []
      for await (const { code, name } of verifyArchive(archive, { strays: true }))
        findings.push(`${code} ${name}`)
      return findings
    }
    expect(await found()).toEqual([])
    await archive.putObject('delta/00000001/stray', Buffer.from('x'))
    expect(await found()).toEqual(['ARCHIVE_STRAY delta/00000001/stray'])
    await env.close()
  })

  test('declines what would save too little, once', async () => {
    const { env, archive, folder } = await emptyScene()
    // Large segments of keys that never come again: the delta would be the log.
    for (let segment = 0; segment < blockSegments; segment++) {
      for (let n = 0; n < 4; n++) await env.write({ [`key ${env.lsn}`]: 'x'.repeat(100_000) })
      await env.log.roll()
    }
    await ship(env, archive)
    expect(kinds(await compactLog({ archive, blockSegments, scratch: folder }))).toEqual(['declined 1:1-3'])
    expect(await archive.catalogue()).toMatchObject({ deltas: [], declinedDeltas: [{ reason: 'size' }] })
    expect((await compactLog({ archive, blockSegments, scratch: folder })).outcomes).toEqual([])
    await env.close()
  })

  test('declines a run with a load beside the log: no delta hides it', async () => {
    const { env, archive, folder } = await emptyScene()
    const random = seededRandom(1)
    await writeSegments(env, 1, random)
    await env.mark(BULK_LOAD_MARK)
    await writeSegments(env, 8, random)
    await ship(env, archive)
    expect(kinds(await compactLog({ archive, blockSegments, scratch: folder }))).toEqual([
      'declined 1:1-3',
      'added 1:4-6',
      'added 1:7-9',
      'declined 2:1-9',
    ])
    await env.close()
  })

  test('makes a large delta of log when a small one cannot be used, and tells of log that cannot be read', async () => {
    const store = memoryStore()
    const { env, archive, folder } = await longScene(store)
    await compactLog({ archive, blockSegments, scratch: folder })
    const { deltas, segments } = await archive.catalogue()
    const large = deltas.find((one) => one.lastSegmentNumber - one.firstSegmentNumber > 3)
    const small = deltas.find((one) => one !== large)
    await archive.appendEvent({ type: 'delta.removed', name: large?.name ?? '' })
    await store.delete(large?.name ?? '')
    await store.delete(small?.name ?? '')
    const again = await compactLog({ archive, blockSegments, scratch: folder })
    expect(kinds(again)).toEqual(['added 2:1-9'])
    expect(again.outcomes).toMatchObject([{ delta: { sha256: large?.sha256 } }])
    expect(again.warnings).toHaveLength(1)
    for (const { name } of deltas) await archive.appendEvent({ type: 'delta.removed', name })
    await store.delete(segments[4]?.name ?? '')
    expect(kinds(await compactLog({ archive, blockSegments, scratch: folder }))).toEqual([
      'added 1:1-3',
      'failed ARCHIVE_OBJECT_MISSING 1:4-6',
      'added 1:7-9',
      'failed ARCHIVE_OBJECT_MISSING 2:1-9',
    ])
    await env.close()
  })

  test.each(Object.keys(damages))('makes a delta anew that is %s, when it is to look', async (damage) => {
    const store = memoryStore()
    const { env, archive, folder } = await longScene(store)
    await compactLog({ archive, blockSegments, scratch: folder })
    const { deltas } = await archive.catalogue()
    const [first] = deltas
    if (first === undefined) throw new Error('no delta')
    await damageObject(store, first.name, damage)
    const idle = await compactLog({ archive, blockSegments, scratch: folder })
    expect(idle).toMatchObject({ outcomes: [], dropped: [] })
    const report = await compactLog({ archive, blockSegments, scratch: folder, check: true })
    expect(report).toMatchObject({ outcomes: [{ type: 'added', delta: first }], dropped: [first.name] })
    expect((await archive.catalogue()).deltas).toEqual(deltas)
    expect(await findingsOf(archive)).toEqual([])
    await env.close()
  })

  test('replaces what is damaged under its name and in no catalogue', async () => {
    const store = memoryStore()
    const { env, archive, folder } = await longScene(store)
    await compactLog({ archive, blockSegments, scratch: folder })
    const { deltas } = await archive.catalogue()
    for (const { name } of deltas) {
      await archive.appendEvent({ type: 'delta.removed', name })
      await damageObject(store, name, 'flipped')
    }
    await compactLog({ archive, blockSegments, scratch: folder })
    expect((await archive.catalogue()).deltas).toEqual(deltas)
    expect(await findingsOf(archive)).toEqual([])
    await env.close()
  })

  test('leaves nothing of a delta whose log was let go while it was made', async () => {
    const store = memoryStore()
    let letGo = (): Promise<void> => Promise.resolve()
    const busy: ArchiveStore = {
      ...store,
      url: store.url,
      put: async (name, content) => {
        const outcome = await store.put(name, content)
        if (name.startsWith('delta/')) await letGo()
        return outcome
      },
    }
    const { env, archive, folder } = await longScene(busy)
    // By another process, which has a journal of its own.
    const other = await openArchive(store)
    letGo = () => {
      letGo = () => Promise.resolve()
      const segments = [{ timeline: 1, fromSegment: 1, throughSegment: 1 }]
      return decideRetention(other, () => ({ backups: [], segments, timelines: [] }))
    }
    expect(kinds(await compactLog({ archive, blockSegments, scratch: folder }))).toEqual([
      'failed ARCHIVE_CONFLICT 1:1-3',
      'added 1:4-6',
      'added 1:7-9',
      'failed ARCHIVE_CONFLICT 2:1-9',
    ])
    const left = []
    for await (const { name } of store.list('delta/')) left.push(name)
    expect(left).toEqual((await archive.catalogue()).deltas.map(({ name }) => name))
    await env.close()
  })

  test('of an encrypted archive takes a key, and makes deltas that take it too', async () => {
    const store = memoryStore()
    const { env, archive, folder } = await emptyScene(store)
    // Made for this test alone.
    const identity = 'AGE-SECRET-KEY-13D84MK74LL5DLFRFY9DWJ2KLXJMKVXEG8DRY2S7LYPRWLFYHSFYSMH7N0K'
    await archive.setRecipients(['age1xmjecr8mw2y5fmh69fcfprx37zznmlyrhsr42v2n4tn9fsllvcmsf7jv2s'])
    await env.write({ a: '1' })
    await backupInto(env, archive, { label: 'b1' })
    await writeSegments(env, 9, seededRandom(2))
    await env.writeMany(2)
    await ship(env, archive)
    await expect(compactLog({ archive, blockSegments, scratch: folder })).rejects.toMatchObject({
      code: 'ARCHIVE_KEY_MISSING',
    })
    const opened = await openArchive(store, { identities: [identity] })
    await compactLog({ archive: opened, blockSegments, scratch: folder })
    for (const { name } of (await opened.catalogue()).deltas) {
      expect((await store.get(name)).toString('latin1', 0, 21)).toBe('age-encryption.org/v1')
    }
    const report = await recovered({ folder, archive: opened })
    expect(report.deltas?.count).toBeGreaterThan(0)
    expect(report.digest).toEqual(digestOf(env.content(env.lsn), env.lsn))
    // Made twice at once, they differ in bytes and not in content.
    const { deltas } = await opened.catalogue()
    for (const { name } of deltas) await opened.appendEvent({ type: 'delta.removed', name })
    await compactLog({ archive: opened, blockSegments, scratch: folder })
    expect((await opened.catalogue()).deltas.map(({ name }) => name)).toEqual(deltas.map(({ name }) => name))
    await env.close()
  })

  test('that dies at any put leaves a stray at most, and is done when it is run again', async () => {
    const store = memoryStore()
    let puts = Infinity
    const dying: ArchiveStore = {
      ...store,
      url: store.url,
      put: (name, content) => {
        puts -= 1
        return puts < 0 ? Promise.reject(new Error('dead')) : store.put(name, content)
      },
    }
    const { env, archive, folder } = await longScene(dying)
    const found = async (): Promise<string[]> => {
      const codes = []
      for await (const { code } of verifyArchive(archive, { strays: true })) codes.push(code)
      return codes
    }
    const dies = async (at: number): Promise<boolean> => {
      puts = at
      try {
        await compactLog({ archive, blockSegments, scratch: folder })
        return false
      } catch (error) {
        if (error instanceof Error && error.message === 'dead') return true
        throw error
      } finally {
        puts = Infinity
      }
    }
    let died = 0
    while (await dies(died)) {
      died += 1
      expect([[], ['ARCHIVE_STRAY']]).toContainEqual(await found())
      await compactLog({ archive, blockSegments, scratch: folder })
      expect(await found()).toEqual([])
      for (const { name } of (await archive.catalogue()).deltas) {
        await archive.appendEvent({ type: 'delta.removed', name })
        await store.delete(name)
      }
    }
    // Two puts for each of four deltas.
    expect(died).toBe(8)
    await env.close()
  })
})
