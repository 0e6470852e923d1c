/**
 * The simulated world: a home on a machine, at times a copy of it on a second one, an archive on a disk of its own; beside them
 * the model of what must stand where. Everything that decides anything is injected: disks, clock, timers, identity. Each verb
 * does one thing to the world, foretells its outcome, and compares.
 */
import type { FileSystem } from '@timberline/wal'
import { readLog } from '@timberline/wal'
import { TimberMemoryLevel, decodeTransaction, writeHomeIdentity } from '@timberline/engine'
import {
  CrashFileSystem,
  type CrashModel,
  type CrashPolicy,
  type Fault,
  FaultFileSystem,
} from '@timberline/wal/testing'
import type { LogRecord } from '@timberline/wal'
import { Counts } from './counts.ts'
import { type Change, contentAt, type Entry } from './history-model.ts'
import type { Call, Planned } from './writes.ts'
import * as invariants from './invariants.ts'
import {
  type EngineProcess,
  hasFaulted,
  HOME,
  LOG,
  type Machine,
  newMachine,
  type Place,
} from './machines.ts'
import { type Outcome, Scheduler } from './scheduler.ts'

export const IDENTITY = { environmentId: 'e0'.repeat(16), timeline: 1 }
const SEGMENT_BYTES = 8192

/** A fault that is to strike one operation of a process. */
export interface PlannedFault {
  readonly fault: Fault
  /** How many operations pass before. */
  readonly after: number
  /** How many operations in a row it strikes. */
  readonly times: number
}

export type Victim = 'engine' | 'ship-log' | 'store'

export class World {
  readonly counts: Counts
  readonly scheduler: Scheduler
  readonly machines: Map<Place, Machine> = new Map()
  archiveDisk: CrashFileSystem
  /** Lines that stood in a log once and do not any more: an archive may still hold one. */
  readonly pastLines: (readonly Entry[])[] = []
  /** What the recovery points that were reported so far cover. */
  reported: readonly Entry[] = []
  /** How far the wall clock is off; it may go back. */
  skewUs = 0
  /** Faults that wait for a process that does not run yet. */
  readonly waitingFaults: Map<string, PlannedFault> = new Map()
  #nextId = 1

  private constructor(model: CrashModel, counts: Counts) {
    this.counts = counts
    this.archiveDisk = new CrashFileSystem({ model, seed: 2 })
    this.machines.set('home', newMachine('home', new CrashFileSystem({ model, seed: 1 }), []))
    this.scheduler = new Scheduler(() => this.operationCount)
  }

  static async begin(model: CrashModel, counts: Counts): Promise<World> {
    const world = new World(model, counts)
    world.scheduler.clock.install()
    const identity = { format: 1, createdAtUs: 1, ...IDENTITY } as const
    await writeHomeIdentity(HOME, identity, world.machine('home').disk)
    return world
  }

  machine(place: Place): Machine {
    const machine = this.machines.get(place)
    if (machine === undefined) throw new Error(`there is no ${place}`)
    return machine
  }

  /** Operations of the disks as they stand now: changes whenever anything goes on. */
  get operationCount(): number {
    const disks = [this.archiveDisk, ...[...this.machines.values()].map(({ disk }) => disk)]
    return disks.reduce((sum, disk) => sum + disk.operationCount, 0)
  }

  nowUs(): number {
    return this.scheduler.clock.ms * 1000 + this.skewUs
  }

  newId(): number {
    return this.#nextId++
  }

  /** Every line of history that an archive may hold a beginning of. */
  get lines(): (readonly Entry[])[] {
    return [...this.pastLines, ...[...this.machines.values()].map(({ records }) => records)]
  }

  /** A view of a disk for a new process, with the fault that waits for it. */
  view(disk: FileSystem, machine: Machine, victim: Victim): FaultFileSystem {
    const files = new FaultFileSystem(disk)
    const key = `${machine.place} ${victim}`
    const waiting = this.waitingFaults.get(key)
    this.waitingFaults.delete(key)
    if (waiting !== undefined) arm(files, waiting)
    return files
  }

