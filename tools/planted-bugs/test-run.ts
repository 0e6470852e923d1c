import { createVitest, type TestCase, type TestModule } from 'vitest/node'
import type { StateCounts } from './count-states.ts'

/** What to run. */
export interface RunRequest {
  readonly testFiles: readonly string[]
  /** Parts of the full titles of the tests. */
  readonly titles: readonly string[]
  /** The name of the bug to plant; none by default. */
  readonly bug?: string
  /** Where transformed modules are kept for the runs that come later. */
  readonly cacheFolder: string
}

/** One test that ran. */
export interface TestOutcome {
  readonly testFile: string
  /** With the names of its groups in front. */
  readonly title: string
  readonly failures: readonly TestFailure[]
  /** Absent when no bug was planted. */
  readonly counts?: StateCounts
}

/** One error by which a test failed. */
export interface TestFailure {
  /** `name: message` of the error and then of its causes: fast-check and `resolves` wrap the error that counts. */
  readonly chain: readonly string[]
}

/** What a run came to: the tests that ran, and the errors outside of tests. */
export interface RunOutcome {
  readonly tests: readonly TestOutcome[]
  readonly broken: readonly string[]
}

/**
 * Runs tests inside this process's vitest, so that many runs cost its start once. One at a time: the bug is named by the
 * environment, which the configuration reads.
 */
export async function runTests(root: string, request: RunRequest): Promise<RunOutcome> {
  const { testFiles, titles, bug, cacheFolder } = request
  if (bug === undefined) delete process.env['PLANTED_BUG']
  else process.env['PLANTED_BUG'] = bug
  const vitest = await createVitest('test', {
    root,
    project: ['packages', 'system'],
    testNamePattern: titles.map((title) => title.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|'),
    maxWorkers: 1,
    reporters: [{}],
    // Each run has a server of its own; what they all load need be transformed only once.
    experimental: { fsModuleCache: true, fsModuleCachePath: cacheFolder },
    watch: false,
  })
  try {
    const { testModules, unhandledErrors } = await vitest.start([...testFiles])
    const broken = [...testModules.flatMap((module) => module.errors()), ...unhandledErrors]
    return { tests: testModules.flatMap(outcomesOf), broken: broken.map(messageOf) }
  } finally {
    await vitest.close()
    // What failed on purpose is no failure of the process that ran it.
    process.exitCode = 0
  }
}

function outcomesOf(module: TestModule): readonly TestOutcome[] {
  return [...module.children.allTests()].filter((test) => test.result().state !== 'skipped').map(outcomeOf)
}

function outcomeOf(test: TestCase): TestOutcome {
  const { plantedBug } = test.meta()
  return {
    testFile: test.module.relativeModuleId,
    title: test.fullName.replaceAll(' > ', ' '),
    failures: (test.result().errors ?? []).map((error) => ({ chain: chainOf(error) })),
    ...(plantedBug === undefined ? {} : { counts: plantedBug }),
  }
}

function chainOf(error: unknown): readonly string[] {
  const chain: string[] = []
  for (let link = error; typeof link === 'object' && link !== null;) {
    chain.push(`${'name' in link ? String(link.name) : 'unnamed'}: ${messageOf(link)}`)
    link = 'cause' in link ? link.cause : undefined
  }
  return chain
}

/** The first line says enough for a table. */
function messageOf(error: unknown): string {
  const isError = typeof error === 'object' && error !== null && 'message' in error
  return (String(isError ? error.message : error).split('\n')[0] ?? '').slice(0, 300)
}
