/**
 * Retention, over real folders: an archive that holds more than its promise needs. After any fault the same command leaves exactly
 * what the promise needs, and all that is promised is recovered from it. That log let go is not shipped again, the histories hold.
 */
import { directoryStore, openArchive, verifyArchive, type Archive } from '@timberline/archive'
import { expire } from '@timberline/recovery'
import { archiveOf, backUpIntoArchive, checkRestored } from './backup-scenarios.ts'
import { commit, killedAfter } from './home-scenarios.ts'
import { makeArchive, ship } from './recovery-scenarios.ts'
import { plainAct, type Machine, type Scenario } from './scenario.ts'

/** The newest state alone: of two backups the older one goes, and the log before the newer one. */
const PROMISE = { instantsUs: 0, bases: [] }
/** Behind every commit, however the clock of the machine goes. */
const NOW_US = 4e15

export const retentionScenarios: readonly Scenario[] = [
  {
    name: 'retention',
    over: 'folders',
    prepare: makeTwoBackups,
    begin: (machine) => Promise.resolve(plainAct(() => letGo(machine))),
    again: (machine) => plainAct(() => letGo(machine)),
    check: async (machine) => {
      const archive = await archiveIn(machine)
      await expectSound(archive)
      const { segments } = await archive.catalogue()
      // Of the older segments the newest stays, because the shipper compares its log with it.
      if (segments.length !== 1) throw new Error(`${segments.length} segments stayed`)
      await checkRestored(machine, { archive })
    },
    weight: 0.5,
  },
]

/** A backup and the log behind it; then a newer backup, and pieces behind that. */
async function makeTwoBackups(machine: Machine): Promise<void> {
  await makeArchive(machine)
  await killedAfter(machine, async (db) => {
    await db.checkpoint()
    await commit(db, machine, 2)
  })
  await backUpIntoArchive(machine)
  const archive = await archiveIn(machine)
  await killedAfter(machine, async (db) => {
    await commit(db, machine, 2)
    await ship(machine, archive)
  })
}

async function letGo(machine: Machine): Promise<void> {
  const archive = await archiveIn(machine)
  const { outcome } = await expire({ archive, promise: PROMISE, apply: true, now: () => NOW_US })
  // What the store would not delete is a finding, not an error; here it has to surface.
  const [kept] = outcome?.undeleted ?? []
  if (kept !== undefined) throw kept.error
}

function archiveIn(machine: Machine): Promise<Archive> {
  return openArchive(directoryStore(archiveOf(machine), machine.fileSystem))
}

/** All that the catalogue names is whole, one backup with it; and no object is there that was let go. */
async function expectSound(archive: Archive): Promise<void> {
  for await (const finding of verifyArchive(archive)) {
    throw new Error(`the archive is damaged: ${JSON.stringify(finding)}`)
  }
  const { backups, segments } = await archive.catalogue()
  const [backup] = backups
  if (backup === undefined || backups.length > 1) throw new Error(`there are ${backups.length} backups`)
  const oldest = segments[0]?.segmentNumber ?? Infinity
  for await (const { name } of archive.store.list('')) {
    const [kind, second = '', third = ''] = name.split('/')
    const isGone =
      kind === 'backup'
        ? second !== backup.label
        : (kind === 'segment' || kind === 'piece') && Number.parseInt(third, 10) < oldest
    if (isGone) throw new Error(`${name} was let go, and is still there`)
  }
}
