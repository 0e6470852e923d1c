/**
 * The whole matrix of `every-operation.ts` in random order, as far as SOAK_MINUTES go (default 20), shared evenly by the
 * scenarios. On the simulated disk a recovery is struck at each of its operations down to depth 3; over real folders, where that would
 * be days, at twelve. Half of the time is for the faults in the operations themselves, half for those in recoveries.
 */
import { declareEveryOperation } from '../faults/every-operation/every-operation.ts'

const seed = Number(process.env['SEED'] ?? '1')
const minutes = Number(process.env['SOAK_MINUTES'] ?? '20')

declareEveryOperation(({ over }, scenarioCount) => {
  const isSimulated = over === 'simulated disk'
  return {
    seed,
    faults: Infinity,
    crashesAgain: isSimulated ? Infinity : 12,
    followEvery: 1,
    states: isSimulated ? 8 : 1,
    msMax: (minutes * 60_000) / scenarioCount,
  }
}, 7_200_000)
