/**
 * Fault model. Real files in memory, a real LevelDB. The process that owns the home stops between or at operations of log and checkpoint;
 * single operations of these, or six in a row, fail with EIO (before or after the work), ENOSPC, EMFILE or a short write. What
 * LevelDB does with its own files is not failed here; the engine never trusts them. Archivers take over from each other, hot
 * backups and their updates run between writes, recoveries begin new timelines on which everything goes on. Retention lets go what
 * drawn promises do not need, by drawn clocks, on all timelines; deltas are made of what is archived. A standby follows, is opened anew,
 * and takes over; data is loaded beside the log, which no recovery, no update of a backup and no standby from before may pass.
 *
 * Not injected, because these products have no option for it: the clock of a `TimberLevel` (commit times are read from the log,
 * and only their order is foretold), the interval of a shipper (an hour, so that only `flush` ships), the time in a backup’s label.
 */
import { expect, test } from 'vitest'
import { runReal } from './real-run.ts'
import { choiceFromEnvironment } from './run-choice.ts'

const RUNS = 22

test('every history of checkpoints, backups, recoveries and timelines keeps every promise', async () => {
  const choice = choiceFromEnvironment(RUNS)
  const counts = await runReal(choice)
  console.log(
    `real system: seed ${choice.seed}, ${counts.of('histories')} histories, ${counts.sum('command ')} commands`,
    `(${counts.text('command ')});`,
    `${counts.of('calls acknowledged')} calls acknowledged, ${counts.of('calls refused')} refused;`,
    `${counts.sum('fault ')} faults and stops struck (${counts.text('fault ')});`,
    `${counts.of('backups compared')} backups compared, ${counts.of('restores compared')} restores compared,`,
    `${counts.of('restores refused')} refused, ${counts.of('timelines begun')} timelines begun,`,
    `${counts.of('archivers fenced')} archivers fenced;`,
    `retention ran ${counts.of('retentions')} times and was refused ${counts.of('retentions refused')} times,`,
    `let go ${counts.of('backups let go')} backups and ${counts.of('parts of the log let go')} parts of the log;`,
    `${counts.of('deltas made')} deltas made, ${counts.of('restores over deltas')} restores over deltas;`,
    `${counts.of('loads')} loads, ${counts.of('updates refused')} updates of backups refused,`,
    `${counts.of('standbys compared')} states of standbys compared, ${counts.of('promotions')} promotions,`,
    `${counts.sum('standby ')} standbys refused (${counts.text('standby ')})`,
  )
  if (choice.path !== undefined) return
  expect(counts.sum('command ')).toBeGreaterThan(RUNS * 8)
  expect(counts.sum('fault ')).toBeGreaterThan(RUNS / 2)
  expect(counts.of('backups compared')).toBeGreaterThan(RUNS)
  expect(counts.of('restores compared')).toBeGreaterThan(RUNS)
  expect(counts.of('timelines begun')).toBeGreaterThan(0)
  expect(counts.of('loads')).toBeGreaterThan(0)
  expect(counts.of('standbys compared')).toBeGreaterThan(0)
  expect(counts.of('promotions')).toBeGreaterThan(0)
  expect(counts.of('archivers fenced')).toBeGreaterThan(0)
  expect(counts.of('backups let go')).toBeGreaterThan(0)
  expect(counts.of('parts of the log let go')).toBeGreaterThan(0)
}, 300_000)
