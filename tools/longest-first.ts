import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take longest, as measured beside two others; a file that is not here takes less than eight seconds. */
const LONGEST = [
  'every-operation/every-operation',
  'hotbackup/test/faults',
  'histories/histories',
  'engine/test/abstract-suite',
  'engine/test/bulk-load-crash',
  'hotbackup/test/volume-faults',
  'archive/test/ship-crash',
  'recovery/test/interruption',
  'model/real',
  'archive/test/piece-merge',
  'archive/test/volume-faults',
  'engine/test/checkpoint.',
  'model/simulated',
  'recovery/test/compact-log',
  'power-loss/power-loss',
  'hotbackup/test/hot-copies',
  'archive/test/encryption',
  'engine/test/state-recovery',
  'engine/test/checkpoint-kill',
  'archive/test/parity',
  'test/peers-mistakes',
  'hotbackup/test/plain-backup',
  'test/fencing',
  'engine/test/kill',
  'test/fuzz/fuzz',
  'cli/test/push-async',
  'hotbackup/test/hotbackup',
  'cli/test/live-home',
  'hotbackup/test/other-file-system',
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
