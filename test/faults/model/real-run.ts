/** Runs histories of the world of real files. */
import type { Fault } from '@timberline/wal/testing'
import fc from 'fast-check'
import { Counts } from './counts.ts'
import { RealWorld } from './real-world.ts'
import { type DrawnRetention, textOfRetention } from './real-retention.ts'
import { type DrawnTarget, inScratch, textOfTarget } from './restoring.ts'
import { checkHistories, commandOptions, type RunChoice } from './run-choice.ts'
import { anyWrite } from './writes.ts'

type Command = fc.AsyncCommand<{ readonly world: RealWorld }, RealWorld>

const COMMANDS_MAX = 30
const MS_MAX = 200_000

function command(kind: string, text: string, run: (world: RealWorld) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (_, world) => {
      world.counts.add(`command ${kind}`)
      await run(world)
    },
    toString: () => text,
  }
}

function plain(text: string, run: (world: RealWorld) => Promise<void>): fc.Arbitrary<Command> {
  return fc.constant(command(text, text, run))
}

const write = anyWrite.map(({ kind, text, calls }) =>
  command(kind, text, (world) => world.write(calls(world, world.records))),
)

const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'EMFILE', 'short', 'EIO-after', 'crash', 'crash-after']

/** A fault, and at once the write that it may strike. */
const faulty = fc
  .tuple(fc.constantFrom(...faults), fc.nat(8), fc.constantFrom(1, 6), anyWrite)
  .map(([fault, after, times, { text, calls }]) =>
    command('fault', `${fault} at operation ${after + 1}, ${times} times; ${text}`, async (world) => {
      world.arm({ fault, after, times })
      await world.write(calls(world, world.records))
    }),
  )

const takeOver = plain('second archiver takes over', async (world) => {
  const id = world.newId()
  await world.takeOver({
    planned: [{ kind: 'entry', changes: [['a', 'taken']], id, durable: true }],
    run: (db) => db.put('a', 'taken', { meta: id }),
  })
})

const target: fc.Arbitrary<DrawnTarget> = fc.record({
  type: fc.constantFrom('latest', 'lsn', 'time', 'mark'),
  at: fc.nat(20),
  edge: fc.constantFrom('before', 'through'),
  shiftUs: fc.constantFrom(-1 as const, 0 as const, 1 as const),
})

const retention: fc.Arbitrary<DrawnRetention> = fc.record({
  back: fc.nat(12),
  shiftUs: fc.constantFrom(-1 as const, 0 as const, 1 as const),
  ageUs: fc.constantFrom(0, 1, 1_000_000, 2e15),
  everyUs: fc.constantFrom(undefined, undefined, 1, 20_000),
})

const retain = retention.map((drawn) =>
  command('retain', textOfRetention(drawn), (world) => world.retain(drawn)),
)

const promise = fc
  .constantFrom(1000, 1_000_000, 1_000_000_000)
  .map((instantsUs) => command('promise', `promise(${instantsUs} us)`, (world) => world.promise(instantsUs)))

/** One value again and again, so that it fills segments and a delta of them saves most. */
const compact = plain('rewrite, ship and compact', async (world) => {
  for (let round = 0; round < 8; round += 1) {
    const id = world.newId()
    const value = String(round).repeat(2500)
    const planned = [{ kind: 'entry', changes: [['a', value]], id, durable: true }] as const
    await world.write([{ planned, run: (db) => db.put('a', value, { meta: id }) }])
  }
  await world.ship()
  await world.compact()
})

const load = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(9).map(String)), { minLength: 1, maxLength: 3 })
  .map((drawn) => [...new Map(drawn)])
  .map((changes) =>
    command('load', `load(${changes.map((each) => each.join(' ')).join(', ')})`, (world) =>
      world.load(changes),
    ),
  )

const follow = fc
  .boolean()
  .map((isAnew) =>
    command('follow', isAnew ? 'follow, opened anew' : 'follow', (world) => world.follow(isAnew)),
  )

function toTarget(
  kind: string,
  run: (world: RealWorld, drawn: DrawnTarget) => Promise<void>,
): fc.Arbitrary<Command> {
  return target.map((drawn) => command(kind, `${kind}(${textOfTarget(drawn)})`, (world) => run(world, drawn)))
}

const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 16, arbitrary: write },
  { weight: 3, arbitrary: faulty },
  { weight: 1, arbitrary: plain('reopen', (world) => world.reopen()) },
  { weight: 2, arbitrary: plain('kill', (world) => world.kill()) },
  { weight: 2, arbitrary: plain('checkpoint', (world) => world.checkpoint()) },
  { weight: 2, arbitrary: plain('roll', (world) => world.roll()) },
  { weight: 4, arbitrary: plain('ship', (world) => world.ship()) },
  { weight: 1, arbitrary: takeOver },
  { weight: 4, arbitrary: plain('hot backup into the archive', (world) => world.backupIntoArchive()) },
  { weight: 1, arbitrary: plain('hot backup', (world) => world.backupIntoFolder(false)) },
  {
    weight: 1,
    arbitrary: plain('update backup', (world) => world.backupIntoFolder(world.folderBackup !== undefined)),
  },
  { weight: 1, arbitrary: load },
  { weight: 3, arbitrary: follow },
  { weight: 1, arbitrary: plain('promote', (world) => world.promote()) },
  { weight: 3, arbitrary: retain },
  { weight: 1, arbitrary: promise },
  { weight: 1, arbitrary: compact },
  { weight: 3, arbitrary: toTarget('restore', (world, drawn) => world.restore(drawn)) },
  { weight: 1, arbitrary: toTarget('restore from folder', (world, drawn) => world.restoreFromFolder(drawn)) },
  { weight: 2, arbitrary: toTarget('recover and go on', (world, drawn) => world.recoverAndGoOn(drawn)) },
)

/** Runs the property; throws the shrunk history when it fails. */
export async function runReal(choice: RunChoice): Promise<Counts> {
  const counts = new Counts()
  const commands = fc.commands([anyCommand], commandOptions(choice, COMMANDS_MAX))
  const property = fc.asyncProperty(fc.boolean(), commands, (hasBackup, history) =>
    inScratch(async (folder) => {
      const world = await RealWorld.begin(folder, counts)
      try {
        counts.add('histories')
        if (hasBackup) await world.backupIntoArchive()
        await fc.asyncModelRun(() => ({ model: { world }, real: world }), history)
        await world.end()
      } finally {
        await world.close().catch(() => undefined)
      }
    }),
  )
  // Shrinking may need hundreds of these slow histories: a test that is ended by its own limit would tell none of them.
  await checkHistories(property, { msMax: MS_MAX, ...choice })
  return counts
}
