/**
 * Fault model: power fails between any two system calls of a real run. `strace` records every call by which a process that writes
 * through TimberLevel changes files, LevelDB's own included, and every acknowledgement, which is a write into a file beside the
 * home. The record is played again on the simulated disk of `@timberline/wal/testing`, in its stricter reading of POSIX and as
 * ext4; at each of the chosen calls the disk is asked for states that it could be in: all changes kept (the process was killed), all
 * unsynced ones lost, all but one of each file kept, or each of them kept, lost, torn or zeroed by seed, names likewise. Nothing in
 * the record assumes anything of the engine: which call came before which sync is what the kernel saw. A sync covers what had ended
 * before it began, and counts once it has ended. Each is delayed a little, so that whoever did not wait for it would be seen to
 * have gone on.
 *
 * Expected of each state: the home opens, holds every commit that had been acknowledged at that call, and is exactly the state
 * after a whole number of commits; the digest is the one of its definition, and it takes another commit.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TimberLevel } from '@timberline/engine'
import {
  CrashFileSystem,
  type CrashPolicy,
  type DiskEntry,
  type Random,
  seededRandom,
} from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { makeFastFolder } from '../../packages/hotbackup/test/fixture.ts'
import { difference, Model, POSITION_KEY } from '../../packages/hotbackup/test/history.ts'
import { testProgram } from '../../tools/test-programs.ts'
import { digestOf } from '../support/running-application.ts'
import { type FileCall, readTrace, type SystemCall, TRACED_CALLS } from './system-calls.ts'
import { TRACED_COMMITS, TRACED_SHAPE } from './traced-history.ts'

const PROGRAM = fileURLToPath(new URL('./traced-writer.ts', import.meta.url))
const ACKNOWLEDGED = '/acknowledged'
const SYNC_DELAY_US = 4000
/** LevelDB's own log has this many unsynced writes at most, one for each group of commits. */
const HOLE_BELOW = 40
const SOCKET = /\/control\.\w+$/
const seed = Number(process.env['SEED'] ?? '20261125')
/** So many states are opened; all that are different in a soak. */
const STATES_MAX = process.env['SOAK'] === '1' ? Number.POSITIVE_INFINITY : 200

interface CrashState {
  readonly what: string
  readonly acknowledged: number
  readonly entries: readonly DiskEntry[]
}

const hasStrace = spawnSync('strace', ['-V']).status === 0

test.skipIf(!hasStrace)(
  'no state that a power loss leaves of a recorded run lacks an acknowledged commit (needs strace)',
  async () => {
    // The kernel tells real paths.
    const folder = realpathSync(await makeFastFolder())
    const calls = record(folder)
    const { states, acknowledged } = await statesOf(calls)
    expect(acknowledged).toBe(TRACED_COMMITS)
    const chosen = drawn(states, STATES_MAX)
    const counts = { opened: 0, unacknowledgedFound: 0, replayed: 0, rebuilt: 0 }
    for (const state of chosen) {
      const { n, replayed, rebuilt } = await openState(join(folder, 'state'), state)
      counts.opened += 1
      counts.unacknowledgedFound += n - state.acknowledged
      counts.replayed += replayed
      counts.rebuilt += rebuilt ? 1 : 0
    }
    const kinds = new Map<string, number>()
    for (const { type } of calls) kinds.set(type, (kinds.get(type) ?? 0) + 1)
    console.log(
      `syscall shadow, seed ${String(seed)}: ${JSON.stringify(Object.fromEntries(kinds))}, ${String(states.length)} different states, ${JSON.stringify(counts)}`,
    )
    expect(counts.opened).toBe(chosen.length)
    expect(counts.opened).toBeGreaterThanOrEqual(200)
    await rm(folder, { recursive: true })
  },
)

/** Runs the writer under strace. */
function record(folder: string): readonly SystemCall[] {
  const home = join(folder, 'home')
  const trace = join(folder, 'trace')
  const delay = `inject=fsync,fdatasync:delay_enter=${String(SYNC_DELAY_US)}`
  const options = [
    '-f',
    '-y',
    '-xx',
    '-s',
    '1000000',
    '-e',
    `trace=${TRACED_CALLS}`,
    '-e',
    delay,
    '-o',
    trace,
  ]
  const node = [process.execPath, testProgram(PROGRAM), home, `${folder}${ACKNOWLEDGED}`]
  // What goes through an io_uring is no system call.
  execFileSync('strace', [...options, ...node], { env: { ...process.env, UV_USE_IO_URING: '0' } })
  return readTrace(readFileSync(trace, 'latin1'), folder)
}

/** Plays the record on simulated disks and takes the states that each call could be the last before. */
async function statesOf(
  calls: readonly SystemCall[],
): Promise<{ states: readonly CrashState[]; acknowledged: number }> {
  const random = seededRandom(seed)
  const disks = [new CrashFileSystem({ model: 'posix', seed }), new CrashFileSystem({ model: 'ext4', seed })]
  const pending = new Map<number, readonly (() => Promise<void>)[]>()
  const seen = new Set<string>()
  const states: CrashState[] = []
  let acknowledged = 0
  const take = (at: number): void => {
    for (const disk of disks) {
      for (const { name, policy } of policiesAt(at, random)) {
        const survived = disk.ifCrashed(policy).entries()
        const entries = survived.filter(({ path }) => path !== ACKNOWLEDGED)
        const fingerprint = fingerprintOf(entries, acknowledged)
        if (seen.has(fingerprint)) continue
        seen.add(fingerprint)
        states.push({ what: `call ${String(at)}, ${disk.model}, ${name}`, acknowledged, entries })
      }
    }
  }
  for (const [at, call] of calls.entries()) {
    // The control socket is no file, and nobody makes it by a call that changes files.
    if (SOCKET.test(call.path)) continue
    if (call.path === ACKNOWLEDGED) {
      if (call.type === 'write') acknowledged = Math.max(acknowledged, Number(call.bytes.toString()))
      continue
    }
    if (!('id' in call)) for (const disk of disks) await play(disk, call)
    else if (call.type === 'syncEnded') for (const end of pending.get(call.id) ?? []) await end()
    else pending.set(call.id, await Promise.all(disks.map((disk) => beginSync(disk, call.path))))
    take(at)
  }
  return { states, acknowledged }
}

