/**
 * Operations of the log and of a database over it, wholly on the simulated disk. The state of a `TimberMemoryLevel` is what
 * its log gives on opening, so it shows all there is to the log.
 */
import { encodeTransaction, homeLayout, readHomeIdentity, TimberMemoryLevel } from '@timberline/engine'
import { openLog, type FileSystem, type Log } from '@timberline/wal'
import type { Operation } from '../../../packages/hotbackup/test/history.ts'
import { operationsOf } from './promises.ts'
import { plainAct, type Act, type Machine, type Scenario } from './scenario.ts'

const LIMITS = { segmentBytesMax: 8192, preallocateBytes: 2048, segmentAgeMsMax: 0 }

type Database = TimberMemoryLevel<string, string>

export const logScenarios: readonly Scenario[] = [
  {
    ...overLog('commit'),
    begin: (machine) =>
      withDatabase(machine, async (db) => {
        for (let count = 0; count < 3; count += 1) await commit(db, machine)
      }),
  },
  {
    ...overLog('group commit'),
    begin: (machine) => withDatabase(machine, (db) => commitGroups(db, machine)),
  },
  {
    ...overLog('roll'),
    begin: (machine) =>
      withLog(machine, async (log) => {
        await append(log, machine)
        await log.roll()
        await append(log, machine)
        await log.close()
      }),
  },
  {
    ...overLog('seal'),
    // Segments so small that the second commit does not fit into the one that the first began.
    begin: (machine) =>
      withDatabase(
        machine,
        async (db) => {
          for (let count = 0; count < 9; count += 1) await commit(db, machine)
        },
        { ...LIMITS, segmentBytesMax: 4096 },
      ),
  },
  {
    ...overLog('close'),
    begin: async (machine) => {
      const db = databaseOf(machine)
      await db.open()
      await commit(db, machine)
      return { run: () => db.close(), abandon: () => db.close() }
    },
  },
  { ...overLog('open after a clean close'), begin: (machine) => Promise.resolve(openAndClose(machine)) },
  {
    ...overLog('open after a kill'),
    prepare: (machine) => leaveBehind(machine, 3),
    begin: (machine) => Promise.resolve(openAndClose(machine)),
  },
  {
    ...overLog('open of a new home'),
    prepare: () => Promise.resolve(),
    begin: (machine) => Promise.resolve(openAndClose(machine)),
  },
]

/** What the scenarios of the log share: a home with two segments, opening as recovery, and the model. */
function overLog(name: string): Omit<Scenario, 'begin'> {
  return {
    name,
    over: 'simulated disk',
    prepare: async (machine) => {
      const log = await openHomeLog(machine)
      for (let count = 0; count < 4; count += 1) await append(log, machine)
      await log.roll()
      for (let count = 0; count < 2; count += 1) await append(log, machine)
      await log.close()
    },
    again: openAndClose,
    check: checkLogHome,
  }
}

/** Opens, holds the state against the model, commits once more, and does so again. */
export async function checkLogHome(machine: Machine): Promise<void> {
  const { promises } = machine
  for (const isLast of [false, true]) {
    const db = databaseOf(machine)
    await db.open()
    try {
      promises.settle(promises.hold(new Map(await db.iterator().all())))
      if (!isLast) await commit(db, machine)
    } finally {
      await db.close()
    }
  }
}

function homeOf({ root }: Machine): string {
  return `${root}/home`
}

function databaseOf(machine: Machine, limits = LIMITS): Database {
  return new TimberMemoryLevel({
    log: { ...limits, home: homeOf(machine), fileSystem: machine.fileSystem },
  })
}

async function openHomeLog(machine: Machine): Promise<Log> {
  // Made as a database makes it, so that the log belongs to the home.
  const db = databaseOf(machine)
  await db.open()
  await db.close()
  return openLogOf(homeOf(machine), machine.fileSystem)
}

async function openLogOf(home: string, fileSystem: FileSystem): Promise<Log> {
  const identity = await readHomeIdentity(home, fileSystem)
  return openLog({ ...LIMITS, directory: homeLayout(home).logDirectory, identity, fileSystem })
}

function commit(db: Database, { promises }: Machine): Promise<void> {
  return promises.next((operations) => db.batch(operations))
}

/** Two groups of several commits that nobody waited for in between. */
async function commitGroups(db: Database, machine: Machine): Promise<void> {
  for (const size of [4, 3]) {
    const results = await Promise.allSettled(Array.from({ length: size }, () => commit(db, machine)))
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }
}

async function append(log: Log, { promises }: Machine): Promise<void> {
  await promises.next((operations) => log.commit(encodeTransaction({ operations: encoded(operations) })))
}

function encoded(
  operations: readonly Operation[],
): ({ type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer })[] {
  return operations.map(({ type, key, value }) =>
    type === 'put'
      ? { type, key: Buffer.from(key), value: Buffer.from(value) }
      : { type, key: Buffer.from(key) },
  )
}

/** As a killed process leaves its log: no close, and a commit behind the last acknowledged one that nobody waited for. */
async function leaveBehind(machine: Machine, count: number): Promise<void> {
  const log = await openHomeLog(machine)
  for (let done = 0; done < count; done += 1) await append(log, machine)
  const { promises } = machine
  promises.attempted += 1
  const operations = encoded(operationsOf(promises.attempted))
  await log.commit(encodeTransaction({ operations }), { durable: false })
}

async function withDatabase(
  machine: Machine,
  work: (db: Database) => Promise<void>,
  limits = LIMITS,
): Promise<Act> {
  const db = databaseOf(machine, limits)
  await db.open()
  return { run: () => work(db), abandon: () => db.close() }
}

async function withLog(machine: Machine, work: (log: Log) => Promise<void>): Promise<Act> {
  const log = await openLogOf(homeOf(machine), machine.fileSystem)
  return { run: () => work(log), abandon: () => log.close() }
}

function openAndClose(machine: Machine): Act {
  const db = databaseOf(machine)
  const act = plainAct(async () => {
    await db.open()
    await db.close()
  })
  return { ...act, abandon: () => db.close() }
}
