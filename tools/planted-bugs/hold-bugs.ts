import type { PlantedBug } from './planted-bug.ts'

const folder = 'packages/wal/test/folder.test.ts'

/** Mistakes in what keeps segments for somebody. */
export const holdBugs: readonly PlantedBug[] = [
  {
    name: 'removal-ignores-a-hold',
    what: 'segments are removed though somebody holds them',
    file: 'packages/wal/src/writing/log.ts',
    edits: [{ find: 'if (holds.some((hold) => hold.fromSegment <= number)) break', replace: '' }],
    caughtBy: { testFile: folder, title: 'holds keep segments from being removed until they are released' },
  },
  {
    name: 'unreadable-hold-holds-nothing',
    what: 'a hold that cannot be read is passed over',
    file: 'packages/wal/src/promises/holds.ts',
    edits: [
      {
        find: "if (content === 'gone') continue",
        replace: "if (content === 'gone' || content === undefined) continue",
      },
    ],
    caughtBy: { testFile: folder, title: 'holds that cannot be read hold everything' },
  },
  {
    name: 'hold-of-another-boot-counts',
    what: 'a hold that power loss left without content counts as long as some process has its pid',
    file: 'packages/wal/src/promises/holds.ts',
    edits: [{ find: 'if (tail.length === TAIL_DIGITS && ', replace: 'if (false && ' }],
    caughtBy: { testFile: folder, title: 'of an earlier boot that power loss has left without content' },
  },
]
