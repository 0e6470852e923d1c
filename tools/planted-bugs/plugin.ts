/*
 * Plants one bug of the table while vitest loads the module that gets it; the product's code has no switch for it. The test
 * doubles are changed in the same way: they count the states of a disk that a test has looked at.
 */
import { relative, sep } from 'node:path'
import { bugs } from './bugs.ts'
import { plant, type Edit } from './planted-bug.ts'

/** What makes the simulated disk count, by the file that it is put into. */
export const counters: Readonly<Record<string, Edit>> = {
  'packages/wal/src/testing/crash-file-system.ts': {
    find: 'const random = seededRandom(seed)\n    const next',
    replace:
      'globalThis.plantedBugCounts.crashes += 1\n    const random = seededRandom(seed)\n    const next',
  },
  'packages/wal/src/testing/fault-ledger.ts': {
    find: 'this.injected.push({ operation, fault })',
    replace: '(globalThis.plantedBugCounts.faults += 1, this.injected.push({ operation, fault }))',
  },
}

interface PlantingPlugin {
  readonly name: string
  readonly enforce: 'pre'
  configureVitest(context: {
    experimental_defineCacheKeyGenerator(key: (module: { readonly id: string }) => false | undefined): void
  }): void
  transform(code: string, id: string): string | undefined
}

/**
 * The vite plugin for one bug.
 *
 * @param root - the folder of the repository
 * @throws Error when no bug has the name
 */
export function plantBug(name: string, root: string): PlantingPlugin {
  const bug = bugs.find((candidate) => candidate.name === name)
  if (bug === undefined) throw new Error(`no planted bug is called ${name}`)
  const pathOf = (id: string): string => relative(root, id.split('?')[0] ?? id).replaceAll(sep, '/')
  return {
    name: 'planted-bug',
    // Before types are taken off, so that the table shows the source as it stands.
    enforce: 'pre',
    // The module with the bug is the one that no other run may take for its own.
    configureVitest: (context) => {
      context.experimental_defineCacheKeyGenerator(({ id }) => (pathOf(id) === bug.file ? false : undefined))
    },
    transform(code, id) {
      const path = pathOf(id)
      const counter = counters[path]
      if (counter !== undefined) return plant({ ...bug, edits: [counter] }, code)
      return path === bug.file ? plant(bug, code) : undefined
    },
  }
}
