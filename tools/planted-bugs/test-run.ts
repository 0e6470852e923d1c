// One vitest for many runs: what it has transformed it keeps, but for the source that has the bug.
import { join } from 'node:path'
import { createVitest, type TestCase, type TestModule, type TestProject, type Vitest } from 'vitest/node'
import type { StateCounts } from './count-states.ts'

/** What to run. */
export interface RunRequest {
  readonly testFiles: readonly string[]
  /** Parts of the full titles of the tests. */
  readonly titles: readonly string[]
  /** The bug to plant, and the source that has it; none by default. */
  readonly bug?: { readonly name: string; readonly file: string }
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

/** A vitest that waits for runs. */
export interface TestRuns {
  /** One at a time: the bug is named by the environment, where the plugin that plants it looks. */
  run(request: RunRequest): Promise<RunOutcome>
}

/** Starts a vitest in this process. */
export async function openTestRuns(root: string): Promise<TestRuns> {
  // That the variable is there is what puts the plugin into the configuration.
  process.env['PLANTED_BUG'] = ''
  const vitest = await createVitest('test', {
    root,
    project: ['default'],
    maxWorkers: 1,
    reporters: [{}],
    watch: false,
  })
  await vitest.standalone()
  let planted: string | undefined
  // The process of each project keeps modules of its own.
  const stale = new Map(vitest.projects.map((project) => [project, new Set<string>()]))
  const renew = (file: string): void => {
    vitest.invalidateFile(join(root, file))
    for (const files of stale.values()) files.add(join(root, file))
  }
  return {
    async run({ testFiles, titles, bug }) {
      process.env['PLANTED_BUG'] = bug?.name ?? ''
      for (const file of [planted, bug?.file]) if (file !== undefined) renew(file)
      planted = bug?.file
      const paths = testFiles.map((file) => join(root, file))
      const words = titles.map((title) => title.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
      const testNamePattern = new RegExp(words.join('|'))
      const specifications = paths.map((path) =>
        projectOf(vitest, path).createSpecification(path, { testNamePattern }),
      )
      for (const { project } of specifications) {
        for (const file of stale.get(project) ?? []) vitest.watcher.invalidates.add(file)
        stale.get(project)?.clear()
      }
      const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications)
      // What failed on purpose is no failure of the process that ran it.
      process.exitCode = 0
      // The modules of earlier runs are told too.
      const asked = testModules.filter(({ moduleId }) => paths.includes(moduleId))
      const broken = [...asked.flatMap((module) => module.errors()), ...unhandledErrors]
      return { tests: asked.flatMap(outcomesOf), broken: broken.map(messageOf) }
    },
  }
}

function projectOf(vitest: Vitest, path: string): TestProject {
  const project = vitest.projects.find((each) => each.matchesTestGlob(path))
  if (project === undefined) throw new Error(`no project has the test file ${path}`)
  return project
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
