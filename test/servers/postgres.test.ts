/**
 * PostgreSQL archives by `archive push` and recovers by `archive get`: the database that these commands are for decides whether
 * their exit codes mean what it takes them for. Each runs in a process of its own; a recovery begins one for each segment.
 */
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { commandProgram } from '../../packages/cli/test/terminal.ts'
import { hasPostgres, PostgresCluster } from './postgres-cluster.ts'

const BATCHES = 6
const ARCHIVED_MS_MAX = 60_000

describe.skipIf(!hasPostgres())('PostgreSQL 15 (needs its Debian package)', () => {
  let cluster: PostgresCluster
  let folder = ''
  /** Before and after what must not come back. */
  let wanted = ''
  let targetTime = ''
  const at = (name: string): string => join(folder, name)
  const commands = (archive: string): { archive: string; restore: string } => ({
    archive: `${at('timberline')} archive push -a ${at(archive)} %p %f`,
    // As docs/archiving.md has it: only "not there" may end a recovery, whatever else goes wrong stops it.
    restore: `${at('timberline')} archive get -a ${at(archive)} %f %p; r=$?; test $r -lt 2 && exit $r; exit 255`,
  })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'timberline-postgres-'))
    await writeFile(at('timberline'), program(), { mode: 0o755 })
    cluster = await PostgresCluster.create(folder, commands('archive'))
    await cluster.makeFolder('archive')
    await cluster.makeFolder('spool')
    await cluster.start()
  })

  afterAll(async () => {
    await cluster.destroy()
  })

  test('archives under load, with a backup that needs the archive', async () => {
    await cluster.query('CREATE TABLE payment (id bigserial PRIMARY KEY, writer int, note text)')
    await Promise.all([cluster.backUp('backup'), write(1), write(2)])
    targetTime = await cluster.query('SELECT clock_timestamp()')
    wanted = await content()
    await write(3)
    await cluster.query('DELETE FROM payment WHERE id % 3 = 0')
    await archived()
    expect(await cluster.query('SELECT failed_count FROM pg_stat_archiver')).toBe('0')
    const names = await readdir(at('archive/file'))
    expect(names.filter((name) => /^[0-9A-F]{24}$/.test(name)).length).toBeGreaterThan(5)
    expect(names.filter((name) => name.endsWith('.backup'))).toHaveLength(1)
  })

  test('is destroyed, and recovers to the moment before the mistake', async () => {
    expect(await content()).not.toBe(wanted)
    await cluster.replaceBy('backup', commands('archive'), { time: targetTime })
    // As a recovery that was stopped before leaves it; PostgreSQL removes it before it asks.
    await cluster.write('data/pg_wal/RECOVERYXLOG', 'half a segment')
    await cluster.start()
    expect(await content()).toBe(wanted)
    expect(await cluster.log()).toContain('recovery stopping before commit of transaction')
  })

  test('archives its new timeline by a worker that goes ahead, and recovers along it', async () => {
    await archiveBy('/bin/false')
    await write(4)
    const afterwards = await content()
    await archiveBy(
      `${at('timberline')} archive push -a ${at('archive')} --async --spool ${at('spool')} %p %f`,
    )
    await archived()
    expect((await cluster.log()).match(/^[0-9A-F]{24}: .* pushed ahead$/gm)?.length).toBeGreaterThan(2)
    expect(await readdir(at('archive/file'))).toContain('00000002.history')
    await cluster.replaceBy('backup', commands('archive'), {})
    await cluster.start()
    expect(await content()).toBe(afterwards)
    expect(await cluster.query('SELECT timeline_id FROM pg_control_checkpoint()')).toBe('3')
  })

  test('does not take damage for the end of the log', async () => {
    const segments = (await readdir(at('archive/file'))).filter((name) => /^00000002[0-9A-F]{16}$/.test(name))
    const damaged = segments.toSorted()[0] ?? ''
    await cluster.run('cp', ['-a', at('archive'), at('broken')])
    const bytes = await readFile(at(join('broken/file', damaged)))
    bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
    await writeFile(at(join('broken/file', damaged)), bytes)
    await cluster.replaceBy('backup', commands('broken'), {})
    expect(await cluster.startInVain()).not.toBe(0)
    const log = await cluster.log()
    expect(log).toContain('ARCHIVE_OBJECT_DAMAGED')
    expect(log).not.toContain('archive recovery complete')
  })

  /** Commits batches that fill segments, some of which end early. */
  async function write(writer: number): Promise<void> {
    for (let batch = 0; batch < BATCHES; batch++) {
      await cluster.query(
        `INSERT INTO payment (writer, note) SELECT ${String(writer)}, md5(random()::text) || repeat(md5(random()::text), 4)
         FROM generate_series(1, 1000)`,
      )
      if (batch % 3 === 2) await cluster.query('SELECT pg_switch_wal()')
    }
  }

  async function archiveBy(command: string): Promise<void> {
    await cluster.query(`ALTER SYSTEM SET archive_command = '${command}'`)
    await cluster.query('SELECT pg_reload_conf()')
  }

  function content(): Promise<string> {
    return cluster.query(
      `SELECT count(*), md5(string_agg(id || ' ' || writer || ' ' || note, ',' ORDER BY id)) FROM payment`,
    )
  }

  /** Waits until all that was written up to now is in the archive. */
  async function archived(): Promise<void> {
    const segment = await cluster.query('SELECT pg_walfile_name(pg_switch_wal())')
    const end = Date.now() + ARCHIVED_MS_MAX
    for (;;) {
      const last = await cluster.query('SELECT last_archived_wal FROM pg_stat_archiver')
      if (last >= segment) return
      if (Date.now() > end) throw new Error(`${segment} was not archived:\n${await cluster.log()}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
})

function program(): string {
  return `#!/bin/sh\nexec '${process.execPath}' '${commandProgram()}' "$@"\n`
}
