/** Runs histories of the simulated world, and ends each with the comparison of everything with everything. */
import fc from 'fast-check'
import { anyCommand } from './commands.ts'
import { Counts } from './counts.ts'
import { contentAt, digestOf } from './history-model.ts'
import * as invariants from './invariants.ts'
import { addEmptyBackup, emptyBackup, latestDigest } from './restoring.ts'
import { auditArchive, flush, isHeldByLog, killShipper, startShipper } from './shipping.ts'
import { checkHistories, commandOptions, type RunChoice } from './run-choice.ts'
import { World } from './world.ts'

const COMMANDS_MAX = 50

/** Runs the property; throws the shrunk history when it fails. */
export async function runSimulated(choice: RunChoice): Promise<Counts> {
  const counts = new Counts()
  const backup = await emptyBackup()
  const model = fc.constantFrom('posix' as const, 'ext4' as const)
  const begins = fc.constantFrom('closed' as const, 'open' as const, 'shipping' as const)
  const commands = fc.commands([anyCommand], commandOptions(choice, COMMANDS_MAX))
  const property = fc.asyncProperty(model, begins, commands, async (disk, begin, history) => {
    const world = await World.begin(disk, counts)
    const home = world.machine('home')
    try {
      await addEmptyBackup(world, backup)
      counts.add('histories')
      if (begin !== 'closed') await world.open(home)
      if (begin === 'shipping') await startShipper(world, home, 0)
      await fc.asyncModelRun(() => ({ model: { world }, real: world }), history)
      await endOf(world)
      counts.add('operations', world.operationCount)
    } finally {
      await world.scheduler.quiet()
      world.scheduler.clock.uninstall()
    }
  })
  await checkHistories(property, choice)
  return counts
}

/** Mended, reopened and shipped, everything must agree: primary, restore and model have one digest at one LSN. */
async function endOf(world: World): Promise<void> {
  const home = world.machine('home')
  world.waitingFaults.clear()
  for (const machine of world.machines.values()) {
    for (const slot of [0, 1]) await killShipper(world, machine, slot)
  }
  await world.close(home)
  await world.open(home)
  if (home.engine === undefined) throw new Error('the mended home does not open')
  await auditArchive(world)
  const isOurs = await isHeldByLog(world, home)
  await startShipper(world, home, 0)
  const isShipping = home.shippers[0] !== undefined
  invariants.hold(isShipping === isOurs, 'an archive takes the home whose history it holds, and no other', {
    isOurs,
    isShipping,
  })
  if (!isShipping) {
    world.counts.add('ended apart from the archive')
    return
  }
  await flush(world, home, [0])
  await killShipper(world, home, 0)
  const lsn = home.records.length
  const primary = await world.scheduler.drive(home.engine.db.digest())
  if (primary.type !== 'done') throw new Error('the digest never ended')
  const restore = await latestDigest(world)
  const model = { lsn, hex: digestOf(contentAt(home.records, lsn)) }
  invariants.digestsAgree(lsn, { model, primary: primary.value, restore })
  world.counts.add('digests compared')
  await world.close(home)
}
