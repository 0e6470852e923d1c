import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Archive, createArchive, memoryStore, runShipper } from '@timberline/archive'
import { homeLayout, newestCheckpoint, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { describe, expect, test } from 'vitest'
import { drill, formatDrill, recover, verifyAgainst } from '../src/index.ts'
import { backupInto, contentOf, digestOf, Environment, scratchFolder, ship } from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly archive: Archive
}

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

describe('drill', () => {
  test('recovers, opens, measures, and leaves nothing behind', async () => {
    const { folder, env, archive } = await scene()
    const scratch = join(folder, 'scratch')
    const report = await drill({
      archive,
      scratch,
      check: 'test -d "$TIMBERLINE_HOME/log" && echo "lsn $TIMBERLINE_LSN"',
    })
    expect(report).toMatchObject({
      passed: true,
      recovery: { lsn: 10, digest: { hex: digestOf(env.content(10), 10).hex }, proofs: [{ lsn: 6 }] },
      check: { exitCode: 0, output: 'lsn 10\n' },
      rpo: { measuredBy: 'clock' },
    })
    expect(report.rtoMs).toBeGreaterThan(0)
    expect(report.rpo?.ms).toBeGreaterThan(0)
    expect(await readdir(scratch)).toEqual([])
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ passed: true })
    expect(formatDrill(report).join('\n')).toMatch(
      /passed[^]*recovered: lsn 10[^]*recovery time[^]*recovery point[^]*check: exit code 0/,
    )
  })

  test('takes no timeline in the archive', async () => {
    const { folder, archive } = await scene()
    await drill({ archive, scratch: join(folder, 'scratch') })
    expect((await archive.catalogue()).timelines).toHaveLength(1)
  })

  test("fails when the user's check fails, and says how", async () => {
    const { folder, archive } = await scene()
    const report = await drill({
      archive,
      scratch: join(folder, 's'),
      check: 'echo wrong balance >&2; exit 3',
    })
    expect(report).toMatchObject({ passed: false, check: { exitCode: 3, output: 'wrong balance\n' } })
    const slow = await drill({
      archive,
      scratch: join(folder, 's'),
      check: 'exec sleep 60',
      checkTimeoutMs: 100,
    })
    expect(slow).toMatchObject({ passed: false, check: { endedBy: 'SIGTERM' } })
  })

  test('fails by name when the archive cannot be recovered', async () => {
    const folder = await scratchFolder()
    const archive = await createArchive(memoryStore(), { environmentId: 'a'.repeat(32) })
    const report = await drill({ archive, scratch: join(folder, 's') })
    expect(report).toMatchObject({ passed: false, failure: { code: 'RECOVERY_NO_BASE' } })
    expect(formatDrill(report).join('\n')).toContain('FAILED')
  })

  test('can keep the home', async () => {
    const { folder, env, archive } = await scene()
    const { keptAt = '' } = await drill({ archive, scratch: join(folder, 's'), keep: true })
    expect(await contentOf(keptAt)).toEqual(env.content(10))
  })
})

describe('with a live database', () => {
  test('a restore from the archive proves equal while the database goes on writing', async () => {
    const { folder, archive } = await scene()
    const home = join(folder, 'live')
    await recover({ from: { archive }, home })
    const db = new TimberLevel(home)
    for (let n = 0; n < 20; n++) await db.put(`new${n}`, `${n}`)
    const writing = { on: true }
    const stop = new AbortController()
    const writer = (async () => {
      for (let n = 0; writing.on; n++) await db.put(`busy${n % 50}`, `${n}`)
    })()
    const shipper = runShipper({
      logDirectory: homeLayout(home).logDirectory,
      identity: await readHomeIdentity(home),
      archive,
      name: 'test',
      intervalMs: 50,
      signal: stop.signal,
    })
    const report = await verifyAgainst({
      archive,
      home,
      scratch: join(folder, 's'),
      archiveTimeoutMs: 20_000,
    })
    writing.on = false
    stop.abort()
    await Promise.all([writer, shipper.done])
    expect(report).toMatchObject({ equal: true, live: { hex: report.restored.hex } })
    expect(report.lsn).toBeGreaterThan(30)
    expect(await readdir(join(folder, 's'))).toEqual([])
    await db.close()
  })

  test('an archive that does not come along is told as behind', async () => {
    const { folder, archive } = await scene()
    const home = join(folder, 'live')
    await recover({ from: { archive }, home, target: { type: 'lsn', lsn: 8, edge: 'through' } })
    const db = new TimberLevel(home)
    await db.put('only', 'here')
    await expect(
      verifyAgainst({ archive, home, scratch: folder, archiveTimeoutMs: 300 }),
    ).rejects.toMatchObject({
      code: 'RECOVERY_ARCHIVE_BEHIND',
    })
    await db.close()
  })

  test('another environment is refused, and so is a home that nobody has open', async () => {
    const { folder, archive } = await scene()
    const other = await createArchive(memoryStore(), { environmentId: 'b'.repeat(32) })
    const home = join(folder, 'live')
    await recover({ from: { archive }, home })
    await expect(verifyAgainst({ archive: other, home })).rejects.toMatchObject({
      code: 'RECOVERY_NOT_THE_SAME',
    })
    await expect(verifyAgainst({ archive, home })).rejects.toMatchObject({ code: 'ENGINE_NOT_RUNNING' })
  })

  test('a recovered home opens as any other, and goes on where it was left', async () => {
    const { folder, env, archive } = await scene()
    const home = join(folder, 'again')
    await recover({ from: { archive }, home, target: { type: 'lsn', lsn: 7, edge: 'through' } })
    const db = new TimberLevel(home)
    const expected = [...env.content(7)].toSorted(([a], [b]) => (a < b ? -1 : 1))
    expect(await db.iterator().all()).toEqual(expected)
    await db.put('next', 'one')
    expect((await newestCheckpoint(home))?.timeline).toBe(2)
    await db.close()
    const reopened = new TimberLevel(home)
    expect(await reopened.get('next')).toBe('one')
    await reopened.close()
  })

  test('an unfinished recovery does not open', async () => {
    const { folder, archive } = await scene()
    const home = join(folder, 'unfinished')
    const abort = new AbortController()
    await expect(
      recover({ from: { archive }, home, signal: abort.signal, onProgress: () => abort.abort() }),
    ).rejects.toMatchObject({
      code: 'RECOVERY_ABORTED',
    })
    const db = new TimberLevel(home)
    await expect(db.open()).rejects.toMatchObject({ cause: { code: 'ENGINE_RECOVERY_UNFINISHED' } })
  })
})
