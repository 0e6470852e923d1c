/** Row S9 on SQLite itself and here: the same copy by steps, of the same entries, with the same writes between the steps. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { beginBackup } from '@timberline/hotbackup'
import { afterAll, beforeAll, expect, test } from 'vitest'

const PAGES_PER_STEP = 5
/** So often another connection writes, each time after three steps. */
const WRITES = 4

/** Prints what remains after each step, and how many rows the copy has. */
const SQLITE = `
import sqlite3, sys, json
source, other, target = (sqlite3.connect(sys.argv[i]) for i in (1, 1, 2))
source.execute('create table t (k integer primary key, v text)')
source.executemany('insert into t values (?, ?)', ((k, 'v' * 1000) for k in range(400)))
source.commit()
seen = []
def progress(status, remaining, total):
    seen.append(remaining)
    if len(seen) % 3 == 0 and len(seen) // 3 <= ${String(WRITES)}:
        other.execute('update t set v = ? where k = 0', (str(len(seen)) * 900,))
        other.commit()
source.backup(target, pages=${String(PAGES_PER_STEP)}, progress=progress, sleep=0)
print(json.dumps({'seen': seen, 'rows': target.execute('select count(*) from t').fetchone()[0]}))
`

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-restart-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** How often there was more to copy after a step than before it. */
function restarts(seen: readonly number[]): number {
  return seen.filter((remaining, index) => remaining > (seen[index - 1] ?? Infinity)).length
}

test('S9: SQLite begins anew at each write of another connection; a copy here never does', async () => {
  const { stdout, stderr } = spawnSync(
    '/usr/bin/python3',
    ['-c', SQLITE, join(folder, 'source.db'), join(folder, 'copy.db')],
    {
      encoding: 'utf8',
    },
  )
  expect(stderr).toBe('')
  const theirs = JSON.parse(stdout) as { seen: number[]; rows: number }
  expect(theirs.rows).toBe(400)
  expect(restarts(theirs.seen)).toBe(WRITES)

  await using source = new TimberLevel<string, string>(join(folder, 'home'))
  await source.batch(
    Array.from({ length: 400 }, (_, k) => ({
      type: 'put',
      key: String(k).padStart(4, '0'),
      value: 'v'.repeat(1000),
    })),
  )
  const backup = await beginBackup(source, join(folder, 'copy'))
  const seen: number[] = []
  while ((await backup.step(PAGES_PER_STEP)) === 'more') {
    seen.push(backup.remainingPages)
    if (seen.length % 3 === 0) await source.put('0000', 'w'.repeat(1000))
  }
  const { entries, digest } = await backup.finish()
  console.log(`steps: SQLite ${String(theirs.seen.length)}, here ${String(seen.length + 1)}`)
  expect(restarts(seen)).toBe(0)
  expect(seen.length).toBeLessThan(Math.ceil(backup.pageCount / PAGES_PER_STEP) + 1)
  expect({ entries, digest }).toEqual({ entries: 400, digest: (await source.digest()).hex })
})
