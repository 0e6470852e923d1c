import { defineConfig } from 'vitest/config'
import { LongestFirst } from './tools/longest-first.ts'
import { keptProcesses } from './tools/planted-bugs/kept-process.ts'
import { plantBugs } from './tools/planted-bugs/plugin.ts'

const soak = process.env['SOAK'] === '1'
/** A soak test ends by itself after its share and the round that it is in. */
const soakTimeout = 7_200_000 + 60_000 * Number(process.env['SOAK_MINUTES'] ?? '0')
/** Set by `pnpm planted-bugs`: the bug that it names is put into the sources while they are loaded, and states are counted. */
const plantsBugs = process.env['PLANTED_BUG'] !== undefined

/**
 * Loading all packages anew for each file took a third of the time of the tests; what a test changes in its process it changes back.
 * A bug is planted into modules that are loaded anew.
 */
const isolate = plantsBugs

export default defineConfig({
  plugins: plantsBugs ? [plantBugs(import.meta.dirname)] : [],
  test: {
    // Twice as many as there are processors here and on CI's machines: tests wait for disks and for processes of their own.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ['default'],
    ...(plantsBugs ? { pool: keptProcesses() } : {}),
    setupFiles: plantsBugs ? ['tools/planted-bugs/count-states.ts'] : [],
    projects: [
      {
        extends: true,
        test: {
          // One for all: a worker is of one project, and the next project's workers would load everything again.
          name: 'default',
          isolate,
          globalSetup: ['tools/memory-scratch.ts', 'tools/test-programs.ts'],
          include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
          exclude: ['test/servers/**', 'test/soak/**', 'test/packed/**'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'packed',
          include: ['test/packed/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'servers',
          globalSetup: ['tools/test-programs.ts'],
          include: ['test/servers/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
        },
      },
      {
        extends: true,
        test: {
          name: 'soak',
          globalSetup: ['tools/test-programs.ts'],
          include: soak ? ['test/soak/**/*.test.ts'] : [],
          testTimeout: soakTimeout,
        },
      },
    ],
    // What `pnpm coverage` holds: every branch of the log and of recovery is taken by a test of its package, or excused at its
    // line by a `v8 ignore` comment with the reason. The simulated disk is a test tool, held by the likeness of the real one.
    coverage: {
      include: ['packages/wal/src/**', 'packages/recovery/src/**'],
      exclude: ['packages/wal/src/testing/**'],
      reporter: [['text', { skipFull: true }]],
      thresholds: { branches: 100 },
    },
  },
})
