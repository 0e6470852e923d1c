/**
 * LevelDB folders of another language and another version of LevelDB, with options that classic-level has not: filters, another order of
 * keys. Expected of each hot copy: the other LevelDB opens it, and it holds a whole prefix of the batches with all that were told before.
 * And RocksDB, whose folders look alike, is refused by name.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { plainBackup } from '@timberline/hotbackup'
import { afterEach, beforeEach, expect, test } from 'vitest'

const COPIES = 12
/** Debian's own, for which its packages are. */
const PYTHON = '/usr/bin/python3'
const script = fileURLToPath(new URL('./plyvel_application.py', import.meta.url))

let folder = ''
let application: ChildProcess | undefined
const at = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-foreign-'))
})

afterEach(async () => {
  if (application !== undefined && application.exitCode === null && application.signalCode === null) {
    application.kill('SIGKILL')
    await once(application, 'exit')
  }
  await rm(folder, { recursive: true, force: true })
})

test.each(['bloom', 'plain', 'snappy', 'reverse'])(
  `hot copies of a LevelDB of Python’s plyvel (%s) open there, and are prefixes`,
  async (kind) => {
    const child = spawn(PYTHON, [script, 'write', at('application'), kind], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    application = child
    let told = 0
    child.stdout.on('data', (text: Buffer) => {
      told = Number(text.toString().trim().split('\n').at(-1))
    })
    await once(child.stdout, 'data')
    const counts = { copies: 0, tables: 0, logRecords: 0, last: 0 }
    for (; counts.copies < COPIES; counts.copies++) {
      const atLeast = told
      const copy = at(`copy-${String(counts.copies)}`)
      const { tableCount, uncheckedCount, logRecordCount } = await plainBackup({
        folder: at('application'),
        target: copy,
      })
      const { stdout, stderr } = spawnSync(PYTHON, [script, 'check', copy, kind], {
        encoding: 'utf8',
        timeout: 60_000,
      })
      expect(`${stdout}${stderr}`).toMatch(/^\d+\n$/)
      counts.last = Number(stdout)
      expect(counts.last).toBeGreaterThanOrEqual(atLeast)
      expect(uncheckedCount).toBe(0)
      counts.tables += tableCount
      counts.logRecords += logRecordCount
    }
    console.log(`plyvel, ${kind}: ${JSON.stringify(counts)}`)
    expect(counts.tables).toBeGreaterThanOrEqual(COPIES)
    expect(counts.logRecords).toBeGreaterThan(0)
  },
)

test('RocksDB is refused by name, also by its MANIFEST alone once it has a table', async () => {
  for (const words of [['put', 'a', 'b', '--create_if_missing'], ['compact']]) {
    expect(spawnSync('ldb', [`--db=${at('rocks')}`, ...words]).status).toBe(0)
  }
  await expect(plainBackup({ folder: at('rocks'), target: at('copy') })).rejects.toMatchObject({
    code: 'HOTBACKUP_PLAIN_SOURCE',
  })
  for (const name of await readdir(at('rocks'))) {
    if (/^(OPTIONS-|IDENTITY)/.test(name)) await rm(join(at('rocks'), name))
  }
  await expect(plainBackup({ folder: at('rocks'), target: at('copy') })).rejects.toMatchObject({
    code: 'ENGINE_MANIFEST_DAMAGED',
  })
  expect(await readdir(folder)).toEqual(['rocks'])
})
