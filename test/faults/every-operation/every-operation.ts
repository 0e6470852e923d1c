/**
 * Every operation, every fault. For each scenario of the table the file operations of a clean run are counted; then each of them
 * is where the machine stops (before it, after it), and each is refused with EIO, ENOSPC, EMFILE, done in half, or done and
 * then reported as failed: once, and from there on for good. After each the same work is done again on a healthy machine, and
 * everything that was promised is held against the model. Then the machine stops again during that recovery, and again during the
 * recovery from that.
 *
 * Fault models: on the simulated disk a stop is a loss of power, and several of its outcomes are tried (see `CrashFileSystem`);
 * over real folders it is the death of the process, since LevelDB's own files cannot be made to lose what was not synced.
 * Faults strike what goes through the file-system port: not LevelDB's own files, nor the lock.
 *
 * Each fault must end as an error with a code, as the stop that it was, or unnoticed with the promise kept; an error without a
 * code is a failure, and so is a file that a living process is left with open. A default run tries a sample, spread evenly by SEED; the soak tries all, as far as its time goes.
 */
import { afterAll, expect, test } from 'vitest'
import { backupScenarios } from './backup-scenarios.ts'
import { homeScenarios } from './home-scenarios.ts'
import { logScenarios } from './log-scenarios.ts'
import { runMatrix, type Extent } from './matrix.ts'
import { formatRows, type Row } from './outcome.ts'
import { FolderGround, simulatedPlace } from './place.ts'
import { promotionScenarios } from './promotion-scenarios.ts'
import { recoveryScenarios } from './recovery-scenarios.ts'
import { retentionScenarios } from './retention-scenarios.ts'
import type { Scenario } from './scenario.ts'
import { shipScenarios } from './ship-scenarios.ts'

const table: readonly Scenario[] = [
  ...logScenarios,
  ...shipScenarios,
  ...homeScenarios,
  ...backupScenarios,
  ...recoveryScenarios,
  ...promotionScenarios,
  ...retentionScenarios,
]

/** Declares one test for each scenario, and the print of their counts; SCENARIO names one to run alone. */
export function declareEveryOperation(
  extentOf: (scenario: Scenario, scenarioCount: number) => Extent,
  timeoutMs: number,
): void {
  const only = process.env['SCENARIO']
  const chosen = table.filter(({ name }) => only === undefined || name === only)
  const rows: Row[] = []
  let seed = 0
  afterAll(() => console.log(`seed ${seed}\n${formatRows(rows)}`))
  test.each(chosen)(
    '$name: after a fault at any operation, and at any of the recovery, what was promised is there',
    async (scenario) => {
      const extent = extentOf(scenario, chosen.length)
      seed = extent.seed
      const ground = await FolderGround.make()
      try {
        const isSimulated = scenario.over === 'simulated disk'
        const places = isSimulated ? [simulatedPlace('posix'), simulatedPlace('ext4')] : [ground.place()]
        const { row, problems } = await runMatrix(scenario, places, extent)
        rows.push(row)
        expect(problems).toEqual([])
        expect(row.missed).toBeLessThan(row.faultCount / 10 + 3)
        const { typed, stopped, survived } = row.outcomes
        expect(typed + stopped + survived).toBe(row.faultCount)
        expect(row.states).toBeGreaterThanOrEqual(row.faults[0])
        expect(row.faults[0]).toBeGreaterThan(0)
      } finally {
        await ground.remove()
      }
    },
    timeoutMs,
  )
}
