/**
 * The histories of `test/faults/model` without end: new seeds until the time is over, from `SEED` on or from a random one, for
 * `SOAK_MINUTES` (default 5). A failure prints its shrunk history and the values that repeat it.
 */
import { expect, test } from 'vitest'
import { runReal } from '../faults/model/real-run.ts'
import { runSimulated } from '../faults/model/simulated-run.ts'

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 5)
const SIMULATED_RUNS = 100
const REAL_RUNS = 15

test('every history keeps every promise, for as long as there is time', async () => {
  const first = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000_000))
  console.log(`model soak: first seed ${first}, ${MINUTES} minutes`)
  const endMs = performance.now() + MINUTES * 60_000
  let histories = 0
  let commands = 0
  let faults = 0
  let seed = first
  for (; performance.now() < endMs; seed += 1) {
    for (const counts of [
      await runSimulated({ seed, runs: SIMULATED_RUNS }),
      await runReal({ seed, runs: REAL_RUNS }),
    ]) {
      histories += counts.of('histories')
      commands += counts.sum('command ')
      faults += counts.sum('fault ')
    }
  }
  console.log(
    `model soak: seeds ${first} to ${seed - 1}, ${histories} histories, ${commands} commands, ${faults} faults struck`,
  )
  expect(commands).toBeGreaterThan(histories)
})
