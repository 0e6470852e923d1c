import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, as measured; a file that is not here takes less than ten seconds. */
const LONGEST = [
  'every-operation/every-operation',
  'hotbackup/test/faults',
  'engine/test/bulk-load-crash',
  'engine/test/abstract-suite',
  'histories/histories',
  'archive/test/ship-crash',
  'recovery/test/interruption',
  'hotbackup/test/volume-faults',
  'engine/test/checkpoint-kill',
  'archive/test/encryption',
  'archive/test/piece-merge',
  'engine/test/kill',
  'model/real',
  'hotbackup/test/hot-copies',
  'archive/test/volume-faults',
  'test/fencing',
  'test/peers-mistakes',
  'model/simulated',
  'power-loss/power-loss',
  'recovery/test/compact-log',
  'cli/test/live-home',
  'test/live-readers',
  'engine/test/state-recovery',
  'test/readme',
  'engine/test/checkpoint.',
  'archive/test/parity',
  'engine/test/adopt',
  'hotbackup/test/hotbackup',
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
