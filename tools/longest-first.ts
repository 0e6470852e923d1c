import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, as measured; a file that is not here takes less than a quarter of a minute. */
const LONGEST = [
  'archive/test/ship-crash',
  'engine/test/abstract-suite',
  'every-operation/every-operation',
  'recovery/test/interruption',
  'histories/histories',
  'hotbackup/test/faults',
  'engine/test/adopt',
  'recovery/test/compact-log',
  'engine/test/checkpoint-kill',
  'power-loss/power-loss',
  'archive/test/piece-merge',
  'engine/test/kill',
  'model/real',
  'test/peers-mistakes',
  'hotbackup/test/hot-copies',
  'test/fencing',
  'model/simulated',
  'engine/test/checkpoint.',
  'archive/test/encryption',
  'hotbackup/test/hotbackup',
  'test/readme',
]

/** Begins with the longest files: one that begins last keeps all other workers waiting at the end. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = LONGEST.findIndex((name) => moduleId.includes(name))
      return rank < 0 ? LONGEST.length : rank
    }
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b))
  }
}
