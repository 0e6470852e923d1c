/** The commands of the simulated world, each with the line that it is in a printed history. */
import { CrashFileSystem, type CrashPolicy, type Fault, type WriteFate } from '@timberline/wal/testing'
import fc from 'fast-check'
import { type Machine, newMachine, type Place } from './machines.ts'
import { type DrawnTarget, restore, textOfTarget } from './restoring.ts'
import {
  auditArchive,
  flush,
  killShipper,
  lookAfter,
  startShipper,
  stopShipper,
  viewsOf,
} from './shipping.ts'
import { arm, type PlannedFault, type Victim, type World } from './world.ts'
import { anyWrite } from './writes.ts'

export type Command = fc.AsyncCommand<{ readonly world: World }, World>

// The home far more often than its copy.
const place: fc.Arbitrary<Place> = fc.oneof(
  { weight: 5, arbitrary: fc.constant('home' as const) },
  { weight: 1, arbitrary: fc.constant('copy' as const) },
)
const slot = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.constant(1) })

interface Step {
  readonly kind: string
  readonly text: string
  readonly can: (world: World) => boolean
  readonly run: (world: World) => Promise<void>
}

function command({ kind, text, can, run }: Step): Command {
  return {
    check: ({ world }) => can(world),
    run: async (_, world) => {
      world.counts.add(`command ${kind}`)
      await run(world)
      for (const machine of world.machines.values()) await lookAfter(world, machine)
    },
    toString: () => text,
  }
}

/** A command on a machine, if there is one and it is as wanted. */
function on(
  where: Place,
  step: {
    readonly kind: string
    readonly text: string
    readonly if?: (machine: Machine) => boolean
    readonly run: (world: World, machine: Machine) => Promise<void>
  },
): Command {
  return command({
    kind: step.kind,
    text: where === 'home' ? step.text : `on the copy: ${step.text}`,
    can: (world) => {
      const machine = world.machines.get(where)
      return machine !== undefined && (step.if?.(machine) ?? true)
    },
    run: (world) => step.run(world, world.machine(where)),
  })
}

const isOpen = ({ engine }: Machine): boolean => engine !== undefined

/** Calls on the database, worked out from what the model says that they find. */
const write = fc.tuple(place, anyWrite).map(([where, { kind, text, calls }]) =>
  on(where, {
    kind,
    text,
    if: isOpen,
    run: (world, machine) => world.write(machine, calls(world, machine.records)),
  }),
)

const open = place.map((where) =>
  on(where, {
    kind: 'open',
    text: 'open',
    if: (machine) => !isOpen(machine),
    run: (world, machine) => world.open(machine),
  }),
)

const close = place.map((where) =>
  on(where, { kind: 'close', text: 'close', if: isOpen, run: (world, machine) => world.close(machine) }),
)

const kill = place.map((where) =>
  on(where, { kind: 'kill', text: 'kill', if: isOpen, run: (world, machine) => world.kill(machine) }),
)

const fates: readonly (WriteFate | 'any')[] = ['any', 'lost', 'kept', 'torn-512', 'torn-4096', 'zeroed']
const policy: fc.Arbitrary<CrashPolicy & { seed: number }> = fc.record({
  seed: fc.nat(9999),
  writes: fc.constantFrom(...fates),
  names: fc.constantFrom('any' as const, 'lost' as const, 'kept' as const),
})

const powerLoss = fc.tuple(place, policy).map(([where, { seed, writes, names }]) =>
  on(where, {
    kind: 'power loss',
    text: `power loss(writes ${String(writes)}, names ${String(names)}, seed ${seed})`,
    run: async (world, machine) => {
      for (const each of [0, 1]) await killShipper(world, machine, each)
      await world.cutPower(machine, {
        seed,
        ...(writes === undefined ? {} : { writes }),
        ...(names === undefined ? {} : { names }),
      })
    },
  }),
)

const archivePowerLoss = policy.map(({ seed, writes, names }) =>
  command({
    kind: 'power loss of the archive',
    text: `power loss of the archive(writes ${String(writes)}, names ${String(names)}, seed ${seed})`,
    can: () => true,
    run: async (world) => {
      // The archive is mounted, not a service: who writes to it goes down with it.
      for (const machine of world.machines.values()) {
        for (const each of [0, 1]) await killShipper(world, machine, each)
      }
      world.archiveDisk = world.archiveDisk.crash({
        seed,
        ...(writes === undefined ? {} : { writes }),
        ...(names === undefined ? {} : { names }),
      })
      await auditArchive(world)
    },
  }),
)

const pass = fc
  .constantFrom(100, 1500, 12_000)
  .map((ms) =>
    command({ kind: 'pass', text: `pass(${ms} ms)`, can: () => true, run: (world) => world.pass(ms) }),
  )

