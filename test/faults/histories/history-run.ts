/** Runs one history from an empty disk to its last step, which is struck. Earlier steps are struck in the shorter histories that end with them. */
import assert from 'node:assert/strict'
import { CrashFileSystem, seededRandom } from '@timberline/wal/testing'
import { RealDisk, SimulatedDisk } from './history-disk.ts'
import { Findings } from './history-findings.ts'
import { Life } from './history-life.ts'
import { needsReal, runStep, type History } from './history-steps.ts'
import { HistoryCounts, struck, type RunOptions } from './history-strike.ts'

export { HistoryCounts }

/** Throws with the history, the place and the outcome when a promise was broken. */
export async function runHistory(
  history: History,
  options: RunOptions,
  counts: HistoryCounts,
): Promise<void> {
  const seed = seedOf(history, options.seed)
  const random = seededRandom(seed)
  const model = random.chance(0.5) ? 'posix' : 'ext4'
  const isReal = needsReal(history)
  const disk = isReal
    ? await RealDisk.begin(options.scratch, model)
    : new SimulatedDisk(new CrashFileSystem({ seed, model }))
  const life = new Life(disk)
  const lossSeed = (point: number): number => (seed ^ Math.imul(point, 0x9e3779b1)) & 0x7fffffff
  const strike = { options, counts, findings: new Findings(counts), seed, lossSeed }
  try {
    if (history.length === 0) await struck(life, strike, () => life.open())
    else {
      await life.open()
      for (const name of history.slice(0, -1)) {
        await runStep(life, name)
        if (name === 'crash') await life.restart(random.integer(0x7fffffff))
      }
      const last = history.at(-1)
      assert.ok(last)
      await struck(life, strike, () => runStep(life, last))
    }
    counts.histories += 1
    counts.realHistories += isReal ? 1 : 0
    counts.letGo += life.letGoCount
  } catch (error) {
    const title = `${history.join(' → ') || 'opening'} (${model}, SEED=${String(options.seed)})`
    throw new Error(`history ${title}`, { cause: error })
  } finally {
    await life.abandon()
    life.disk.end()
  }
}

/** What a history draws from, whichever others are run. */
export function seedOf(history: History, seed: number): number {
  let mixed = seed
  for (const character of history.join()) mixed = Math.imul(mixed ^ character.charCodeAt(0), 0x01000193)
  return mixed & 0x7fffffff
}
