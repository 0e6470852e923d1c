// What `pnpm mutation` runs against each mutant: the tests that hold formats and plan as functions of data. They need no disk and
// take a second, so that a thousand mutants can be tried.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'packages/wal/test/{format,frame,seal,group,commit-clock,tail-verdict}.test.ts',
      'packages/recovery/test/{plan,plan-shortcuts}.test.ts',
    ],
    testTimeout: 60_000,
    // A plan that is wrong in one of 300 histories is noticed here; the tests themselves try 2,000.
    env: { PLAN_HISTORIES: '300' },
    // One worker that keeps its modules: a mutant is switched on by a variable, nothing need be loaded anew.
    pool: 'threads',
    isolate: false,
    maxWorkers: 1,
  },
})
