/** One measurement in a process of its own: `child.ts <workload> <json>` prints the result as one JSON line. */
import { measureCommits, measureGets } from './workloads.ts'
import { measureBackup } from './backup-workload.ts'
import { measureDelta } from './delta-workload.ts'
import { measureReplay } from './replay-workload.ts'

const workloads: Readonly<Record<string, (work: never) => Promise<unknown>>> = {
  commits: measureCommits,
  gets: measureGets,
  backup: measureBackup,
  replay: measureReplay,
  deltas: measureDelta,
}

const [name = '', work = '{}'] = process.argv.slice(2)
const run = workloads[name]
if (run === undefined) throw new Error(`unknown workload: ${name}`)
process.stdout.write(`${JSON.stringify(await run(JSON.parse(work) as never))}\n`)
