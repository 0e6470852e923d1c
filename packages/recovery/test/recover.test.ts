import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Archive, createArchive, memoryStore } from '@timberline/archive'
import { BULK_LOAD_MARK, homeLayout, lockHome, newestCheckpoint, readHomeIdentity } from '@timberline/engine'
import { listSegments } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { recover, type RecoveryProgress, type RecoveryReport, type Target } from '../src/index.ts'
import {
  backupInto,
  backupTo,
  contentOf,
  digestOf,
  Environment,
  exists,
  scratchFolder,
  ship,
} from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly archive: Archive
  /** LSN of the first backup's checkpoint. */
  readonly firstLsn: number
}

/** Two backups, whole segments, an unsealed tail as pieces, two marks. */
async function scene(): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(4)
  await backupInto(env, archive, { label: 'b1' })
  const firstLsn = env.lsn
  await env.writeMany(3)
  await env.mark('release')
  await env.writeMany(2)
  await env.log.roll()
  await env.writeMany(3)
  await backupInto(env, archive, { label: 'b2' })
  await env.writeMany(4)
  await env.mark('tail')
  await env.writeMany(2)
  await ship(env, archive)
  await env.close()
  return { folder, env, archive, firstLsn }
}

let homes = 0

async function recovered(
  { folder, archive }: Scene,
  target: Target,
  more: Partial<Parameters<typeof recover>[0]> = {},
): Promise<{ home: string; report: RecoveryReport }> {
  const home = join(folder, `restored-${homes++}`)
  return { home, report: await recover({ from: { archive }, home, target, ...more }) }
}

async function refusal(work: Promise<unknown>): Promise<{ code: string; details: Record<string, unknown> }> {
  try {
    await work
  } catch (error) {
    return error as { code: string; details: Record<string, unknown> }
  }
  return expect.fail('it was not refused')
}

