import type { PlantedBug } from './planted-bug.ts'

const load = 'packages/engine/test/bulk-load.test.ts'
const plan = 'packages/recovery/test/bulk-load.test.ts'

/** Mistakes of data that is loaded beside the log: half of it, too early, or as if the log had it. */
export const bulkLoadBugs: readonly PlantedBug[] = [
  {
    name: 'load-decided-before-it-is-durable',
    what: 'the log says that data was loaded while nothing but LevelDB’s memory has it',
    file: 'packages/engine/src/bulk-load/bulk-load-target.ts',
    edits: [
      {
        find: '    if (this.#writer.entries > 0) await this.#place.stage.write(lsn)\n',
        replace: '',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/bulk-load-crash.test.ts',
      title: 'is all there or not at all after a power loss at any operation on a file',
    },
  },
  {
    name: 'half-a-load-seen',
    what: 'reads are shown what has been loaded so far',
    file: 'packages/engine/src/level/shown-state.ts',
    edits: [
      {
        find: 'return readingFrom(seen, () => read({ ...options, snapshot: seen }))',
        replace: 'return read(options)',
      },
    ],
    caughtBy: {
      testFile: load,
      title: 'is seen by nobody before it is seen whole, on whatever way they read',
    },
  },
  {
    name: 'failed-load-not-taken-back',
    what: 'what was loaded before its source failed stays in the state',
    file: 'packages/engine/src/bulk-load/bulk-load-target.ts',
    edits: [
      {
        find: '    if (range !== undefined) await undoLoad(native, this.reads.snapshot, range)\n',
        replace: '',
      },
    ],
    caughtBy: { testFile: load, title: 'because the database is closed: nothing' },
  },
  {
    name: 'load-without-due-backup',
    what: 'nobody is told that a full backup is due after a load',
    file: 'packages/engine/src/bulk-load/bulk-load.ts',
    edits: [{ find: '      if (sink.entries > 0) await host.announce()\n', replace: '' }],
    caughtBy: { testFile: load, title: 'marks a load, and says that a full backup is due' },
  },
  {
    name: 'load-hidden-by-deletions',
    what: 'a home that holds deletions counts as one without an entry, and hides what is put below them',
    file: 'packages/engine/src/bulk-load/bulk-load-target.ts',
    edits: [
      { find: '.some(({ isOwn }) => !isOwn)', replace: '.some(({ isOwn, level }) => !isOwn && level > 6)' },
    ],
    caughtBy: { testFile: load, title: 'is not hidden by what was deleted before' },
  },
  {
    name: 'load-drops-what-came-just-before',
    what: 'a home counts as new although a write came in before the load had its turn, and what LevelDB has in memory is left behind',
    file: 'packages/engine/src/bulk-load/bulk-load-target.ts',
    edits: [{ find: 'stage.isFirst && log.nextLsn === 1', replace: 'stage.isFirst' }],
    caughtBy: {
      testFile: load,
      title: 'is not new any more for what is written before the load has its turn',
    },
  },
  {
    name: 'load-tables-unmarked',
    what: 'tables with a load in them do not say that the state is not to be used yet',
    file: 'packages/engine/src/bulk-load/bulk-load-tables.ts',
    edits: [
      {
        find: 'await this.#tables.write(last, LOADING)',
        replace: 'await this.#tables.write(last, { lsn: 2, committedAtUs: 1 })',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/bulk-load-crash.test.ts',
      title: 'is all there or not at all after a crash at any operation on a file',
    },
  },
  {
    name: 'load-tables-named-before-durable',
    what: 'the MANIFEST names the last table of a load while the device does not have it yet',
    file: 'packages/engine/src/bulk-load/bulk-load-table-set.ts',
    edits: [{ find: '    await this.#flushing\n', replace: '' }],
    caughtBy: {
      testFile: 'packages/engine/test/bulk-load-tables.test.ts',
      title: 'the MANIFEST waits until the device has the last table',
    },
  },
  {
    name: 'replay-past-a-load',
    what: 'a log is replayed past data that was loaded beside it, and gives a state without that data',
    file: 'packages/engine/src/records/bulk-load-mark.ts',
    edits: [
      {
        find: '  if (!isBulkLoad(record)) return\n',
        replace: '  if (isBulkLoad(record)) return\n  if (record.lsn > 0) return\n',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/replay.test.ts',
      title: 'counts marks and notes as records that change nothing, but not across a load beside the log',
    },
  },
  {
    name: 'plan-past-a-load',
    what: 'plan and ledger take the log behind a load for a way from a backup before it',
    file: 'packages/recovery/src/history/coverage.ts',
    edits: [
      {
        find: 'return load === undefined ? next.throughLsn : Math.min(next.throughLsn, load.lsn - 1)',
        replace: 'return load === undefined ? next.throughLsn : next.throughLsn',
      },
    ],
    caughtBy: {
      testFile: plan,
      title: 'claims no state between a load and the next backup, and says why',
    },
  },
  {
    name: 'backup-past-a-load',
    what: 'a backup that was begun before a load takes the log behind it for its own',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [{ find: '  refuseBulkLoad(log.segments, checkpoint.lsn)\n', replace: '' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/hotbackup.test.ts',
      title: 'that meets a load each time is refused by name in the end, and leaves the call for another',
    },
  },
]
