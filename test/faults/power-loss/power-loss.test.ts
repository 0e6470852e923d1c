/** Two lives of a database whose power fails again and again; the fault model stands in `power-lives.ts`, the soak lives many. */
import { afterAll, expect, test } from 'vitest'
import { expectStruck, PowerLives } from './power-lives.ts'

const SEED = Number(process.env['SEED'] ?? 20_261_125)
const lives = new PowerLives()
afterAll(() => lives.end())

test('a power loss at any moment of a LevelDB on a real folder leaves every acknowledged commit, and a prefix', async () => {
  await lives.live(SEED, 'posix')
  await lives.live(SEED + 1, 'ext4')
  console.log(`power loss, SEED=${String(SEED)}: ${String(lives.tally)}`)
  expect(lives.tally.get('states')).toBeGreaterThan(150)
  expectStruck(lives.tally)
})