/** The LSN and digest that came out, or the code of the refusal. */
async function outcomeOf(work: Promise<{ report: RecoveryReport }>): Promise<string> {
  try {
    const { report } = await work
    return `${report.lsn} ${report.digest?.hex}`
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('every target is exact', () => {
  test('each LSN, with either edge', async () => {
    const set = await scene()
    const { env, firstLsn } = set
    for (let lsn = firstLsn; lsn <= env.lsn; lsn++) {
      const { home, report } = await recovered(set, { type: 'lsn', lsn, edge: 'through' })
      expect(report.lsn).toBe(lsn)
      expect(report.committedAtUs).toBe(env.times[lsn])
      expect(await contentOf(home)).toEqual(env.content(lsn))
      expect(report.digest).toEqual(digestOf(env.content(lsn), lsn))
      expect(report.firstDropped?.lsn).toBe(lsn === env.lsn ? undefined : lsn + 1)
      const before = await recovered(set, { type: 'lsn', lsn: lsn + 1, edge: 'before' })
      expect(before.report).toMatchObject({ lsn, digest: { hex: report.digest?.hex } })
    }
  })

  test('each commit time, the times between, with either edge', async () => {
    const set = await scene()
    const { env, firstLsn } = set
    for (let lsn = firstLsn; lsn <= env.lsn; lsn++) {
      const atUs = env.times[lsn] ?? 0
      const cases: [number, 'before' | 'through', number][] = [
        [atUs, 'through', lsn],
        [atUs + 1, 'before', lsn],
        [atUs, 'before', lsn - 1],
        [atUs - 1, 'through', lsn - 1],
      ]
      for (const [time, edge, expected] of cases) {
        const isProved = expected >= firstLsn && time <= (env.times[env.lsn] ?? 0)
        const outcome = await outcomeOf(recovered(set, { type: 'time', atUs: time, edge }))
        const refused = expected < firstLsn ? 'RECOVERY_NO_BASE' : 'RECOVERY_TARGET_AFTER_END'
        expect(outcome).toBe(
          isProved ? `${expected} ${digestOf(env.content(expected), expected).hex}` : refused,
        )
      }
    }
  })

  test('marks in segments and in the tail, with either edge', async () => {
    const set = await scene()
    const { env } = set
    for (const [name, lsn] of [
      ['release', 8],
      ['tail', 18],
    ] as const) {
      const kept = await recovered(set, { type: 'mark', name, edge: 'through' })
      expect(kept.report).toMatchObject({
        lsn,
        lastApplied: { kind: 'mark', name },
        firstDropped: { lsn: lsn + 1 },
      })
      expect(await contentOf(kept.home)).toEqual(env.content(lsn))
      const dropped = await recovered(set, { type: 'mark', name, edge: 'before' })
      expect(dropped.report).toMatchObject({ lsn: lsn - 1, firstDropped: { lsn, kind: 'mark', name } })
      expect(await contentOf(dropped.home)).toEqual(env.content(lsn - 1))
    }
    expect(await refusal(recovered(set, { type: 'mark', name: 'relaese', edge: 'before' }))).toMatchObject({
      code: 'RECOVERY_MARK_UNKNOWN',
      details: { known: ['release', 'tail'] },
    })
  })

  test('the latest is the end of the archive', async () => {
    const set = await scene()
    const { home, report } = await recovered(set, { type: 'latest' })
    expect(report).toMatchObject({
      lsn: set.env.lsn,
      base: { label: 'b2' },
      timeline: 2,
      parent: { timeline: 1, forkLsn: 20 },
    })
    expect(report).not.toHaveProperty('firstDropped')
    expect(await contentOf(home)).toEqual(set.env.content(set.env.lsn))
  })

  test('the report tells the metadata of the last applied and the first dropped transaction', async () => {
    const set = await scene()
    const { report } = await recovered(set, { type: 'lsn', lsn: 10, edge: 'through' })
    const entry = (lsn: number) => ({
      lsn,
      committedAtUs: set.env.times[lsn],
      kind: 'entry',
      operations: 2,
      meta: { n: lsn },
    })
    expect(report.lastApplied).toEqual(entry(10))
    expect(report.firstDropped).toEqual(entry(11))
  })
})

describe('what cannot be reached is refused by name, and leaves nothing', () => {
  test('before the first backup and after the end, by LSN and by time', async () => {
    const set = await scene()
    const { times } = set.env
    const [first = 0, last = 0] = [times[4], times[20]]
    const earliest = { reachableAfterLsn: 4, reachableAfterUs: first }
    const end = { reachableBeforeLsn: 20, reachableBeforeUs: last }
    const cases: [Target, object][] = [
      [
        { type: 'lsn', lsn: 3, edge: 'through' },
        { code: 'RECOVERY_NO_BASE', details: earliest },
      ],
      [
        { type: 'time', atUs: first - 1, edge: 'through' },
        { code: 'RECOVERY_NO_BASE', details: earliest },
      ],
      [
        { type: 'lsn', lsn: 21, edge: 'through' },
        { code: 'RECOVERY_TARGET_AFTER_END', details: end },
      ],
      [
        { type: 'time', atUs: last + 1, edge: 'through' },
        { code: 'RECOVERY_TARGET_AFTER_END', details: end },
      ],
    ]
    for (const [target, expected] of cases) {
      const home = join(set.folder, 'never')
      expect(await refusal(recover({ from: { archive: set.archive }, home, target }))).toMatchObject(expected)
      expect(await exists(home)).toBe(false)
    }
  })

  test('a segment that was never archived is named with the points on both sides', async () => {
    const folder = await scratchFolder()
    const env = await Environment.create(join(folder, 'home'))
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await env.writeMany(3)
    await backupInto(env, archive, { label: 'b1' })
    for (let part = 0; part < 3; part++) {
      await env.writeMany(3)
      await env.log.roll()
    }
    await backupInto(env, archive, { label: 'b2' })
    await ship(env, archive, { only: (number) => number !== 3 })
    await env.close()
    const attempt = recover({
      from: { archive },
      home: join(folder, 'x'),
      target: { type: 'lsn', lsn: 10, edge: 'through' },
    })
    expect(await refusal(attempt)).toMatchObject({
      code: 'RECOVERY_LOG_GAP',
      details: {
        missingFromLsn: 7,
        missingThroughLsn: 9,
        missingTimeline: 1,
        reachableBeforeLsn: 6,
        reachableAfterLsn: 12,
      },
    })
  })
})

describe('the new home', () => {
  test('goes on after the target on a new timeline that does not archive', async () => {
    const set = await scene()
    const { home } = await recovered(set, { type: 'lsn', lsn: 12, edge: 'through' })
    expect(await readHomeIdentity(home)).toMatchObject({
      environmentId: set.env.identity.environmentId,
      timeline: 2,
      parent: { timeline: 1, forkLsn: 12 },
      archiving: false,
    })
    expect(await newestCheckpoint(home)).toMatchObject({
      lsn: 12,
      timeline: 2,
      committedAtUs: set.env.times[12],
      digest: { lsn: 12 },
    })
    const segments = await listSegments(homeLayout(home).logDirectory)
    expect(segments).toMatchObject([{ firstLsn: 13, lastLsn: 13, header: { timeline: 2 } }])
    expect((await readdir(home)).toSorted()).toEqual(['checkpoint', 'data', 'lock', 'log', 'timberline.json'])
    expect(await set.archive.catalogue()).toMatchObject({
      timelines: [{ timeline: 1 }, { timeline: 2, parent: 1, forkLsn: 12 }],
    })
  })

  test('takes a number that no other recovery has, also at the same moment', async () => {
    const set = await scene()
    const reports = await Promise.all(
      [10, 11, 12].map((lsn) => recovered(set, { type: 'lsn', lsn, edge: 'through' })),
    )
    expect(reports.map(({ report }) => report.timeline).toSorted((a, b) => a - b)).toEqual([2, 3, 4])
  })

  test('must be empty: nothing is ever overwritten', async () => {
    const set = await scene()
    await writeFile(join(set.folder, 'file'), 'x')
    for (const home of [set.env.home, set.folder, join(set.folder, 'file')]) {
      const error = await refusal(recover({ from: { archive: set.archive }, home }))
      expect(error).toMatchObject({ code: 'RECOVERY_TARGET_NOT_EMPTY' })
    }
    expect(await readFile(join(set.folder, 'file'), 'utf8')).toBe('x')
  })

  test('must not be held by anybody', async () => {
    const set = await scene()
    const home = join(set.folder, 'held')
    const lock = await lockHome(home)
    expect(await refusal(recover({ from: { archive: set.archive }, home }))).toMatchObject({
      code: 'ENGINE_HOME_LOCKED',
    })
    await lock.release()
    expect(await recover({ from: { archive: set.archive }, home })).toMatchObject({ lsn: set.env.lsn })
  })

  test('tells its progress to the end, never more than there is', async () => {
    const set = await scene()
    const seen: RecoveryProgress[] = []
    await recovered(set, { type: 'latest' }, { base: 'b1', onProgress: (progress) => seen.push(progress) })
    expect([...new Set(seen.map(({ phase }) => phase))]).toEqual([
      'restore',
      'resolve',
      'replay',
      'digest',
      'checkpoint',
    ])
    expect(seen.at(-1)).toMatchObject({ records: 16, recordsTotal: 16, secondsLeft: 0 })
    for (const { records, recordsTotal, baseBytes, baseBytesTotal } of seen) {
      expect(records).toBeLessThanOrEqual(recordsTotal)
      expect(baseBytes).toBeLessThanOrEqual(baseBytesTotal)
    }
  })
})

describe('digests', () => {
  test('one that was recorded on the way is passed and compared', async () => {
    const set = await scene()
    const { report } = await recovered(set, { type: 'latest' }, { base: 'b1' })
    // The first backup recorded its digest at the end of its own log.
    expect(report.proofs).toEqual([
      { lsn: 4, hex: digestOf(set.env.content(4), 4).hex, recordedBy: 'backup' },
    ])
  })

  test('a difference is refused, and the home stays closed', async () => {
    const folder = await scratchFolder()
    const env = await Environment.create(join(folder, 'home'))
    await env.writeMany(5)
    await env.checkpoint()
    await env.writeMany(5)
    const backup = join(folder, 'backup')
    await backupTo(env, backup, {
      change: (manifest) => ({ ...manifest, digest: digestOf(env.content(9), 10) }),
    })
    await env.close()
    const home = join(folder, 'restored')
    expect(await refusal(recover({ from: { backup }, home }))).toMatchObject({
      code: 'RECOVERY_DIGEST_MISMATCH',
      details: { lsn: 10 },
    })
    expect(await exists(join(home, 'recovery.json'))).toBe(true)
    expect(await exists(join(home, 'data'))).toBe(false)
  })

  test('the caller can demand one', async () => {
    const set = await scene()
    const expectedDigest = digestOf(set.env.content(20), 20).hex
    const { report } = await recovered(set, { type: 'latest' }, { expectedDigest })
    expect(report.proofs).toContainEqual({ lsn: 20, hex: expectedDigest, recordedBy: 'caller' })
    const wrong = recovered(
      set,
      { type: 'latest' },
      { expectedDigest: digestOf(set.env.content(19), 20).hex },
    )
    expect(await refusal(wrong)).toMatchObject({ code: 'RECOVERY_DIGEST_MISMATCH' })
  })

  test('can be left out', async () => {
    const { report } = await recovered(await scene(), { type: 'latest' }, { digest: false })
    expect(report).not.toHaveProperty('digest')
    expect(report.proofs).toEqual([])
  })
})

describe('timelines', () => {
  test('a restore on timeline 2 uses the backup and the log of timeline 1 up to the fork', async () => {
    const set = await scene()
    const first = await recovered(set, { type: 'lsn', lsn: 12, edge: 'through' })
    const branch = await Environment.recovered(first.home, set.env)
    await branch.write({ branch: 'two' })
    await branch.writeMany(4)
    await ship(branch, set.archive)
    const latest = await recovered(set, { type: 'latest' })
    expect(latest.report).toMatchObject({
      lsn: 18,
      base: { label: 'b1', timeline: 1 },
      timeline: 3,
      parent: { timeline: 2, forkLsn: 18 },
    })
    expect(await contentOf(latest.home)).toEqual(branch.content(18))
    await branch.close()
  })

  test('the old timeline stays reachable after it was left, past the fork too', async () => {
    const set = await scene()
    const first = await recovered(set, { type: 'lsn', lsn: 12, edge: 'through' })
    const branch = await Environment.recovered(first.home, set.env)
    await branch.writeMany(6)
    await backupInto(branch, set.archive, { label: 'c1' })
    await ship(branch, set.archive)
    await branch.close()
    const old = await recovered(set, { type: 'lsn', lsn: 16, edge: 'through' }, { timeline: 1 })
    expect(old.report).toMatchObject({ parent: { timeline: 1, forkLsn: 16 }, timeline: 3 })
    expect(await contentOf(old.home)).toEqual(set.env.content(16))
    const same = await recovered(set, { type: 'lsn', lsn: 16, edge: 'through' })
    expect(same.report).toMatchObject({ parent: { timeline: 2, forkLsn: 16 } })
    expect(await contentOf(same.home)).toEqual(branch.content(16))
    const beforeFork = await recovered(set, { type: 'time', atUs: set.env.times[12] ?? 0, edge: 'before' })
    expect(beforeFork.report).toMatchObject({ lsn: 11, parent: { timeline: 1, forkLsn: 11 } })
  })

  test('what a backup recorded behind the fork, of another history, is not held against a restore', async () => {
    const folder = await scratchFolder()
    const env = await Environment.create(join(folder, 'home'))
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await env.writeMany(4)
    const checkpoint = await env.checkpoint()
    await env.writeMany(4)
    // From 4 on, with the digest at 8.
    await backupInto(env, archive, { label: 'b1', checkpoint })
    await ship(env, archive)
    await env.close()
    const set = { folder, env, archive, firstLsn: 4 }
    const first = await recovered(set, { type: 'lsn', lsn: 6, edge: 'through' })
    const branch = await Environment.recovered(first.home, env)
    await branch.write({ branch: 'two' })
    await branch.writeMany(4)
    await ship(branch, archive)
    const latest = await recovered(set, { type: 'latest' })
    expect(latest.report).toMatchObject({ base: { label: 'b1', timeline: 1 }, proofs: [] })
    expect(await contentOf(latest.home)).toEqual(branch.content(latest.report.lsn))
    await branch.close()
  })

  test('a number that was taken by a recovery that died does not hide the history', async () => {
    const set = await scene()
    await set.archive.beginTimeline({ parent: 1, forkLsn: 8 })
    const { report } = await recovered(set, { type: 'latest' })
    expect(report).toMatchObject({ lsn: 20, timeline: 3, parent: { timeline: 1 } })
  })

  test('an unknown timeline is refused', async () => {
    const set = await scene()
    expect(await refusal(recovered(set, { type: 'latest' }, { timeline: 7 }))).toMatchObject({
      code: 'RECOVERY_TIMELINE_UNKNOWN',
      details: { known: ['1'] },
    })
  })
})

test('data that was loaded beside the log makes every target behind it unreachable from an older base', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(3)
  await backupInto(env, archive, { label: 'b1' })
  await env.mark(BULK_LOAD_MARK)
  await env.writeMany(2)
  await ship(env, archive)
  await env.close()
  const set = { folder, env, archive, firstLsn: 3 }
  expect(await refusal(recovered(set, { type: 'latest' }))).toMatchObject({
    code: 'RECOVERY_BULK_LOAD',
    details: { reachableBeforeLsn: 3 },
  })
  expect((await recovered(set, { type: 'lsn', lsn: 4, edge: 'before' })).report.lsn).toBe(3)
})

test('an abort leaves the home marked, and the same recovery can be run again', async () => {
  const set = await scene()
  const home = join(set.folder, 'aborted')
  const abort = new AbortController()
  const options = { from: { archive: set.archive }, home }
  const stopped = recover({ ...options, signal: abort.signal, onProgress: () => abort.abort() })
  expect(await refusal(stopped)).toMatchObject({ code: 'RECOVERY_ABORTED', name: 'AbortError' })
  expect(await exists(join(home, 'recovery.json'))).toBe(true)
  expect(await recover(options)).toMatchObject({ lsn: 20, resumed: false })
  expect(await contentOf(home)).toEqual(set.env.content(20))
})

test('the log of a dead home goes on where the archive ends', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(5)
  await backupInto(env, archive, { label: 'b1' })
  await ship(env, archive)
  await env.writeMany(5)
  await env.close()
  const logs = homeLayout(env.home).logDirectory
  const report = await recover({ from: { archive, logs }, home: join(folder, 'x') })
  expect(report.lsn).toBe(10)
  expect(await contentOf(join(folder, 'x'))).toEqual(env.content(10))
  const other = await Environment.create(join(folder, 'other'))
  await other.writeMany(2)
  await other.close()
  const foreign = recover({
    from: { archive, logs: homeLayout(other.home).logDirectory },
    home: join(folder, 'y'),
  })
  expect(await refusal(foreign)).toMatchObject({ code: 'RECOVERY_ENVIRONMENT_MISMATCH' })
})
