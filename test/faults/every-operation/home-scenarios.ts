/**
 * Operations of a home with a real LevelDB, over real folders: the log, the checkpoints and the identity go through the faulty file
 * system, LevelDB's own files do not.
 */
import { join } from 'node:path'
import { rm } from 'node:fs/promises'
import { TimberLevel } from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import { FaultFileSystem } from '@timberline/wal/testing'
import { plainAct, type Act, type Machine, type Scenario } from './scenario.ts'

export type Home = TimberLevel<string, string>

export const homeScenarios: readonly Scenario[] = [
  {
    ...overHome('checkpoint'),
    begin: async (machine) => {
      const db = databaseOf(machine)
      await db.open()
      await commit(db, machine, 3)
      const run = async (): Promise<void> => {
        await db.checkpoint({ hashed: true })
      }
      return { run, abandon: () => db.close() }
    },
  },
  {
    ...overHome('checkpoint and close'),
    begin: async (machine) => {
      const db = databaseOf(machine)
      await db.open()
      await commit(db, machine, 3)
      return { run: () => db.close(), abandon: () => db.close() }
    },
  },
  { ...overHome('open of a home after a kill'), begin: (machine) => Promise.resolve(openAndClose(machine)) },
  {
    ...overHome('replay over a checkpoint, data lost'),
    prepare: async (machine) => {
      await makeHome(machine)
      await rm(join(homeOf(machine), 'data'), { recursive: true })
    },
    begin: (machine) => Promise.resolve(openAndClose(machine)),
  },
]

function overHome(name: string): Omit<Scenario, 'begin'> {
  return {
    name,
    over: 'folders',
    prepare: makeHome,
    again: openAndClose,
    check: (machine) => checkHome(homeOf(machine), machine),
  }
}

export function homeOf({ root }: Machine): string {
  return join(root, 'home')
}

/** A home whose process was killed: a checkpoint, and log behind it in two segments. */
export async function makeHome(machine: Machine): Promise<void> {
  await killedAfter(machine, async (db) => {
    await commit(db, machine, 4)
    await db.checkpoint()
    await commit(db, machine, 3)
    await db.switchSegment()
    await commit(db, machine, 3)
  })
}

/** Works in a home and leaves it as a killed process does: without the checkpoint of a clean close, which lets log go. */
export async function killedAfter(machine: Machine, work: (db: Home) => Promise<void>): Promise<void> {
  const faulty = new FaultFileSystem(machine.fileSystem)
  const db = databaseOf({ ...machine, fileSystem: faulty })
  await db.open()
  await work(db)
  faulty.inject(() => 'crash')
  await db.close().catch(() => undefined)
  await faulty.releaseHandles()
}

/** Opens, holds the state against the model, and commits once more. */
export async function checkHome(home: string, { promises, beneath }: Machine): Promise<void> {
  const db = openable(home, beneath)
  await db.open()
  try {
    promises.settle(promises.hold(new Map(await db.iterator().all())))
    await promises.next((operations) => db.batch(operations))
  } finally {
    await db.close()
  }
}

export async function commit(db: Home, { promises }: Machine, count: number): Promise<void> {
  for (let done = 0; done < count; done += 1) await promises.next((operations) => db.batch(operations))
}

export function openable(home: string, fileSystem: FileSystem): Home {
  return new TimberLevel<string, string>(home, {
    fileSystem,
    writeBufferSize: 64 * 1024,
    log: { preallocateBytes: 0 },
  })
}

function databaseOf(machine: Machine): Home {
  return openable(homeOf(machine), machine.fileSystem)
}

function openAndClose(machine: Machine): Act {
  const db = databaseOf(machine)
  const act = plainAct(async () => {
    await db.open()
    await db.close()
  })
  return { ...act, abandon: () => db.close() }
}
