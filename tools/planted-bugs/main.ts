/*
 * pnpm planted-bugs [NAME...]: plants each bug of the table in turn and runs the test that must notice it. Prints by which test
 * and after how many states each was caught; a bug that escapes makes the command fail.
 */
import { bugs } from './bugs.ts'
import { type Batch, runInLanes } from './lanes.ts'
import type { PlantedBug } from './planted-bug.ts'
import type { RunOutcome } from './test-run.ts'
import { judge, judgeClean, type Verdict } from './verdict.ts'

/** Runs at the same time: more would only make tests wait for each other, and some have time limits. */
const LANES = 2
const NOTHING: RunOutcome = { tests: [], broken: [] }

const chosen = chooseBugs(process.argv.slice(2))
const begunAt = performance.now()
const verdicts: Verdict[] = []
const complaints: string[] = []
console.log('bug | package | caught by | after how many states')
const groups = groupedByTest(chosen)
const complaintsOf = (group: BugGroup, outcomes: readonly RunOutcome[]): readonly string[] =>
  judgeClean(group.bugs, outcomes.at(-1) ?? NOTHING)
await runInLanes(groups.map(batchOf), {
  lanesCount: LANES,
  isDoubtful(index, outcomes) {
    const group = groups[index]
    const isBroken = outcomes.some(({ broken }) => broken.length > 0)
    return isBroken || (group !== undefined && complaintsOf(group, outcomes).length > 0)
  },
  onOutcomes(index, outcomes) {
    const group = groups[index]
    if (group === undefined) return
    complaints.push(...complaintsOf(group, outcomes))
    for (const [at, bug] of group.bugs.entries()) verdicts.push(printed(judge(bug, outcomes[at] ?? NOTHING)))
  },
})
const escaped = verdicts.filter(({ caught }) => !caught)
for (const { bug, told } of escaped) console.log(`ESCAPED ${bug.name}: ${bug.what}; ${told}`)
for (const complaint of complaints) console.log(`WITHOUT A BUG ${complaint}`)
const seconds = Math.round((performance.now() - begunAt) / 1000)
console.log(
  `${String(verdicts.length - escaped.length)} of ${String(verdicts.length)} planted bugs caught, in ${String(seconds)} s`,
)
process.exitCode = escaped.length + complaints.length > 0 ? 1 : 0

function chooseBugs(names: readonly string[]): readonly PlantedBug[] {
  const unknown = names.filter((name) => !bugs.some((bug) => bug.name === name))
  if (unknown.length > 0) throw new Error(`no planted bug is called ${unknown.join(' or ')}`)
  return names.length === 0 ? bugs : bugs.filter(({ name }) => names.includes(name))
}

/** Bugs that one and the same test must notice. */
interface BugGroup {
  readonly testFile: string
  readonly title: string
  readonly bugs: readonly PlantedBug[]
}

function groupedByTest(all: readonly PlantedBug[]): readonly BugGroup[] {
  const groups = new Map<string, { testFile: string; title: string; bugs: PlantedBug[] }>()
  for (const bug of all) {
    const { testFile, title } = bug.caughtBy
    const key = `${testFile}: ${title}`
    const group = groups.get(key) ?? { testFile, title, bugs: [] }
    group.bugs.push(bug)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/**
 * The test with each bug, and then without one: a test that fails anyway catches nothing. It comes last, so that it meets whatever the bugs
 * have left in the process.
 */
function batchOf({ testFile, title, bugs: planted }: BugGroup): Batch {
  const clean = { testFiles: [testFile], titles: [title] }
  return [...planted.map(({ name, file }) => ({ ...clean, bug: { name, file } })), clean]
}

function printed(verdict: Verdict): Verdict {
  const { bug, caught, told, failure } = verdict
  const test = `${bug.caughtBy.testFile.replace(/^packages\//, '')}: “${bug.caughtBy.title}”`
  console.log([bug.name, bug.file.split('/')[1], caught ? test : 'NOTHING', told].join(' | '))
  if (process.env['PLANTED_BUGS_VERBOSE'] === '1') console.log(`  ${failure ?? '-'}`)
  return verdict
}
