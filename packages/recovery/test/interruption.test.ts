// Fault model: the machine or the process stops before an operation on a file; nothing after it happens. Every operation of a
// clean run is such a moment once. After each, the same call on the real disk must end in exactly the right home, and until
// then an ordinary open must refuse, because the label stands. A real `kill -9` of a child process is the second proof.
import { type ChildProcess, fork } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Archive, createArchive, directoryStore, memoryStore } from '@timberline/archive'
import { crashAt, FaultFileSystem, isMutation, immediateFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { recover, type RecoverOptions } from '../src/index.ts'
import {
  backupInto,
  backupTo,
  contentOf,
  digestOf,
  Environment,
  exists,
  scratchFolder,
  ship,
} from './environment.ts'

interface Case {
  readonly env: Environment
  readonly lsn: number
  /** Brings the place to recover in to its beginning. */
  readonly prepare: (place: string) => Promise<Pick<RecoverOptions, 'from' | 'home' | 'target'>>
}

async function crashEverywhere(folder: string, { env, lsn, prepare }: Case): Promise<number> {
  const counting = new FaultFileSystem(immediateFileSystem)
  const clean = join(folder, 'clean')
  await recover({ ...(await prepare(clean)), fileSystem: counting })
  // Before an operation that changes nothing, the disk is as before the next one that does.
  const moments = counting.operations.filter((operation) => isMutation(operation)).map(({ index }) => index)
  for (const index of oneIn(3, moments)) {
    const place = join(folder, 'place')
    const options = await prepare(place)
    const faulty = new FaultFileSystem(immediateFileSystem, crashAt(index))
    await expect(recover({ ...options, fileSystem: faulty })).rejects.toBeInstanceOf(Error)
    await faulty.releaseHandles()
    expect(faulty.injected).toHaveLength(1)
    await againUntilRight(options, { env, lsn, index })
    rmSync(place, { recursive: true })
  }
  return moments.length
}

/** Either the home is complete, which only the last operations can leave behind, or the same call completes it. */
async function againUntilRight(
  options: Pick<RecoverOptions, 'from' | 'home' | 'target'>,
  { env, lsn, index }: { env: Environment; lsn: number; index: number },
): Promise<void> {
  const isComplete =
    (await exists(join(options.home, 'timberline.json'))) &&
    !(await exists(join(options.home, 'recovery.json')))
  const isBackup = await exists(join(options.home, 'backup.json'))
  const report =
    isComplete && !isBackup ? undefined : await recover({ ...options, fileSystem: immediateFileSystem })
  expect(report?.lsn ?? lsn, `crash before operation ${index}`).toBe(lsn)
  expect(await contentOf(options.home), `crash before operation ${index}`).toEqual(env.content(lsn))
}

test('a recovery from an archive can die at any operation and be run again', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(5)
  await backupInto(env, archive, { label: 'b1' })
  await env.writeMany(4)
  await env.log.roll()
  await env.writeMany(3)
  await ship(env, archive)
  await env.close()
  const count = await crashEverywhere(folder, {
    env,
    lsn: 11,
    prepare: (place) =>
      Promise.resolve({
        from: { archive },
        home: join(place, 'new'),
        target: { type: 'lsn', lsn: 11, edge: 'through' } as const,
      }),
  })
  expect(count).toBeGreaterThan(30)
}, 240_000)

test('a backup that becomes a home in place can die at any operation and be run again', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(5)
  const checkpoint = await env.checkpoint()
  await env.writeMany(4)
  const pristine = join(folder, 'backup')
  await backupTo(env, pristine, { checkpoint })
  await env.close()
  const count = await crashEverywhere(folder, {
    env,
    lsn: 9,
    prepare: (place) => {
      cpSync(pristine, place, { recursive: true })
      return Promise.resolve({ from: { backup: place }, home: place })
    },
  })
  expect(count).toBeGreaterThan(30)
}, 240_000)

test('a recovery whose process is killed at random moments can be run again', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const store = directoryStore(join(folder, 'archive'))
  await mkdir(join(folder, 'archive'), { recursive: true })
  const archive: Archive = await createArchive(store, { environmentId: env.identity.environmentId })
  await env.writeMany(5)
  await backupInto(env, archive, { label: 'b1' })
  for (let part = 0; part < 20; part++) {
    await env.writeMany(20)
    await env.log.roll()
  }
  await ship(env, archive)
  await env.close()
  let killed = 0
  for (let round = 0; round < 5; round++) {
    const home = join(folder, `killed-${round}`)
    const child = fork(
      testProgram(join(import.meta.dirname, 'recover-child.ts')),
      [join(folder, 'archive'), home],
      {
        execArgv: [],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      },
    )
    await killLater(child, round * 20)
    killed += child.signalCode === 'SIGKILL' ? 1 : 0
    const done = (await exists(join(home, 'timberline.json'))) && !(await exists(join(home, 'recovery.json')))
    const hex = done ? undefined : (await recover({ from: { archive }, home })).digest?.hex
    expect(hex ?? digestOf(env.content(env.lsn), env.lsn).hex).toBe(
      digestOf(env.content(env.lsn), env.lsn).hex,
    )
    expect(await contentOf(home)).toEqual(env.content(env.lsn))
  }
  expect(killed).toBeGreaterThan(0)
}, 120_000)

/** Kills the child some time after it said that it begins. */
function killLater(child: ChildProcess, afterMs: number): Promise<void> {
  return new Promise((resolve) => {
    child.once('message', () => setTimeout(() => child.kill('SIGKILL'), afterMs))
    child.once('exit', () => resolve())
  })
}
