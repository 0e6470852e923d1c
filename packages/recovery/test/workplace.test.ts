// Fault model: power is lost before an operation, and with it whatever was not synced (see CrashFileSystem). The parts of a
// home are stand-ins here, durable as `buildHome` leaves them: what is tested is the order in which they change places. LevelDB
// and the lock need a real disk, so that the whole recovery is struck in interruption.test.ts.
import { join } from 'node:path'
import { BACKUP_LABEL, homeLayout, RECOVERY_LABEL } from '@timberline/engine'
import { type FileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import {
  crashAt,
  CrashFileSystem,
  FaultFileSystem,
  isMutation,
  SimulatedCrash,
} from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { oneIn } from '../../../tools/matrix-sample.ts'
import { openWorkplace } from '../src/restore/workplace.ts'
import { scratchFolder } from './environment.ts'

const request = 'the same recovery'

async function writeParts(home: string, content: string, fileSystem: FileSystem): Promise<void> {
  const layout = homeLayout(home)
  for (const directory of [layout.dataDirectory, layout.checkpointDirectory, layout.logDirectory]) {
    await fileSystem.makeDirectory(directory)
    await writeFileAtomic(join(directory, 'file'), Buffer.from(content), fileSystem)
  }
  await writeFileAtomic(layout.identityPath, Buffer.from(content), fileSystem)
  await fileSystem.syncDirectory(home)
}

async function readParts(home: string, fileSystem: FileSystem): Promise<readonly string[]> {
  const layout = homeLayout(home)
  const paths = [layout.dataDirectory, layout.checkpointDirectory, layout.logDirectory].map((path) =>
    join(path, 'file'),
  )
  const contents = [...paths, layout.identityPath].map(async (path) =>
    (await fileSystem.status(path)) === undefined
      ? 'gone'
      : (await readFileWhole(path, fileSystem)).toString(),
  )
  return Promise.all(contents)
}

async function syncUpTo(path: string, fileSystem: FileSystem): Promise<void> {
  const parts = path.split('/')
  for (let count = parts.length; count > 0; count--)
    await fileSystem.syncDirectory(parts.slice(0, count).join('/') || '/')
}

/** One recovery with stand-ins; runs again after a crash until it is complete. */
async function run(home: string, inPlace: boolean, fileSystem: FileSystem): Promise<'built' | 'finished'> {
  const workplace = await openWorkplace(home, { request, inPlace, fileSystem })
  try {
    if (workplace.finished !== undefined) return 'finished'
    // What is being recovered must still be whole whenever a build begins.
    expect(await readParts(home, fileSystem)).toEqual(
      inPlace ? ['gone', 'old', 'old', 'old'] : ['gone', 'gone', 'gone', 'gone'],
    )
    await writeParts(workplace.building.home, 'new', fileSystem)
    await workplace.install({ report: true })
    return 'built'
  } finally {
    await workplace.release()
  }
}

/** What the next start finds must be enough to end well. */
async function runAgain(
  home: string,
  inPlace: boolean,
  fileSystem: FileSystem,
): Promise<'built' | 'finished'> {
  const again = run(home, inPlace, fileSystem)
  await expect(again).resolves.toMatch(/^(built|finished)$/)
  return again
}

async function prepared(home: string, inPlace: boolean, seed: number): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem({ seed })
  await disk.makeDirectory(home)
  if (inPlace) {
    await writeParts(home, 'old', disk)
    await disk.removeTree(homeLayout(home).dataDirectory)
    await writeFileAtomic(join(home, BACKUP_LABEL), Buffer.from('{}'), disk)
  }
  await syncUpTo(home, disk)
  return disk
}

test.each([
  ['a new home', false],
  ['a backup in place', true],
])(
  '%s survives power loss before every operation',
  async (_, inPlace) => {
    const home = join(await scratchFolder(), 'home')
    const counting = new FaultFileSystem(await prepared(home, inPlace, 0))
    await run(home, inPlace, counting)
    const moments = counting.operations.filter((operation) => isMutation(operation)).map(({ index }) => index)
    const outcomes = { built: 0, finished: 0, complete: 0 }
    for (const index of moments) {
      for (const seed of oneIn(3, [0, 1, 2], index)) {
        const disk = await prepared(home, inPlace, seed)
        await expect(run(home, inPlace, new FaultFileSystem(disk, crashAt(index)))).rejects.toThrow(
          SimulatedCrash,
        )
        const found = disk.crash()
        const isComplete = (await found.status(join(home, RECOVERY_LABEL))) === undefined
        const parts = await readParts(home, found)
        const where = `before operation ${index}, seed ${seed}`
        if (isComplete && parts.every((part) => part === 'new')) outcomes.complete += 1
        else outcomes[await runAgain(home, inPlace, found)] += 1
        expect(await readParts(home, found), where).toEqual(['new', 'new', 'new', 'new'])
        expect(await found.status(join(home, BACKUP_LABEL)), where).toBe(undefined)
        expect(await found.status(join(home, RECOVERY_LABEL)), where).toBe(undefined)
      }
    }
    expect(outcomes.built).toBeGreaterThan(0)
    expect(outcomes.finished > 0).toBe(inPlace)
  },
  120_000,
)
