/**
 * A mark over several databases, and whoever dies while it is made.
 *
 * Model: one application moves things through three databases in its own order: what is in the second was acknowledged by the
 * first before, what is in the third by the second. Fault model: at every call that the marking process makes to a database, before it
 * or after it, either that database is gone or the marking process itself; a database that is gone lets its commits go on, as its next
 * owner would. After each fault: a mark stands nowhere unless the point is whole in all three, and nobody waits.
 */
import { join } from 'node:path'
import { readLog } from '@timberline/wal'
import type { LogRecord } from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { markTogether } from '../src/control/barrier.ts'
import type { MarkParticipant } from '../src/control/barrier.ts'
import { controlCall } from '../src/control/control-call.ts'
import { ControlConnection } from '../src/control/control-connection.ts'
import { codeOf } from '../src/errors.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { homeParticipant } from '../src/control/home-participant.ts'
import { decodeNote } from '../src/records/notes.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { decodeTransaction } from '../src/records/transaction-codec.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const homes = ['orders', 'stock', 'billing'].map((name) => join(folder, name))
const databases: TimberLevel[] = []
let stopApplication: () => Promise<void>

beforeAll(async () => {
  for (const home of homes) {
    const db = new TimberLevel(home, { checkpoint: { checkpointAgeMs: 0 } })
    await db.open()
    // The whole log is what these tests look at.
    await controlCall(home, { type: 'hold', purpose: 'test', pid: process.pid })
    databases.push(db)
  }
  stopApplication = runApplication(databases)
  while (((await databases[2]?.homeStatus())?.appliedLsn ?? 0) < 50) await new Promise(setImmediate)
})

afterAll(async () => {
  await stopApplication()
  for (const db of databases) await db.close()
})

