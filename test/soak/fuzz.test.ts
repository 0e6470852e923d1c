/** Damaged input for every decoder, as much as the time allows; the fault model stands in `test/fuzz/fuzz.test.ts`. */
import { afterAll, expect, test } from 'vitest'
import { runDecoder } from '../fuzz/harness.ts'
import { decoders } from '../fuzz/table.ts'
import { Watchdog } from '../fuzz/watchdog.ts'
import { roundsWithin, seed } from './soak-share.ts'

/** Inputs of one decoder in one round, so that every decoder has its turn also in a short run. */
const INPUTS_OF_A_ROUND = 400

const watchdog = new Watchdog()
afterAll(() => watchdog.close())

test('no decoder ends in anything but a value or a typed error, whatever it is given', async () => {
  const goOn = roundsWithin(1)
  const counts = { inputs: 0, values: 0, refused: 0, errors: 0 }
  const codes = new Set<string>()
  let round = 0
  try {
    for (; goOn(); round += 1) {
      // Each round draws other inputs; to see one again, the seed of its round is in the finding.
      for (const decoder of decoders) {
        const tally = await runDecoder(decoder, { seed: seed + round, inputs: INPUTS_OF_A_ROUND, watchdog })
        const sum = (map: ReadonlyMap<string, number>): number => [...map.values()].reduce((a, b) => a + b, 0)
        counts.inputs += tally.inputs
        counts.values += tally.values
        counts.refused += sum(tally.refusals)
        counts.errors += sum(tally.errors)
        for (const code of tally.errors.keys()) codes.add(code)
      }
    }
  } finally {
    console.log(
      `fuzz, seed ${String(seed)}: ${String(round)} rounds over ${String(decoders.length)} decoders, ${JSON.stringify(counts)}, ${String(codes.size)} codes`,
    )
  }
  expect(counts.inputs).toBe(counts.values + counts.refused + counts.errors)
  expect(counts.inputs).toBeGreaterThanOrEqual(round * decoders.length * INPUTS_OF_A_ROUND)
  expect(codes.size).toBeGreaterThan(15)
})
