/**
 * Three databases in three processes, and one application that moves things through them in its own order: what is in the second was
 * acknowledged by the first before, what is in the third by the second. They are marked together, killed with SIGKILL while they are,
 * and recovered from their backups: at the mark, no effect is without its cause.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homeParticipant, markTogether, TimberLevel, type MarkParticipant } from '@timberline/engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { outcome, timberline } from '../packages/cli/test/terminal.ts'
import { ObedientDatabase } from './support/obedient-database.ts'

const names = ['orders', 'stock', 'billing'] as const
let folder = ''
const databases: ObedientDatabase[] = []
const at = (name: string): string => join(folder, name)
let things = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-several-'))
  for (const name of names) {
    databases.push(await ObedientDatabase.begin(at(name)))
    await outcome(['hotbackup', '-h', at(name), '-b', at(`${name}-backup`)])
  }
})

afterAll(async () => {
  for (const database of databases) await database.kill()
  await rm(folder, { recursive: true, force: true })
})

/** Moves things while the work runs, four at a time, and some before and after it. */
async function whileThingsMove<Value>(work: () => Promise<Value>): Promise<Value> {
  let isDone = false
  const moved = things
  const movers = Array.from({ length: 4 }, async () => {
    while (!isDone) {
      const key = String((things += 1)).padStart(6, '0')
      for (const database of databases) await database.put(key)
    }
  })
  const ended = Promise.allSettled(movers)
  while (things < moved + 50) await new Promise(setImmediate)
  const value = await work()
  const more = things + 20
  // Of a database that was killed nothing more is acknowledged, and the movers end.
  await Promise.race([ended, until(() => things > more)])
  isDone = true
  await ended
  return value
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

/** Recovers a database from its backup, continued by all its log, and resolves with the keys that are there. */
async function recoveredKeys(name: string, target: readonly string[]): Promise<ReadonlySet<string>> {
  const home = at(`${name}-at-${target.join('').replaceAll(/\W/g, '')}`)
  await outcome(['hotbackup', '-h', at(name), '-b', at(`${name}-backup`), '-u'])
  await outcome(['recover', '--from', at(`${name}-backup`), '-h', home, ...target, '--through'])
  const db = new TimberLevel(home, { createIfMissing: false })
  const keys = await db.keys().all()
  await db.close()
  return new Set(keys)
}

function expectCauses(states: readonly ReadonlySet<string>[], after: string): void {
  const [, second, third] = states.map((keys) => [...keys])
  expect(third?.length).toBeGreaterThan(0)
  expect(third?.filter((key) => states[1]?.has(key) !== true)).toEqual([])
  expect(second?.filter((key) => states[0]?.has(key) !== true)).toEqual([])
  expect(states[0]?.has(after)).toBe(false)
}

test('all recover to one instant, and what came after it is in none', async () => {
  const homes = names.flatMap((name) => ['-h', at(name)])
  const report = await whileThingsMove(() => outcome(['mark', 'month-end', ...homes]))
  expect(report).toMatchObject({ name: 'month-end', marks: names.map((name) => ({ participant: at(name) })) })
  await databases[0]?.put('after-month-end')
  const states = []
  for (const name of names) states.push(await recoveredKeys(name, ['--until-mark', 'month-end']))
  expectCauses(states, 'after-month-end')
})

test('one that is killed before it is ready: nothing is marked anywhere, and the others go on', async () => {
  const [orders, stock, billing] = names.map((name) => homeParticipant(at(name)))
  if (orders === undefined || stock === undefined || billing === undefined) throw new Error('there are three')
  const dying: MarkParticipant = {
    ...billing,
    prepare: async (barrier) => {
      await databases[2]?.kill()
      return billing.prepare(barrier)
    },
  }
  await whileThingsMove(() =>
    expect(markTogether('never', [orders, stock, dying])).rejects.toMatchObject({
      code: 'ENGINE_BARRIER_FAILED',
    }),
  )
  await databases[0]?.put('after-never')
  for (const name of names) {
    await outcome(['hotbackup', '-h', at(name), '-b', at(`${name}-backup`), '-u'])
    const words = ['recover', '--from', at(`${name}-backup`), '-h', at('none'), '--until-mark', 'never']
    const refused = await timberline([...words, '--through'])
    expect(refused.err, name).toContain('RECOVERY_MARK_UNKNOWN')
  }
  databases[2] = await ObedientDatabase.begin(at('billing'))
})

test('one that is killed before its mark: its LSN is told, and all recover to one instant', async () => {
  const [orders, stock, billing] = names.map((name) => homeParticipant(at(name)))
  if (orders === undefined || stock === undefined || billing === undefined) throw new Error('there are three')
  const dying: MarkParticipant = {
    ...billing,
    commit: async (barrier) => {
      await databases[2]?.kill()
      return billing.commit(barrier)
    },
  }
  const failure = await whileThingsMove(() =>
    markTogether('lost', [orders, stock, dying]).catch((error: unknown) => error),
  )
  expect(failure).toMatchObject({ code: 'ENGINE_BARRIER_INCOMPLETE' })
  const lsn = /billing at LSN (\d+)/.exec(String(failure))?.[1] ?? ''
  await databases[0]?.put('after-lost')
  const states = [
    await recoveredKeys('orders', ['--until-mark', 'lost']),
    await recoveredKeys('stock', ['--until-mark', 'lost']),
    await recoveredKeys('billing', ['--until-lsn', lsn]),
  ]
  expectCauses(states, 'after-lost')
  const words = ['recover', '--from', at('billing-backup'), '-h', at('none'), '--until-mark', 'lost']
  expect((await timberline([...words, '--through'])).err).toContain('RECOVERY_MARK_UNKNOWN')
  const notes = await timberline(['printlog', '-h', at('billing'), '--kind', 'note'])
  expect(notes.out).toMatch(new RegExp(`\\[${lsn}\\] .* note .*"barrier".*"lost"`))
})

test('closed homes are opened meanwhile, one home alone is marked without a pause', async () => {
  for (const database of databases) await database.kill()
  const homes = names.flatMap((name) => ['-h', at(name)])
  const { out } = await timberline(['mark', 'closed', ...homes])
  expect(out).toMatch(/^mark "closed" in 3 databases, within \d+ µs; commits waited for .* at most\n/)
  expect((await timberline(['mark', 'alone', '-h', at('orders')])).out).toMatch(/^mark "alone" at LSN \d+, 2/)
  const { err, code } = await timberline(['mark', 'twice', '-h', at('orders'), '-h', at('orders')])
  expect({ err, code }).toMatchObject({ err: expect.stringContaining('ENGINE_OPTION_INVALID'), code: 6 })
})
