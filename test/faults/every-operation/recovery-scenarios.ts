/** Recovery and its rehearsal, over real folders, from an archive with a backup, segments and pieces, and from a backup folder. */
import { join } from 'node:path'
import {
  createArchive,
  directoryStore,
  openArchive,
  runShipper,
  verifyArchive,
  type Archive,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { drill, recover } from '@timberline/recovery'
import { nodeFileSystem, TimberlineError } from '@timberline/wal'
import { archiveOf, backUpIntoArchive } from './backup-scenarios.ts'
import { checkHome, commit, homeOf, killedAfter, makeHome } from './home-scenarios.ts'
import { plainAct, type Machine, type Scenario } from './scenario.ts'

export const recoveryScenarios: readonly Scenario[] = [
  {
    name: 'recovery from an archive',
    over: 'folders',
    prepare: makeArchive,
    begin: (machine) => Promise.resolve(plainAct(() => recoverFromArchive(machine))),
    again: (machine) => plainAct(() => untilRecovered(machine, () => recoverFromArchive(machine))),
    check: (machine) => checkHome(newHomeOf(machine), machine),
  },
  {
    name: 'recovery of a backup in place',
    over: 'folders',
    prepare: async (machine) => {
      await makeHome(machine)
      await hotbackup({ home: homeOf(machine), target: newHomeOf(machine) })
    },
    begin: (machine) => Promise.resolve(plainAct(() => recoverInPlace(machine))),
    again: (machine) => plainAct(() => untilRecovered(machine, () => recoverInPlace(machine))),
    check: (machine) => checkHome(newHomeOf(machine), machine),
  },
  {
    name: 'drill',
    over: 'folders',
    prepare: makeArchive,
    begin: (machine) => Promise.resolve(plainAct(() => rehearse(machine))),
    again: (machine) => plainAct(() => rehearse(machine)),
    // A drill promises that it changes nothing; what a process leaves that dies in it lies in its scratch folder.
    check: async (machine) => {
      const archive = await openArchive(directoryStore(archiveOf(machine), machine.beneath))
      for await (const finding of verifyArchive(archive)) {
        throw new Error(`the archive is damaged: ${JSON.stringify(finding)}`)
      }
      await checkHome(homeOf(machine), machine)
    },
  },
]

export function newHomeOf({ root }: Machine): string {
  return join(root, 'new')
}

function scratchOf({ root }: Machine): string {
  return join(root, 'scratch')
}

/** Backup, a sealed segment behind it, and the rest of the log as pieces. */
export async function makeArchive(machine: Machine): Promise<void> {
  await makeHome(machine)
  const { environmentId } = await readHomeIdentity(homeOf(machine))
  const archive = await createArchive(directoryStore(archiveOf(machine), nodeFileSystem), { environmentId })
  await backUpIntoArchive(machine)
  await killedAfter(machine, async (db) => {
    await commit(db, machine, 2)
    await db.switchSegment()
    await commit(db, machine, 2)
    await ship(machine, archive)
  })
  await nodeFileSystem.makeDirectory(scratchOf(machine))
}

export async function ship(machine: Machine, archive: Archive): Promise<void> {
  const stop = new AbortController()
  const home = homeOf(machine)
  const shipper = runShipper({
    logDirectory: homeLayout(home).logDirectory,
    archive,
    name: 'test',
    identity: await readHomeIdentity(home),
    intervalMs: 10,
    signal: stop.signal,
  })
  await shipper.flushWhole()
  stop.abort()
  await shipper.done
}

async function recoverFromArchive(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const archive = await openArchive(directoryStore(archiveOf(machine), fileSystem))
  await recover({ from: { archive }, home: newHomeOf(machine), fileSystem })
}

async function recoverInPlace(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const home = newHomeOf(machine)
  await recover({ from: { backup: home }, home, fileSystem })
}

/** Either the home is complete, which only the last operations can leave behind, or the same call completes it. */
async function untilRecovered(machine: Machine, recoverNow: () => Promise<void>): Promise<void> {
  const has = async (name: string): Promise<boolean> =>
    (await machine.fileSystem.status(join(newHomeOf(machine), name))) !== undefined
  const isComplete =
    (await has('timberline.json')) && !(await has('recovery.json')) && !(await has('backup.json'))
  if (!isComplete) await recoverNow()
}

async function rehearse(machine: Machine): Promise<void> {
  const archive = await openArchive(directoryStore(archiveOf(machine), machine.fileSystem))
  const { failure } = await drill({ archive, scratch: scratchOf(machine) })
  // A drill that did not pass is a result with a code.
  if (failure !== undefined)
    throw new TimberlineError(failure.message, { code: failure.code, kind: 'unavailable' })
}
