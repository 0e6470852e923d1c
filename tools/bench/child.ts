/** One measurement in a process of its own: `child.ts <workload> <json>` prints the result as one JSON line. */
import { measureBackup } from './workloads/backup-workload.ts'
import { measureBulk } from './workloads/bulk-workload.ts'
import { measureChanges } from './workloads/changes-workload.ts'
import { measureCheckpoint } from './workloads/checkpoint-workload.ts'
import { measureCommits } from './workloads/commit-workload.ts'
import { measureDelta } from './workloads/delta-workload.ts'
import { measureDigest } from './workloads/digest-workload.ts'
import { measurePart } from './workloads/growth-workload.ts'
import { measureIncremental } from './workloads/incremental-workload.ts'
import { measureLitestream } from './workloads/litestream-workload.ts'
import { measureLmdbBackup } from './workloads/lmdb-backup-workload.ts'
import { measureMachine } from './workloads/machine-workload.ts'
import { measureReads } from './workloads/read-workload.ts'
import { measureRecovery } from './workloads/recovery-workload.ts'
import { measureReplay } from './workloads/replay-workload.ts'
import { measureRestore } from './workloads/restore-workload.ts'
import { measureShipping } from './workloads/shipping-workload.ts'
import { measureStandby } from './workloads/standby-workload.ts'
import { measureBesideTables } from './workloads/tables-workload.ts'

const workloads: Readonly<Record<string, (work: never) => Promise<unknown>>> = {
  'beside-tables': measureBesideTables,
  backup: measureBackup,
  bulk: measureBulk,
  changes: measureChanges,
  checkpoint: measureCheckpoint,
  commits: measureCommits,
  deltas: measureDelta,
  digest: measureDigest,
  incremental: measureIncremental,
  growth: measurePart,
  litestream: measureLitestream,
  'lmdb-backup': measureLmdbBackup,
  machine: measureMachine,
  reads: measureReads,
  recovery: measureRecovery,
  replay: measureReplay,
  restore: measureRestore,
  shipping: measureShipping,
  standby: measureStandby,
}

const [name = '', work = '{}'] = process.argv.slice(2)
const run = workloads[name]
if (run === undefined) throw new Error(`unknown workload: ${name}`)
process.stdout.write(`${JSON.stringify(await run(JSON.parse(work) as never))}\n`)
