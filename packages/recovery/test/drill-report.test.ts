// The recovery point of a drill against a live home, of which only its control socket is asked, and the report in words.
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { type Archive, createArchive, memoryStore } from '@timberline/archive'
import { homeLayout, writeHomeIdentity } from '@timberline/engine'
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  drill,
  type DrillReport,
  formatDrill,
  recover,
  type RecoveryProgress,
  verifyAgainst,
} from '../src/index.ts'
import { backupInto, Environment, scratchFolder, ship } from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly archive: Archive
}

/** Ten records in an archive, the first six in a backup. */
async function scene(): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(6)
  await backupInto(env, archive, { label: 'b1' })
  await env.writeMany(4)
  await ship(env, archive)
  await env.close()
  return { folder, env, archive }
}

/** The home of an owner that answers everything with this. */
async function ownerThatSays({ folder, env }: Scene, result: unknown): Promise<string> {
  const home = join(folder, `live-${Math.floor(performance.now() * 1000)}`)
  const { socketPath } = homeLayout(home)
  await mkdir(dirname(socketPath), { recursive: true })
  await writeHomeIdentity(home, env.identity)
  const server = createServer((socket) => {
    socket.on('data', () => socket.end(`${JSON.stringify({ ok: true, result })}\n`))
  })
  await new Promise<void>((resolve) => {
    server.listen(socketPath, resolve)
  })
  onTestFinished(() => {
    server.close()
  })
  return home
}

describe('a drill beside a live home', () => {
  test('counts the transactions that are not archived, and says zero when there are none', async () => {
    const set = await scene()
    const { folder, archive } = set
    for (const [durableLsn, transactions] of [
      [13, 3],
      [10, 0],
      [8, 0],
    ] as const) {
      const home = await ownerThatSays(set, { durableLsn })
      const phases = new Set<RecoveryProgress['phase']>()
      const report = await drill({
        archive,
        home,
        scratch: join(folder, 's'),
        signal: new AbortController().signal,
        onProgress: ({ phase }) => phases.add(phase),
      })
      expect(report).toMatchObject({ passed: true, rpo: { measuredBy: 'home', transactions } })
      expect((report.rpo?.ms ?? 0) > 0).toBe(transactions > 0)
      expect(phases).toContain('replay')
    }
  })

  test('goes by the clock when the owner does not say how far it is', async () => {
    const set = await scene()
    for (const answer of [null, 'well', { lsn: 9 }, { durableLsn: 'nine' }]) {
      const home = await ownerThatSays(set, answer)
      const report = await drill({ archive: set.archive, home, scratch: join(set.folder, 's') })
      expect(report).toMatchObject({ passed: true, rpo: { measuredBy: 'clock' } })
    }
  })

  test('that is aborted is no failed drill', async () => {
    const { folder, archive } = await scene()
    const abort = new AbortController()
    const stopped = drill({
      archive,
      scratch: join(folder, 's'),
      signal: abort.signal,
      onProgress: () => abort.abort(),
    })
    await expect(stopped).rejects.toMatchObject({ code: 'RECOVERY_ABORTED' })
  })

  test('keeps the end of what a talkative check prints, and ends the check with the drill', async () => {
    const { folder, archive } = await scene()
    const check = "head -c 200000 /dev/zero | tr '\\0' x; echo the end"
    const report = await drill({
      archive,
      scratch: join(folder, 's'),
      check,
      signal: new AbortController().signal,
    })
    expect(report.check?.output).toHaveLength(64 * 1024)
    expect(report.check?.output.endsWith('xthe end\n')).toBe(true)
  })
})

describe('the report of a drill in words', () => {
  const done: DrillReport = { passed: true, archive: 'memory:', startedAtUs: 1 }
  const recovery = {
    lsn: 10,
    committedAtUs: 1_700_000_000_000_000,
    base: { label: 'b1', timeline: 1, lsn: 6 },
    records: 4,
    proofs: [],
  } as unknown as NonNullable<DrillReport['recovery']>

  test('has a line for each thing that is known, and none for the others', () => {
    expect(formatDrill(done)).toEqual(['drill of memory:: passed'])
    expect(
      formatDrill({
        ...done,
        rpo: { measuredBy: 'home', ms: 1500, transactions: 3 },
        keptAt: '/kept',
        rtoMs: 20,
      }),
    ).toEqual([
      'drill of memory:: passed',
      'recovery time: 0.020 s',
      'recovery point: 3 transactions, at most 1.500 s',
      'kept: /kept',
    ])
    expect(formatDrill({ ...done, recovery })).toContain('digest: none, 0 recorded earlier and equal')
  })

  test('says how a check ended: by itself, by a signal, or by nobody knows what', () => {
    const check = { command: 'look', ms: 1, output: '' }
    expect(formatDrill({ ...done, check: { ...check, exitCode: 3 } })).toContain('check: exit code 3, look')
    expect(formatDrill({ ...done, check: { ...check, endedBy: 'SIGTERM' } })).toContain(
      'check: exit code SIGTERM, look',
    )
    expect(formatDrill({ ...done, check })).toContain('check: exit code none, look')
    expect(formatDrill({ ...done, rpo: { measuredBy: 'home', ms: 0 } })).toContain(
      'recovery point: 0 transactions, at most 0.000 s',
    )
  })
})

describe('verifying against a live home', () => {
  const digest = { algorithm: 'sha256', lsn: 10, entries: 1, bytes: 1, hex: '00' }

  test('is not equal when the owner has another digest, and tells progress on the way', async () => {
    const set = await scene()
    const seen: RecoveryProgress[] = []
    const report = await verifyAgainst({
      archive: set.archive,
      home: await ownerThatSays(set, digest),
      scratch: set.folder,
      signal: new AbortController().signal,
      onProgress: (progress) => seen.push(progress),
    })
    expect(report).toMatchObject({ equal: false, lsn: 10, live: { hex: '00' }, base: 'b1', records: 4 })
    expect(seen.length).toBeGreaterThan(0)
  })

  test('is refused when the owner answers with no digest', async () => {
    const set = await scene()
    for (const answer of [
      null,
      7,
      {},
      { hex: 1 },
      { hex: 'x' },
      { hex: 'x', lsn: '1' },
      { hex: 'x', lsn: 1 },
    ]) {
      const home = await ownerThatSays(set, answer)
      await expect(verifyAgainst({ archive: set.archive, home })).rejects.toMatchObject({
        code: 'RECOVERY_NOT_THE_SAME',
      })
    }
  })

  test('is refused when the archive has no backup at all: waiting would not bring one', async () => {
    const set = await scene()
    const empty = await createArchive(memoryStore(), { environmentId: set.env.identity.environmentId })
    await ship(set.env, empty)
    const home = await ownerThatSays(set, digest)
    await expect(verifyAgainst({ archive: empty, home })).rejects.toMatchObject({ code: 'RECOVERY_NO_BASE' })
    await expect(recover({ from: { archive: empty }, home: join(set.folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_NO_BASE',
    })
  })
})
