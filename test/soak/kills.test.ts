/**
 * Fault model: processes are killed (SIGKILL) at random moments, while they open a home, write to it in one of ten ways, take
 * checkpoints, ship or back up; what they had handed to the operating system stays. LevelDB is the real one, on the real file system.
 *
 * Expected after each kill: the home opens; it holds every step that was told as acknowledged, through a pipe, before the kill; its
 * state is exactly the one after a whole number of steps; the engine's digest is the one of its definition. Every other kill
 * is looked at in a copy, so that the next process meets a home that was killed more than once in a row. At the end of each round
 * the home is recovered from its archive, whose shippers were killed too, and compared. A hot backup is whole or absent.
 */
import { seededRandom, type Random } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { WAYS } from './kill-steps.ts'
import { counts, KilledHome, killsByWay, Waiting } from './killed-home.ts'
import { roundsWithin, seed } from './soak-share.ts'

/** A new home after so many rounds, so that none becomes large. */
const ROUNDS_OF_A_HOME = 4

test('no kill at any moment loses what was acknowledged, or leaves half of anything', async () => {
  const random = seededRandom(seed)
  const goOn = roundsWithin(1)
  const victims = new Waiting()
  let home: KilledHome | undefined
  let rounds = 0
  try {
    while (goOn()) {
      if (rounds % ROUNDS_OF_A_HOME === 0) {
        await home?.end()
        home = await KilledHome.begin(random, victims)
      }
      rounds += 1
      for (const way of shuffled(WAYS, random)) await home?.surviveOne(way)
      await home?.compareWithArchive()
    }
    await home?.end()
  } finally {
    await victims.end()
    console.log(`kills, seed ${String(seed)}: ${String(rounds)} rounds, ${JSON.stringify(counts)}`)
  }
  for (const way of WAYS) expect(killsByWay.get(way), way).toBe(rounds)
  expect(counts.archivesRecovered).toBe(rounds)
  expect(counts.acknowledged).toBeGreaterThan(rounds * WAYS.length)
})

function shuffled<Item>(items: readonly Item[], random: Random): readonly Item[] {
  const drawn = items.map((item) => ({ item, at: random.next() }))
  return drawn.toSorted((a, b) => a.at - b.at).map(({ item }) => item)
}
