/** Lives whose power fails, as in the ordinary test, as many as the time allows; the fault model stands in `power-lives.ts`. */
import { afterAll, expect, test } from 'vitest'
import { expectStruck, PowerLives } from '../faults/power-loss/power-lives.ts'
import { roundsWithin, seed } from './soak-share.ts'

const lives = new PowerLives()
afterAll(() => lives.end())

test('no power loss at any moment loses what was acknowledged, or leaves half of anything', async () => {
  const goOn = roundsWithin(1)
  let life = seed
  try {
    for (; goOn(); life += 2) {
      await lives.live(life, 'posix')
      await lives.live(life + 1, 'ext4')
    }
  } finally {
    console.log(`power loss, seed ${String(seed)}: ${String(life - seed)} lives, ${String(lives.tally)}`)
  }
  expect(lives.tally.get('states')).toBeGreaterThan(150)
  expectStruck(lives.tally)
})