const turnClock = fc.constantFrom(-3_600_000_000, -1, 1, 5_000_000).map((us) =>
  command({
    kind: 'turn clock',
    text: `turn clock(${us} us)`,
    can: () => true,
    run: async (world) => {
      world.skewUs += us
      await world.scheduler.quiet()
    },
  }),
)

const begin = fc.tuple(place, slot).map(([where, at]) =>
  on(where, {
    kind: 'start shipper',
    text: at === 0 ? 'start shipper' : 'start a second shipper',
    if: (machine) => machine.wasOpen && machine.shippers[at] === undefined,
    run: (world, machine) => startShipper(world, machine, at),
  }),
)

const ship = fc.tuple(place, slot).map(([where, at]) =>
  on(where, {
    kind: 'ship',
    text: at === 0 ? 'ship' : 'ship by the second',
    if: (machine) => machine.shippers[at] !== undefined && isShippable(machine),
    run: async (world, machine) => {
      await flush(world, machine, [at])
    },
  }),
)

const shipBoth = place.map((where) =>
  on(where, {
    kind: 'ship by both',
    text: 'ship by both at once',
    if: (machine) => machine.shippers.every((process) => process !== undefined) && isShippable(machine),
    run: async (world, machine) => {
      await flush(world, machine, [0, 1])
    },
  }),
)

/** After a power loss the log is looked at by its owner first: until then nobody knows how far it reaches. */
function isShippable({ unsettled }: Machine): boolean {
  return unsettled !== 'power'
}

const stop = fc.tuple(place, slot, fc.boolean()).map(([where, at, isKind]) =>
  on(where, {
    kind: isKind ? 'stop shipper' : 'kill shipper',
    text: `${isKind ? 'stop' : 'kill'} ${at === 0 ? 'shipper' : 'the second shipper'}`,
    if: (machine) => machine.shippers[at] !== undefined,
    run: (world, machine) => (isKind ? stopShipper : killShipper)(world, machine, at),
  }),
)

const copyHome = fc.constant(
  command({
    kind: 'copy home',
    text: 'copy the home',
    can: (world) => world.machine('home').unsettled !== 'power' && world.machine('home').wasOpen,
    run: async (world) => {
      const old = world.machines.get('copy')
      if (old !== undefined) {
        for (const each of [0, 1]) await killShipper(world, old, each)
        await world.kill(old)
        world.pastLines.push(old.records)
      }
      const { disk, records } = world.machine('home')
      const copied: CrashFileSystem = disk.ifCrashed({ writes: 'kept', names: 'kept', seed: records.length })
      world.machines.set('copy', newMachine('copy', copied, records))
    },
  }),
)

const faults: readonly Fault[] = ['EIO', 'ENOSPC', 'EMFILE', 'short', 'EIO-after', 'crash', 'crash-after']
const victims: readonly Victim[] = ['engine', 'engine', 'ship-log', 'store']

const fault = fc
  .tuple(
    place,
    fc.constantFrom(...victims),
    fc.record({
      fault: fc.constantFrom(...faults),
      after: fc.nat(12),
      times: fc.constantFrom(1, 6),
    }),
  )
  .map(([where, victim, planned]) =>
    on(where, {
      kind: 'fault',
      text: `${planned.fault} at operation ${planned.after + 1} of the ${victim}${planned.times === 1 ? '' : `, ${planned.times} times`}`,
      run: async (world, machine) => {
        armFor(world, machine, { victim, planned })
        await world.scheduler.quiet()
      },
    }),
  )

function armFor(
  world: World,
  machine: Machine,
  { victim, planned }: { victim: Victim; planned: PlannedFault },
): void {
  const running =
    victim === 'engine'
      ? machine.engine === undefined
        ? []
        : [machine.engine.files]
      : viewsOf(machine, victim)
  for (const files of running) arm(files, planned)
  if (running.length === 0) world.waitingFaults.set(`${machine.place} ${victim}`, planned)
}

const target: fc.Arbitrary<DrawnTarget> = fc.record({
  type: fc.constantFrom('latest', 'lsn', 'time', 'mark'),
  at: fc.nat(20),
  edge: fc.constantFrom('before', 'through'),
  shiftUs: fc.constantFrom(-1 as const, 0 as const, 1 as const),
})

const recovery = target.map((drawn) =>
  command({
    kind: 'restore',
    text: `restore(${textOfTarget(drawn)})`,
    can: () => true,
    run: (world) => restore(world, drawn),
  }),
)

/** Every command, the frequent ones first; numbers are weights. */
const weighted: readonly (readonly [number, fc.Arbitrary<Command>])[] = [
  [8, open],
  [28, write],
  [1, close],
  [1, kill],
  [2, powerLoss],
  [1, archivePowerLoss],
  [3, pass],
  [2, turnClock],
  [5, begin],
  [8, ship],
  [4, shipBoth],
  [1, stop],
  [1, copyHome],
  [4, fault],
  [3, recovery],
]

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  ...weighted.map(([weight, arbitrary]) => ({ weight, arbitrary })),
)
