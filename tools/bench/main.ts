/**
 * Medians and ratios against peers, interleaved in one run. Ratios are taken within a round, so that a machine that slows down slows
 * both of their sides.
 *
 * `pnpm bench [--quick] [--rounds=5] [--writers=1,16] [SECTION...]`; a section is one of the names below. All samples are in
 * `.bench-runs/` after each round. A section that fails, or one of our own measurements in it, is named at the end, after the others,
 * and the run ends with 1 then.
 */
import { join } from 'node:path'
import { BenchRun } from './run.ts'
import { benchBackup } from './sections/backup.ts'
import { benchBulk } from './sections/bulk.ts'
import { benchCheckpoint } from './sections/checkpoint.ts'
import { benchCommits } from './sections/commits.ts'
import { benchDeltas } from './sections/deltas.ts'
import { benchDigest } from './sections/digest.ts'
import { benchFlushes, benchSlowFlush } from './sections/flushes.ts'
import { benchGrowth } from './sections/growth.ts'
import { benchIncremental } from './sections/incremental.ts'
import { benchReads } from './sections/reads.ts'
import { benchRecovery } from './sections/recovery.ts'
import { benchReplay } from './sections/replay.ts'
import { benchRestore } from './sections/restore.ts'
import { benchShipping } from './sections/shipping.ts'
import { benchStandby } from './sections/standby.ts'

const sections: Readonly<Record<string, (run: BenchRun) => Promise<void>>> = {
  commits: benchCommits,
  flushes: benchFlushes,
  'slow-flush': benchSlowFlush,
  reads: benchReads,
  backup: benchBackup,
  checkpoint: benchCheckpoint,
  shipping: benchShipping,
  standby: benchStandby,
  replay: benchReplay,
  recovery: benchRecovery,
  restore: benchRestore,
  deltas: benchDeltas,
  digest: benchDigest,
  incremental: benchIncremental,
  bulk: benchBulk,
  growth: benchGrowth,
}

const words = process.argv.slice(2)
const writers = words.find((word) => word.startsWith('--writers=')) ?? '--writers=1,16,64,256'
const rounds = words.find((word) => word.startsWith('--rounds='))
const chosen = words.filter((word) => !word.startsWith('--'))
const unknown = chosen.filter((name) => sections[name] === undefined)
if (unknown.length > 0) {
  console.error(`bench: no section ${unknown.join(', ')}; there are ${Object.keys(sections).join(', ')}`)
  process.exit(2)
}
const run = new BenchRun({
  quick: words.includes('--quick'),
  rounds: rounds === undefined ? undefined : Number(rounds.slice('--rounds='.length)),
  writerCounts: writers.slice('--writers='.length).split(',').map(Number),
  folder: join(process.cwd(), '.bench-runs'),
})
console.log(`node ${process.version}, ${String(run.rounds)} rounds, medians; ratios are taken within a round`)
for (const [name, bench] of Object.entries(sections)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  await run.section(name, bench)
}
if (!(await run.end())) process.exitCode = 1
