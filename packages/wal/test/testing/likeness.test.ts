import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { FileSystem } from '../../src/files/file-system.ts'
import { nodeFileSystem } from '../../src/files/node-file-system.ts'
import { promptFileSystem } from '../../src/files/prompt-file-system.ts'
import { type Random, CrashFileSystem, immediateFileSystem, seededRandom } from '../../src/testing/index.ts'

// What stands in for the real file system proves nothing unless it answers as that does: the same random history on all, step by step.
const NAMES = ['a', 'b', 'd', 'd/a', 'd/b', 'd/e', 'd/e/a', 'a/b']
const STEP_COUNT = 120
const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8, 18, 57]

interface Step {
  readonly verb: keyof typeof VERBS
  readonly path: string
  readonly other: string
  readonly position: number
}

type Verb = (fileSystem: FileSystem, root: string, step: Step) => Promise<unknown>

const VERBS = {
  create: async (fileSystem, root, { path }) => (await fileSystem.open(join(root, path), 'create')).close(),
  write: async (fileSystem, root, { path, position }) => {
    const file = await fileSystem.open(join(root, path), 'write')
    await file.write(Buffer.from(path), position)
    await file.close()
  },
  truncate: async (fileSystem, root, { path, position }) => {
    const file = await fileSystem.open(join(root, path), 'write')
    await file.truncate(position)
    await file.close()
  },
  makeDirectory: (fileSystem, root, { path }) => fileSystem.makeDirectory(join(root, path)),
  list: (fileSystem, root, { path }) => fileSystem.list(join(root, path)),
  link: (fileSystem, root, { path, other }) => fileSystem.link(join(root, path), join(root, other)),
  copyFile: async (fileSystem, root, { path, other }) => {
    const status = await fileSystem.status(join(root, path))
    // Of a folder the real one tells late, by reading it, and nobody copies folders.
    if (status?.isDirectory !== true) await fileSystem.copyFile?.(join(root, path), join(root, other))
  },
  rename: (fileSystem, root, { path, other }) => fileSystem.rename(join(root, path), join(root, other)),
  remove: (fileSystem, root, { path }) => fileSystem.remove(join(root, path)),
  removeTree: (fileSystem, root, { path }) => fileSystem.removeTree(join(root, path)),
} satisfies Record<string, Verb>

function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[random.integer(items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

async function answer(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error: NodeJS.ErrnoException) => ({ code: error.code }))
}

/** Every name below the root with what a caller can learn about it. */
async function contents(fileSystem: FileSystem, root: string): Promise<unknown[]> {
  const found: unknown[] = []
  for (const name of NAMES) {
    const path = join(root, name)
    const status = await fileSystem.status(path).catch(() => undefined)
    if (status === undefined) continue
    if (status.isDirectory) {
      found.push([name, await fileSystem.list(path)])
      continue
    }
    const file = await fileSystem.open(path, 'read')
    const target = Buffer.alloc(64)
    const bytes = await file.read(target, 0)
    await file.close()
    found.push([name, status.bytes, status.linkCount, target.subarray(0, bytes).toString('hex')])
  }
  return found
}

describe('the simulated disk, and the one on the calling thread', () => {
  let directory = ''
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'timberline-likeness-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  it.each(SEEDS)('answer as the real file system does, seed %i', async (seed) => {
    const random = seededRandom(seed)
    const root = join(directory, String(seed))
    const simulated = new CrashFileSystem()
    await nodeFileSystem.makeDirectory(root)
    await simulated.makeDirectory(root)
    const twins = [
      { twin: immediateFileSystem, beside: join(directory, `${String(seed)} immediate`) },
      { twin: promptFileSystem, beside: join(directory, `${String(seed)} prompt`) },
    ]
    for (const { twin, beside } of twins) await twin.makeDirectory(beside)
    for (let count = 0; count < STEP_COUNT; count += 1) {
      const verb = pick(random, Object.keys(VERBS) as Step['verb'][])
      const step = {
        verb,
        path: pick(random, NAMES),
        other: pick(random, NAMES),
        position: random.integer(20),
      }
      const expected = await answer(VERBS[verb](nodeFileSystem, root, step))
      const actual = await answer(VERBS[verb](simulated, root, step))
      expect({ step, answer: actual }).toEqual({ step, answer: expected })
      expect({ step, found: await contents(simulated, root) }).toEqual({
        step,
        found: await contents(nodeFileSystem, root),
      })
      for (const { twin, beside } of twins) {
        const own = await answer(VERBS[verb](twin, beside, step))
        expect({ step, answer: own }).toEqual({ step, answer: expected })
        expect({ step, found: await contents(twin, beside) }).toEqual({
          step,
          found: await contents(nodeFileSystem, root),
        })
      }
    }
  })
})
