/*
 * pnpm planted-bugs [NAME...]: plants each bug of the table in turn and runs the test that must notice it. Prints by which test
 * and after how many states each was caught; a bug that escapes makes the command fail.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bugs } from './bugs.ts'
import { runInLanes } from './lanes.ts'
import type { PlantedBug } from './planted-bug.ts'
import type { RunRequest } from './test-run.ts'
import { judge, judgeClean, type Verdict } from './verdict.ts'

/** Runs at the same time: more would only make tests wait for each other, and some have time limits. */
const LANES = 2

const chosen = chooseBugs(process.argv.slice(2))
const begunAt = performance.now()
const cacheFolder = await mkdtemp(join(tmpdir(), 'planted-bugs-'))
const verdicts: Verdict[] = []
let complaints: readonly string[] = []
console.log('bug | package | caught by | after how many states')
// The run without a bug goes first, because it is the longest.
await runInLanes([withoutBug(chosen), ...chosen.map(withBug)], LANES, (index, outcome) => {
  const bug = chosen[index - 1]
  if (bug === undefined) complaints = judgeClean(chosen, outcome)
  else verdicts.push(printed(judge(bug, outcome)))
})
await rm(cacheFolder, { recursive: true })
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

/** All tests that the bugs name, without a bug: one that fails anyway catches nothing. */
function withoutBug(of: readonly PlantedBug[]): RunRequest {
  return {
    testFiles: [...new Set(of.map(({ caughtBy }) => caughtBy.testFile))],
    titles: [...new Set(of.map(({ caughtBy }) => caughtBy.title))],
    cacheFolder,
  }
}

function withBug({ name, caughtBy }: PlantedBug): RunRequest {
  return { testFiles: [caughtBy.testFile], titles: [caughtBy.title], bug: name, cacheFolder }
}

function printed(verdict: Verdict): Verdict {
  const { bug, caught, told, failure } = verdict
  const test = `${bug.caughtBy.testFile.replace(/^packages\//, '')}: “${bug.caughtBy.title}”`
  console.log([bug.name, bug.file.split('/')[1], caught ? test : 'NOTHING', told].join(' | '))
  if (process.env['PLANTED_BUGS_VERBOSE'] === '1') console.log(`  ${failure ?? '-'}`)
  return verdict
}