/** Moves things through all databases, eight at a time. */
function runApplication(through: readonly TimberLevel[]): () => Promise<void> {
  let isStopped = false
  const workers = Array.from({ length: 8 }, async (_, worker) => {
    for (let n = 0; !isStopped; n += 1) {
      for (const db of through) await db.put(`${worker}/${n}`, '')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  })
  return async () => {
    isStopped = true
    await Promise.all(workers)
  }
}

interface Cut {
  readonly keys: ReadonlySet<string>
  readonly noteLsns: readonly number[]
  readonly markLsns: readonly number[]
}

/** What a log says of the barriers of a name, and which keys stand before the last note of it. */
async function cutOf(home: string, name: string): Promise<Cut> {
  const records: LogRecord[] = []
  for await (const group of readLog({ directory: homeLayout(home).logDirectory, fromLsn: 1 }))
    records.push(...group)
  const notes = records.filter(({ kind, payload }) => {
    const note = kind === 'note' ? decodeNote(payload) : undefined
    return note?.type === 'barrier' && note.name === name
  })
  const noteLsns = notes.map(({ lsn }) => lsn)
  const last = noteLsns.at(-1) ?? 0
  const before = records.filter(({ kind, lsn }) => kind === 'entry' && lsn < last)
  const markLsns = records
    .filter(({ kind, payload }) => kind === 'mark' && payload.toString() === name)
    .map(({ lsn }) => lsn)
  // The mark names the same state as the note.
  for (const lsn of last === 0 ? [] : markLsns) {
    expect(
      records.filter((record) => record.kind === 'entry' && record.lsn > last && record.lsn < lsn),
    ).toEqual([])
  }
  const keys = before.flatMap(({ payload }) =>
    decodeTransaction(payload).operations.map(({ key }) => Buffer.from(key).toString()),
  )
  return { keys: new Set(keys.filter((key) => key.includes('/'))), noteLsns, markLsns }
}

/** What a database has at its point though the one before it lacks it at its own: effects without their causes. */
function orphansOf(cuts: readonly Cut[]): readonly string[] {
  return cuts.flatMap(({ keys }, index) => {
    const before = cuts[index - 1]?.keys ?? keys
    return [...keys].filter((key) => !before.has(key))
  })
}

async function expectNobodyWaits(): Promise<void> {
  // With commits under way all the time, these resolve only if no pause is left.
  await Promise.all(databases.map((db) => db.put('after', '')))
}

describe('a mark over several databases', () => {
  test('is one instant of them all, again and again, under an application that never stops', async () => {
    for (let turn = 0; turn < 10; turn += 1) {
      const name = `whole-${turn}`
      const report = await markTogether(name, homes.map(homeParticipant))
      expect(report.marks.map(({ participant }) => participant)).toEqual(homes)
      const cuts = await Promise.all(homes.map((home) => cutOf(home, name)))
      expect(cuts.map(({ markLsns }) => markLsns)).toEqual(report.marks.map(({ lsn }) => [lsn]))
      expect(cuts[2]?.keys.size).toBeGreaterThan(0)
      expect(orphansOf(cuts)).toEqual([])
      expect(report.skewUs).toBeGreaterThanOrEqual(0)
    }
  })

  test('is written by nobody when one of them is not there, is paused already, or was resumed too early', async () => {
    const [orders = '', stock = ''] = homes
    const nowhere = markTogether('nobody', [orders, stock, join(folder, 'none')].map(homeParticipant))
    await expect(nowhere).rejects.toMatchObject({ code: 'ENGINE_BARRIER_FAILED', kind: 'unavailable' })
    const quiet = await databases[2]?.quiesce()
    await expect(markTogether('nobody', homes.map(homeParticipant))).rejects.toThrow(
      /nothing was marked, because of .*billing: ENGINE_QUIESCED/,
    )
    await quiet?.resume()
    // The first one's pause ends before the last one's begins: there is no instant at which all were waiting.
    const late = homeParticipant(homes[2] ?? '')
    const participants: MarkParticipant[] = [
      homeParticipant(orders),
      homeParticipant(stock),
      {
        ...late,
        prepare: async (barrier) => {
          while ((await databases[0]?.homeStatus())?.paused?.lsn === undefined)
            await new Promise(setImmediate)
          await controlCall(orders, { type: 'resume' })
          for (const db of [databases[0], databases[2]]) await db?.put('between', '')
          return late.prepare(barrier)
        },
      },
    ]
    await expect(markTogether('nobody', participants)).rejects.toThrow(
      /because of .*orders: ENGINE_QUIESCE_ENDED its commits went on before all were waiting/,
    )
    const cuts = await Promise.all(homes.map((home) => cutOf(home, 'nobody')))
    expect(cuts.flatMap(({ markLsns }) => markLsns)).toEqual([])
    expect(cuts[0]?.noteLsns.length).toBeGreaterThan(0)
    await expectNobodyWaits()
  })

  test('stands behind a bulk load or before it, never within', async () => {
    const [db] = databases
    const [home = ''] = homes
    const connection = await ControlConnection.open(home)
    const request = { barrier: 'load', name: 'load', members: [home], maxMs: 3_600_000 }
    await connection.call({ type: 'prepare', ...request })
    const loading = db?.bulkLoad([['zz', '1']])
    // Longer than a load of one entry takes when nothing holds it.
    await Promise.race([loading, new Promise((resolve) => setTimeout(resolve, 1000))])
    await connection.call({ type: 'commit', barrier: 'load', name: 'load' })
    connection.close()
    await loading
    const { noteLsns, markLsns } = await cutOf(home, 'load')
    expect(markLsns).toEqual(noteLsns.map((lsn) => lsn + 1))
  })

  test('refuses what cannot be marked before anybody is paused', async () => {
    for (const [name, among, maxMs] of [
      ['', homes, 5000],
      ['x'.repeat(1025), homes, 5000],
      ['twice', [homes[0] ?? '', homes[0] ?? ''], 5000],
      ['nobody', [], 5000],
      ['long', homes, 3_600_001],
      ['none', homes, 0],
    ] as const) {
      const refused = await markTogether(name, among.map(homeParticipant), { maxMs }).catch(codeOf)
      expect(refused, name).toBe('ENGINE_OPTION_INVALID')
    }
  })

  test('a single mark by the control socket, refused while commits are paused', async () => {
    const [home = ''] = homes
    const { lsn } = (await controlCall(home, { type: 'mark', name: 'single' })) as { lsn: number }
    expect((await cutOf(home, 'single')).markLsns).toEqual([lsn])
    const tooLong = await controlCall(home, { type: 'mark', name: 'ü'.repeat(600) }).catch(codeOf)
    expect(tooLong).toBe('ENGINE_OPTION_INVALID')
    const quiet = await databases[0]?.quiesce()
    expect(await controlCall(home, { type: 'mark', name: 'single' }).catch(codeOf)).toBe('ENGINE_QUIESCED')
    await quiet?.resume()
  })
})

/** What is asked of a participant, in this order. */
const steps = ['prepare', 'isHeld', 'commit'] as const
type Step = (typeof steps)[number]

interface Death {
  readonly step: Step
  readonly moment: 'before' | 'after'
  /** The database that dies, or the one at whose call the marking process dies. */
  readonly at: number
  readonly dead: 'database' | 'marker'
}

const deaths: readonly Death[] = (['database', 'marker'] as const).flatMap((dead) =>
  steps.flatMap((step) =>
    (['before', 'after'] as const).flatMap((moment) => [0, 1, 2].map((at) => ({ step, moment, at, dead }))),
  ),
)

/** Participants of which one, or the process that asks them, dies at a call. */
function mortal({ step, moment, at, dead }: Death): MarkParticipant[] {
  const real = homes.map(homeParticipant)
  const gone = new Set<number>()
  const die = async (barrier: Parameters<MarkParticipant['abort']>[0]): Promise<never> => {
    for (const [index, participant] of real.entries()) {
      if (dead === 'database' && index !== at) continue
      gone.add(index)
      await participant.abort(barrier)
    }
    throw new Error('died')
  }
  return real.map((participant, index) => {
    const call =
      <Value>(name: Step, work: (barrier: Parameters<MarkParticipant['abort']>[0]) => Promise<Value>) =>
      async (barrier: Parameters<MarkParticipant['abort']>[0]): Promise<Value> => {
        const isHere = name === step && index === at
        if (gone.has(index)) throw new Error('gone')
        if (isHere && moment === 'before') return die(barrier)
        const value = await work(barrier)
        if (isHere && moment === 'after') return die(barrier)
        if (gone.has(index)) throw new Error('gone')
        return value
      }
    return {
      name: participant.name,
      prepare: call('prepare', (barrier) => participant.prepare(barrier)),
      isHeld: call('isHeld', (barrier) => participant.isHeld(barrier)),
      commit: call('commit', (barrier) => participant.commit(barrier)),
      abort: (barrier) => participant.abort(barrier),
    }
  })
}

describe('whoever dies while a mark is made', () => {
  test('the connection of a marking process that was killed lets commits go on', async () => {
    const [home = ''] = homes
    const connection = await ControlConnection.open(home)
    const request = { barrier: 'b', name: 'killed', members: [home], maxMs: 3_600_000 }
    await connection.call({ type: 'prepare', ...request })
    expect(await connection.call({ type: 'held', barrier: 'b' })).toEqual({ held: true })
    connection.close()
    await expectNobodyWaits()
    const late = controlCall(home, { type: 'commit', barrier: 'b', name: 'killed' })
    expect(await late.catch(codeOf)).toBe('ENGINE_QUIESCE_ENDED')
    expect((await cutOf(home, 'killed')).markLsns).toEqual([])
  })

  test.each(deaths)('the $dead at call $step of database $at, $moment it', async (death) => {
    const name = `death-${deaths.indexOf(death)}`
    const ended = await markTogether(name, mortal(death)).catch((error: unknown) => codeOf(error))
    await expectNobodyWaits()
    const cuts = await Promise.all(homes.map((home) => cutOf(home, name)))
    const marked = cuts.filter(({ markLsns }) => markLsns.length > 0).length
    const isReached = death.step === 'commit'
    expect(ended).toBe(isReached ? 'ENGINE_BARRIER_INCOMPLETE' : 'ENGINE_BARRIER_FAILED')
    // Of a marking process that died among the last calls, those that it had made may have been heard.
    const withDeadDatabase = [death.moment === 'before' ? 2 : 3]
    const possible = death.dead === 'database' ? withDeadDatabase : [0, 1, 2, 3]
    expect(isReached ? possible : [0]).toContain(marked)
    const point = { notes: cuts.map(({ noteLsns }) => noteLsns.length), orphans: orphansOf(cuts) }
    const whole = { notes: [1, 1, 1], orphans: [] }
    expect(isReached ? point : whole).toEqual(whole)
  })
})