interface NamedPolicy {
  readonly name: string
  readonly policy: CrashPolicy
}

function policiesAt(at: number, random: Random): readonly NamedPolicy[] {
  const drawnSeed = random.integer(0x7fffffff)
  const hole = random.integer(HOLE_BELOW)
  const all = (fate: 'kept' | 'lost'): NamedPolicy => ({
    name: `all ${fate}`,
    policy: { seed: drawnSeed, writes: fate, names: fate },
  })
  const any = { name: `any, seed ${String(drawnSeed)}`, policy: { seed: drawnSeed } }
  const pierced: NamedPolicy = {
    name: `all kept but unsynced write ${String(hole)} of each file`,
    policy: {
      seed: drawnSeed,
      names: 'kept',
      writes: ({ index }) => (index === hole ? 'lost' : 'kept'),
    },
  }
  return at % 3 === 0 ? [all('kept'), all('lost'), any, pierced] : [all('lost'), any, pierced]
}

async function beginSync(disk: CrashFileSystem, path: string): Promise<() => Promise<void>> {
  const status = await disk.status(path)
  // Of a file that has no name any more, nothing survives anyway.
  if (status === undefined) return async () => undefined
  if (status.isDirectory) {
    const end = disk.beginDirectorySync(path)
    return async () => end()
  }
  const handle = await disk.open(path, 'write')
  const end = handle.beginSync()
  return async () => {
    end()
    await handle.close()
  }
}

async function play(disk: CrashFileSystem, call: FileCall): Promise<void> {
  switch (call.type) {
    case 'makeFolder':
      return disk.makeDirectory(call.path)
    case 'removeFolder':
      return disk.removeTree(call.path)
    case 'remove':
      return disk.remove(call.path)
    case 'rename':
      return disk.rename(call.path, call.to)
    case 'link':
      return disk.link(call.path, call.to)
    case 'create':
      if ((await disk.status(call.path)) === undefined) await (await disk.open(call.path, 'create')).close()
      return
    case 'write':
    case 'truncate':
    case 'truncateToNothing': {
      const handle = await disk.open(call.path, 'write')
      if (call.type === 'write') await handle.write(call.bytes, call.position)
      else await handle.truncate(call.type === 'truncate' ? call.bytes : 0)
      await handle.close()
    }
  }
}

function fingerprintOf(entries: readonly DiskEntry[], acknowledged: number): string {
  const hash = createHash('sha256').update(String(acknowledged))
  const names = entries
    .map(({ path, content }) => ({ path, content }))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
  for (const { path, content } of names)
    hash.update(`\n${path} ${String(content?.length)}\n`).update(content ?? '')
  return hash.digest('hex')
}

/** A part of the states, from all over the run. */
function drawn(states: readonly CrashState[], max: number): readonly CrashState[] {
  const step = Math.max(1, states.length / max)
  const chosen: CrashState[] = []
  for (let at = 0; at < states.length; at += step) {
    const state = states[Math.floor(at)]
    if (state !== undefined) chosen.push(state)
  }
  return chosen
}

async function openState(
  folder: string,
  { what, acknowledged, entries }: CrashState,
): Promise<{ n: number; replayed: number; rebuilt: boolean }> {
  writeOut(folder, entries)
  const context = `seed ${String(seed)}, ${what}, left in ${folder}`
  const db = new TimberLevel(join(folder, 'home'))
  await db.open().catch((error: unknown) => {
    throw new Error(`${context}: it does not open`, { cause: error instanceof Error ? error.cause : error })
  })
  const state = new Map(await db.iterator().all())
  const n = Number(state.get(POSITION_KEY) ?? '0')
  if (n < acknowledged)
    throw new Error(`${context}: ends at ${String(n)}, acknowledged were ${String(acknowledged)}`)
  const wrong = difference(state, new Model(TRACED_SHAPE).at(n))
  if (wrong !== undefined) throw new Error(`${context}: no prefix: ${wrong}`)
  if ((await db.digest()).hex !== digestOf(state)) throw new Error(`${context}: another digest`)
  await db.put('after', 'it goes on')
  const { replayed, rebuilt } = db.opened?.state ?? { replayed: 0, rebuilt: false }
  await db.close()
  await rm(folder, { recursive: true })
  return { n, replayed, rebuilt }
}

/** Into a real folder, the names of one file as hard links. */
function writeOut(folder: string, entries: readonly DiskEntry[]): void {
  const first = new Map<number, string>()
  mkdirSync(folder)
  for (const { path, number, content } of entries) {
    const target = `${folder}${path}`
    const other = first.get(number)
    if (content === undefined) mkdirSync(target)
    else if (other === undefined) writeFileSync(target, content)
    else linkSync(other, target)
    if (content !== undefined) first.set(number, other ?? target)
  }
}
