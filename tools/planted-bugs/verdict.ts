import type { PlantedBug } from './planted-bug.ts'
import type { RunOutcome, TestFailure, TestOutcome } from './test-run.ts'

/** The errors by which something is noticed: a test's assertion, an error with a code, and an invariant of the product. */
const NOTICING = /^AssertionError: |^TimberlineError: |^Error: invariant broken: /

/** What became of a planted bug. */
export interface Verdict {
  readonly bug: PlantedBug
  readonly caught: boolean
  /** When it was caught, what the test had looked at by then; otherwise why it does not count as caught. */
  readonly told: string
  /** The failure that caught it. */
  readonly failure?: string
}

/**
 * Judges one run. Caught is a bug only when a named test failed by an assertion of its own or by an error of ours: a module
 * that does not load, a test that hangs, or a crash of JavaScript itself would show no more than that the edit was clumsy.
 */
export function judge(bug: PlantedBug, { tests, broken }: RunOutcome): Verdict {
  const escaped = (told: string): Verdict => ({ bug, caught: false, told })
  const [message] = broken
  if (message !== undefined) return escaped(`it could not be run: ${message}`)
  const named = tests.filter(({ title }) => title.includes(bug.caughtBy.title))
  const failed = named.find(({ failures }) => failures.length > 0)
  if (failed === undefined) {
    return escaped(
      named.length === 0 ? 'no test has this title' : `the test passed, after ${statesOf(named.at(-1))}`,
    )
  }
  const clumsy = failed.failures.find((failure) => !isNoticed(failure))
  if (clumsy !== undefined) return escaped(`the test failed by something else: ${clumsy.chain.join(' < ')}`)
  return { bug, caught: true, told: statesOf(failed), failure: failed.failures[0]?.chain.join(' < ') ?? '' }
}

/** Whether all tests that bugs name are there and pass; what is wrong otherwise. */
export function judgeClean(bugs: readonly PlantedBug[], { tests, broken }: RunOutcome): readonly string[] {
  const isNamed = (test: TestOutcome, { caughtBy }: PlantedBug): boolean =>
    test.testFile === caughtBy.testFile && test.title.includes(caughtBy.title)
  const missing = bugs
    .filter((bug) => !tests.some((test) => isNamed(test, bug)))
    .map(({ name, caughtBy }) => `${name}: ${caughtBy.testFile} has no test “${caughtBy.title}”`)
  const failed = tests
    .filter((test) => test.failures.length > 0 && bugs.some((bug) => isNamed(test, bug)))
    .map(({ title, failures }) => `“${title}” fails without a bug: ${failures[0]?.chain.join(' < ') ?? ''}`)
  // Of a run that broke, nothing else can be said.
  return broken.length > 0 ? broken : [...missing, ...failed]
}

/** An assertion or an error of ours, or caused by one. */
function isNoticed({ chain }: TestFailure): boolean {
  return chain.some((link) => NOTICING.test(link)) && !chain.some((link) => link.includes(' timed out in '))
}

/** Crash states where the test looks at any, else faults, else what fast-check generated, else checks. */
function statesOf(test: TestOutcome | undefined): string {
  const { counts, failures } = test ?? {}
  if (counts === undefined) return 'an unknown number of states'
  if (counts.crashes > 0) return countOf(counts.crashes, 'crash state')
  if (counts.faults > 0) return countOf(counts.faults, 'fault')
  const generated = /Property failed after (\d+) tests/.exec(failures?.[0]?.chain[0] ?? '')?.[1]
  if (generated !== undefined) return countOf(Number(generated), 'generated case')
  return counts.checks === 0 ? 'no check: an error came first' : countOf(counts.checks, 'check')
}

function countOf(count: number, unit: string): string {
  return `${String(count)} ${unit}${count === 1 ? '' : 's'}`
}
