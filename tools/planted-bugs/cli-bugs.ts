import type { PlantedBug } from './planted-bug.ts'

/** Mistakes of the command: what it makes of what is typed. */
export const cliBugs: readonly PlantedBug[] = [
  {
    name: 'microseconds-dropped',
    what: 'a time on the command line is cut to milliseconds, so that it names another place in the log',
    file: 'packages/cli/src/instant.ts',
    edits: [
      {
        find: "Number(fraction.padEnd(6, '0'))",
        replace: "Number(fraction.slice(0, 3).padEnd(3, '0')) * 1000",
      },
    ],
    caughtBy: { testFile: 'packages/cli/test/instant.test.ts', title: 'is understood to the microsecond' },
  },
  {
    name: 'before-taken-for-through',
    what: '--before is understood as --through, so that the record named is kept',
    file: 'packages/cli/src/commands/recover.ts',
    edits: [
      {
        find: "args.flag('before') ? 'before' : 'through'",
        replace: "args.flag('before') ? 'through' : 'through'",
      },
    ],
    caughtBy: {
      testFile: 'packages/cli/test/recover-target.test.ts',
      title: 'means just that record, kept or not',
    },
  },
  {
    name: 'full-backup-never-due',
    what: 'a full backup is due when a recovery would be short, and not when it would take too long',
    file: 'packages/cli/src/commands/recovery-limit.ts',
    edits: [{ find: 'ms * 1000 > limitUs', replace: 'ms * 1000 < limitUs' }],
    caughtBy: {
      testFile: 'test/seeds/berkeley-db.test.ts',
      title: 'which is predicted in bytes, records and seconds, and decides whether a full backup is due',
    },
  },
]