  /** Opens the database; the log must be a beginning of what the model remembers, with all that was promised. */
  async open(machine: Machine): Promise<void> {
    const files = this.view(machine.disk, machine, 'engine')
    const db = new TimberMemoryLevel({
      log: {
        home: HOME,
        fileSystem: files,
        now: () => this.nowUs(),
        segmentBytesMax: SEGMENT_BYTES,
        segmentAgeMsMax: 10_000,
        preallocateBytes: 2048,
      },
    })
    const outcome = await this.scheduler.drive(db.open())
    this.noteFaults(files)
    if (outcome.type !== 'done') {
      this.failed(outcome, { doing: 'open', files: [files] })
      return
    }
    const found = await recordsIn(machine.disk)
    const promised =
      machine.unsettled === 'power' ? machine.durableLsn : Math.max(machine.writtenLsn, machine.durableLsn)
    invariants.acknowledgedSurvives(machine.records, found, promised)
    invariants.increases(found)
    if (found.length < machine.records.length) {
      this.pastLines.push(machine.records)
      this.counts.add('lost records', machine.records.length - found.length)
    }
    machine.records = found
    // What an open log shows is durable: opening saw to it.
    machine.writtenLsn = machine.durableLsn = found.length
    machine.unsettled = 'no'
    machine.wasOpen = true
    machine.engine = { files, db }
    await this.compareContent(machine)
  }

  /** Closes the database, which makes everything durable. */
  async close(machine: Machine): Promise<void> {
    const { engine } = machine
    if (engine === undefined) return
    const outcome = await this.scheduler.drive(engine.db.close())
    this.noteFaults(engine.files)
    if (outcome.type === 'done' && !hasFaulted(engine.files)) machine.durableLsn = machine.records.length
    if (outcome.type !== 'done') this.failed(outcome, { doing: 'close', files: [engine.files] })
    this.leave(machine)
  }

  /** Ends the process of the database at once. */
  async kill(machine: Machine): Promise<void> {
    const { engine } = machine
    if (engine === undefined) return
    engine.files.inject(() => 'crash')
    // A dead process does nothing more; this lets go of what would otherwise wait for ever.
    await this.scheduler.drive(engine.db.close())
    this.leave(machine)
  }

  /** Cuts the power of one machine, all its processes included. */
  async cutPower(machine: Machine, policy: CrashPolicy): Promise<void> {
    await this.kill(machine)
    machine.disk = machine.disk.crash(policy)
    machine.unsettled = 'power'
  }

  /** Calls the database, all calls at once, and compares the log, the content and the acknowledgements with the model. */
  async write(machine: Machine, calls: readonly Call[]): Promise<void> {
    const { engine } = machine
    if (engine === undefined) return
    const planned = calls.flatMap((call) => call.planned)
    const expected = [...machine.records]
    for (const plan of planned) expected.push(this.#foretold(expected, plan))
    const outcomes = await this.scheduler.drive(Promise.allSettled(calls.map(({ run }) => run(engine.db))))
    this.noteFaults(engine.files)
    if (outcomes.type !== 'done') throw new Error('a call on the database never ended')
    const found = await recordsIn(machine.disk)
    let lsn = machine.records.length
    for (const [index, result] of outcomes.value.entries()) {
      const own = calls[index]?.planned ?? []
      lsn += own.length
      this.counts.add(result.status === 'fulfilled' ? 'calls acknowledged' : 'calls refused')
      if (result.status === 'fulfilled') {
        if (own.length > 0) acknowledge(machine, lsn, own.at(-1)?.durable !== false)
        continue
      }
      this.failed({ type: 'failed', error: result.reason }, { doing: 'write', files: [engine.files] })
      this.#checkRejected(result.reason, { lsn, found })
    }
    const isWhole = outcomes.value.every(({ status }) => status === 'fulfilled')
    if (isWhole) invariants.logIsAsForetold(expected, found)
    else invariants.acknowledgedSurvives(expected, found, machine.writtenLsn)
    machine.records = found
    if (engine.files.isCrashed) await this.kill(machine)
    else if (isWhole) await this.compareContent(machine)
  }

  /** Lets time pass; what was written without waiting becomes durable in it, unless a fault strikes. */
  async pass(ms: number): Promise<void> {
    await this.scheduler.pass(ms)
    for (const machine of this.machines.values()) {
      const { engine } = machine
      if (engine === undefined) continue
      this.noteFaults(engine.files)
      if (engine.files.isCrashed) await this.kill(machine)
      else if (ms >= 1000 && !hasFaulted(engine.files)) machine.durableLsn = machine.records.length
    }
  }

  /** The state is the log: what is read is what the records say. */
  async compareContent(machine: Machine): Promise<void> {
    const { engine, records } = machine
    if (engine === undefined) return
    const all = await this.scheduler.drive(engine.db.iterator().all())
    if (all.type !== 'done') throw new Error('an iterator never ended')
    invariants.contentIsExactly(
      `the ${machine.place}`,
      contentAt(records, records.length),
      new Map(all.value),
    )
  }

  /** An error is expected only after a fault, and then a typed one; a stopped process may say anything. */
  failed(
    outcome: Exclude<Outcome<unknown>, { type: 'done' }>,
    at: { readonly doing: string; readonly files: readonly FaultFileSystem[] },
  ): void {
    if (at.files.some(({ isCrashed }) => isCrashed)) return
    if (outcome.type === 'pending') throw new Error(`${at.doing} never ended`)
    invariants.failsTyped(outcome.error, at.doing, hasFaulted(...at.files))
    this.counts.add('surfaced')
    this.counts.add(`error ${invariants.codeOf(outcome.error)}`)
  }

  /** Counts the faults that struck a process. */
  noteFaults(files: FaultFileSystem): void {
    const known = this.#noted.get(files) ?? 0
    for (const { fault } of files.injected.slice(known)) this.counts.add(`fault ${fault}`)
    this.#noted.set(files, files.injected.length)
  }
  readonly #noted = new WeakMap<FaultFileSystem, number>()

  /** The process of the database is gone; what it left is settled at the next open. */
  leave(machine: Machine): void {
    machine.engine = undefined
    if (machine.unsettled === 'no') machine.unsettled = 'process'
  }

  /** The model's word on a commit: the next LSN, and the clock's time unless that is not later than the last. */
  #foretold(before: readonly Entry[], { kind, changes, name, id }: Planned): Entry {
    const last = before.at(-1)?.committedAtUs ?? 0
    const committedAtUs = Math.max(Math.floor(this.nowUs()), last + 1)
    const entry = { lsn: before.length + 1, committedAtUs, kind, changes, id }
    return name === undefined ? entry : { ...entry, name }
  }

