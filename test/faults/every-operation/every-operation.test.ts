/** A sample of the matrix in `every-operation.ts`, the same one for the same SEED. */
import { declareEveryOperation } from './every-operation.ts'

const seed = Number(process.env['SEED'] ?? '1')

declareEveryOperation(({ over, weight = 1 }) => {
  const isSimulated = over === 'simulated disk'
  return {
    seed,
    faults: Math.round((isSimulated ? 15 : 6) * weight),
    crashesAgain: 2,
    followEvery: isSimulated ? 8 : 5,
    states: isSimulated ? 2 : 1,
  }
}, 120_000)
