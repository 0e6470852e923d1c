/** Backups of a home whose process was killed, over real folders: after any fault the target holds a whole backup or none. */
import { join } from 'node:path'
import { createArchive, directoryStore, openArchive, verifyArchive } from '@timberline/archive'
import { readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup, verifyBackup, type HotbackupOptions } from '@timberline/hotbackup'
import { recover, type RecoveryFrom } from '@timberline/recovery'
import { nodeFileSystem } from '@timberline/wal'
import { checkHome, commit, homeOf, killedAfter, makeHome } from './home-scenarios.ts'
import { plainAct, type Machine, type Scenario } from './scenario.ts'

export const backupScenarios: readonly Scenario[] = [
  {
    ...backingUp('backup to a folder', {}),
    prepare: makeHome,
  },
  {
    ...backingUp('backup over an older one', {}),
    prepare: makeBackedUpHome,
  },
  {
    ...backingUp('update of a backup', { update: true }),
    prepare: makeBackedUpHome,
  },
  {
    ...backingUp('update of a backup with recovery', { update: true, recover: true }),
    prepare: makeBackedUpHome,
  },
  {
    name: 'backup into an archive',
    over: 'folders',
    prepare: async (machine) => {
      await makeHome(machine)
      const { environmentId } = await readHomeIdentity(homeOf(machine))
      await createArchive(directoryStore(archiveOf(machine), nodeFileSystem), { environmentId })
    },
    begin: (machine) => Promise.resolve(plainAct(() => backUpIntoArchive(machine))),
    again: (machine) => plainAct(() => backUpIntoArchive(machine)),
    check: async (machine) => {
      const archive = await openArchive(directoryStore(archiveOf(machine), machine.fileSystem))
      for await (const finding of verifyArchive(archive)) {
        throw new Error(`the archive is damaged: ${JSON.stringify(finding)}`)
      }
      await checkRestored(machine, { archive })
    },
  },
]

function backingUp(name: string, options: Partial<HotbackupOptions>): Omit<Scenario, 'prepare'> {
  return {
    name,
    over: 'folders',
    begin: (machine) => Promise.resolve(plainAct(() => backUp(machine, options))),
    again: (machine) =>
      plainAct(async () => {
        await wholeOrNone(machine)
        await backUp(machine, options)
      }),
    check: async (machine) => {
      await wholeOrNone(machine)
      await checkRestored(machine, { backup: targetOf(machine) })
    },
  }
}

function targetOf({ root }: Machine): string {
  return join(root, 'backup')
}

export function archiveOf({ root }: Machine): string {
  return join(root, 'archive')
}

/** A home with a backup that the present state has gone beyond. */
async function makeBackedUpHome(machine: Machine): Promise<void> {
  await makeHome(machine)
  await hotbackup({ home: homeOf(machine), target: targetOf(machine) })
  await killedAfter(machine, (db) => commit(db, machine, 3))
}

async function backUp(machine: Machine, options: Partial<HotbackupOptions>): Promise<void> {
  const { fileSystem } = machine
  await hotbackup({ home: homeOf(machine), target: targetOf(machine), fileSystem, ...options })
}

export async function backUpIntoArchive(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const archive = await openArchive(directoryStore(archiveOf(machine), fileSystem))
  await hotbackup({ home: homeOf(machine), target: { archive }, fileSystem })
}

async function wholeOrNone(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const target = targetOf(machine)
  if ((await fileSystem.status(join(target, 'backup.json'))) === undefined) return
  const findings = await verifyBackup(target)
  if (findings.length > 0) throw new Error(`the backup is damaged: ${JSON.stringify(findings)}`)
}

/** The backup becomes a home with the promised state, and the home that it came from is unharmed. */
export async function checkRestored(machine: Machine, from: RecoveryFrom): Promise<void> {
  const restored = join(machine.root, 'restored')
  await recover({ from, home: restored, scratch: true })
  await checkHome(restored, { ...machine, promises: machine.promises.copy() })
  await TimberLevel.destroy(restored)
  await checkHome(homeOf(machine), machine)
}
