/** Which commands let others have the processor first, and that all threads of theirs do. */
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { getPriority, tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LOWERED_PRIORITY } from '../src/priority.ts'
import { runCommandLine } from '../src/run.ts'
import { begin } from './terminal.ts'

let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-priority-'))
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** How often a command line, which may fail otherwise, lowers the priority of its process. */
async function lowered(...words: readonly string[]): Promise<number> {
  let count = 0
  await runCommandLine(words, {
    stdin: (async function* () {
      yield* []
    })(),
    stdout: { write: async () => undefined },
    stderr: { write: () => undefined },
    signal: new AbortController().signal,
    lowerPriority: () => {
      count += 1
    },
  })
  return count
}

test('what only reads much lets others go first, a backup at full speed too; a recovery and a shipper do not', async () => {
  const home = join(folder, 'absent')
  const backup = ['hotbackup', '-h', home, '-b', join(folder, 'b')]
  expect(await lowered(...backup)).toBe(1)
  expect(await lowered(...backup, '--max-mb-per-s', '5')).toBe(1)
  expect(await lowered(...backup, '--max-mb-per-s', 'none')).toBe(1)
  expect(await lowered('verify', '-h', home)).toBe(1)
  expect(await lowered('archive', 'verify', '-a', home)).toBe(1)
  expect(await lowered('archive', 'compact', '-a', home)).toBe(1)
  expect(await lowered('recover', '--from', home, '-h', home)).toBe(0)
  expect(await lowered('archive', 'run', '-h', home, '-a', home)).toBe(0)
})

test.skipIf(process.platform !== 'linux')(
  'every thread of a backup has the lower priority, those of Node too',
  async () => {
    const home = join(folder, 'home')
    const db = new TimberLevel(home)
    await db.open()
    await db.put('ship', 'Vasa')
    await db.close()
    const backup = begin(['hotbackup', '-v', '-h', home, '-b', join(folder, 'b'), '--max-mb-per-s', '0.0001'])
    if (backup.stderr !== null) await once(backup.stderr, 'data')
    const threads = await readdir(`/proc/${String(backup.pid)}/task`)
    const priorities = threads.map((thread) => getPriority(Number(thread)))
    backup.kill('SIGTERM')
    await backup.ended
    expect(priorities.length).toBeGreaterThan(4)
    // As low already where the tests were begun so.
    for (const each of priorities) expect(each).toBe(Math.max(LOWERED_PRIORITY, getPriority()))
  },
)