  /** `rejected` says that the transaction will not appear again. */
  #checkRejected(error: unknown, { lsn, found }: { lsn: number; found: readonly Entry[] }): void {
    const details: unknown = error instanceof Error ? Reflect.get(error, 'details') : undefined
    const outcome: unknown =
      typeof details === 'object' && details !== null ? Reflect.get(details, 'outcome') : undefined
    if (outcome !== 'rejected') return
    invariants.hold(found.length < lsn, 'a transaction that was said to be rejected must not be in the log', {
      lsn,
    })
  }
}

/** Makes a fault wait for an operation of a running process. */
export function arm(files: FaultFileSystem, { fault, after, times }: PlannedFault): void {
  const first = files.operations.length + 1 + after
  files.inject(({ index }) => (index >= first && index < first + times ? fault : undefined))
}

/** The whole log of a home, as a reader finds it now, in the model's terms. */
export async function recordsIn(disk: FileSystem, directory: string = LOG): Promise<readonly Entry[]> {
  const names = (await disk.status(directory)) === undefined ? [] : await disk.list(directory)
  if (!names.some((name) => /^log\.\d+$/.test(name))) return []
  const entries: Entry[] = []
  for await (const group of readLog({ directory, fromLsn: 1, fileSystem: disk })) {
    entries.push(...group.map(entryOf))
  }
  return entries
}

/** A record in the model's terms. */
export function entryOf({ lsn, committedAtUs, kind, payload }: LogRecord): Entry {
  if (kind === 'mark') return { lsn, committedAtUs, kind, changes: [], name: payload.toString(), id: 0 }
  if (kind === 'note') return { lsn, committedAtUs, kind, changes: [], id: 0 }
  const { operations, meta } = decodeTransaction(payload)
  const changes = operations.map((operation): Change => [
    operation.key.toString(),
    operation.type === 'put' ? operation.value.toString() : undefined,
  ])
  return { lsn, committedAtUs, kind, changes, id: Number(meta ?? 0) }
}

function acknowledge(machine: Machine, lsn: number, isDurable: boolean): void {
  machine.writtenLsn = Math.max(machine.writtenLsn, lsn)
  // One flush makes everything before it durable, too.
  if (isDurable) machine.durableLsn = Math.max(machine.durableLsn, lsn)
}

export type { EngineProcess }
