/**
 * Fault model. One or two machines, each a simulated disk; an archive on a disk of its own. In any order: processes are killed
 * between or at operations; power fails at any moment, with unsynced writes and names lost, kept, torn at 512 B or 4 KiB or
 * zeroed as drawn; single operations or six in a row fail with EIO (before or after the work), ENOSPC, EMFILE or a short
 * write, in the database, in the shipper’s reading or in the archive; the wall clock goes back; homes are copied and both
 * copies written and shipped; two archivers run at once. Names in `invariants.ts` say what is held after every command.
 *
 * Injected: disks, clock, timers, identities, gzip. Not reached: random names (temporary files, epochs’ owners), which decide
 * nothing; the real files into which recovery restores, whose result depends only on the archive.
 *
 * Left out: retention, which the histories of the real world have, because a backup needs a LevelDB; a standby.
 */
import { expect, test } from 'vitest'
import { choiceFromEnvironment } from './run-choice.ts'
import { runSimulated } from './simulated-run.ts'

const RUNS = 50

test('every history of writes, crashes, faults, archivers and recoveries keeps every promise', async () => {
  const choice = choiceFromEnvironment(RUNS)
  const counts = await runSimulated(choice)
  const faults = counts.sum('fault ')
  console.log(
    `simulated system: seed ${choice.seed}, ${counts.of('histories')} histories, ${counts.sum('command ')} commands`,
    `(${counts.text('command ')});`,
    `${counts.of('calls acknowledged')} calls acknowledged, ${counts.of('calls refused')} refused;`,
    `${faults} faults struck (${counts.text('fault ')}), errors seen ${counts.of('surfaced')} (${counts.text('error ')});`,
    `${counts.of('restores compared')} restores compared, ${counts.of('restores refused')} refused,`,
    `${counts.of('digests compared')} times one digest of primary, restore and model`,
  )
  if (choice.path !== undefined) return
  expect(counts.sum('command ')).toBeGreaterThan(RUNS * 10)
  expect(faults).toBeGreaterThan(RUNS / 2)
  expect(counts.of('restores compared')).toBeGreaterThan(RUNS / 4)
  expect(counts.of('digests compared')).toBeGreaterThan(RUNS * 0.9)
  expect(counts.of('error ARCHIVE_FENCED')).toBeGreaterThan(0)
  expect(counts.of('lost records')).toBeGreaterThan(0)
}, 300_000)

test('the same seed gives the same histories, down to the operations of the disks', async () => {
  const runs = [await runSimulated({ seed: 7, runs: 8 }), await runSimulated({ seed: 7, runs: 8 })]
  const [one, two] = runs.map((counts) => counts.text(''))
  expect(one).toBe(two)
  expect(runs[0]?.of('operations')).toBeGreaterThan(0)
}, 300_000)
