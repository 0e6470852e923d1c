/** Promotion of a standby that is a segment and some pieces behind, over real folders. */
import { directoryStore, openArchive } from '@timberline/archive'
import { openStandby, promote } from '@timberline/recovery'
import { archiveOf } from './backup-scenarios.ts'
import { checkHome } from './home-scenarios.ts'
import { makeArchive, newHomeOf } from './recovery-scenarios.ts'
import { plainAct, type Machine, type Scenario } from './scenario.ts'

export const promotionScenarios: readonly Scenario[] = [
  {
    name: 'promotion',
    over: 'folders',
    prepare: makeStandby,
    begin: (machine) => Promise.resolve(plainAct(() => promoteIt(machine))),
    again: (machine) => plainAct(() => promoteIt(machine)),
    check: async (machine) => {
      const archive = await openArchive(directoryStore(archiveOf(machine), machine.beneath))
      const { timelines } = await archive.catalogue()
      const successors = timelines.filter(({ parent }) => parent === 1)
      if (successors.length !== 1 || timelines[0]?.ended?.successor !== successors[0]?.timeline) {
        throw new Error(`one line has not one successor: ${JSON.stringify(timelines)}`)
      }
      await checkHome(newHomeOf(machine), machine)
    },
  },
]

async function makeStandby(machine: Machine): Promise<void> {
  await makeArchive(machine)
  const archive = await openArchive(directoryStore(archiveOf(machine)))
  const standby = await openStandby({ archive, home: newHomeOf(machine) })
  await standby.close()
}

async function promoteIt(machine: Machine): Promise<void> {
  const { fileSystem } = machine
  const archive = await openArchive(directoryStore(archiveOf(machine), fileSystem))
  await promote({ archive, home: newHomeOf(machine), fileSystem })
}
