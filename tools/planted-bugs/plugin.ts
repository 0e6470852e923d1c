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
  transform(code: string, id: string): string | undefined
}

/**
 * The vite plugin that plants the bug which the environment names at the moment; none when the name is empty.
 *
 * @param root - the folder of the repository
 */
export function plantBugs(root: string): PlantingPlugin {
  const pathOf = (id: string): string => relative(root, id.split('?')[0] ?? id).replaceAll(sep, '/')
  return {
    name: 'planted-bug',
    // Before types are taken off, so that the table shows the source as it stands.
    enforce: 'pre',
    transform(code, id) {
      const path = pathOf(id)
      const counter = counters[path]
      const name = process.env['PLANTED_BUG'] ?? ''
      const bug = bugs.find((candidate) => candidate.name === name)
      if (bug === undefined && name !== '') throw new Error(`no planted bug is called ${name}`)
      const planted = bug?.file === path ? plant(bug, code) : code
      return counter === undefined
        ? planted
        : plant({ name: 'counter', file: path, edits: [counter] }, planted)
    },
  }
}
