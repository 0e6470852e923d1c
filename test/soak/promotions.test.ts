/**
 * A hundred promotions while the old primary writes and ships: nothing that was told to be archived is missing in a new home. Where
 * in its pieces, segments and merges the old shipper is caught is drawn by the machine's timing, so a seed would not bring it back.
 */
import { expect, test } from 'vitest'
import { promoteUnderLoad } from '../../packages/recovery/test/promotion-load.ts'
import { roundsWithin } from './soak-share.ts'

const PROMOTIONS = 100

test('promotions under load keep everything that was told to be archived', async () => {
  const goOn = roundsWithin(1)
  let promotions = 0
  while (goOn()) {
    for (let round = 0; round < PROMOTIONS; round++) {
      expect(await promoteUnderLoad(promotions++)).toMatchObject({ lost: 0, isEqual: true })
    }
  }
  console.log(`promotions under load: ${String(promotions)}`)
  expect(promotions).toBeGreaterThanOrEqual(PROMOTIONS)
})
