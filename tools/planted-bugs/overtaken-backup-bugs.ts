import type { PlantedBug } from './planted-bug.ts'

const archiveBackup = 'packages/hotbackup/test/archive-backup.test.ts'
const owner = 'packages/hotbackup/test/owner.test.ts'

/** Mistakes about what happens beside a backup: its owner’s part, what overtakes it, who else had its label or its line. */
export const overtakenBackupBugs: readonly PlantedBug[] = [
  {
    name: 'log-not-sealed-for-a-backup',
    what: 'the owner is not asked to go on in a new log file',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [{ find: 'sealed = await run.owner?.seal()', replace: 'sealed = undefined' }],
    caughtBy: {
      testFile: owner,
      title: 'the owner of a home seals the log file that it writes, and the backup says which',
    },
  },
  {
    name: 'silent-owner-asked-again',
    what: 'an owner that did not answer is waited for at each further question',
    file: 'packages/hotbackup/src/owner.ts',
    edits: [
      {
        find: 'await this.#metered()\n      const sealed',
        replace: 'const sealed',
      },
    ],
    caughtBy: {
      testFile: owner,
      title: 'the owner of a home that does not answer is asked once, and not waited for again',
    },
  },
  {
    name: 'stall-under-way-not-told',
    what: 'a commit that still waits when a backup asks is left out of the longest wait',
    file: 'packages/engine/src/commit/commit-meter.ts',
    edits: [{ find: 'Math.max(longestWaitMs, stillMs)', replace: 'longestWaitMs' }],
    caughtBy: {
      testFile: 'packages/engine/test/commit-meter.test.ts',
      title: 'a meter of commits counts what a commit waited that waits still, as of the oldest one',
    },
  },
  {
    name: 'bytes-of-an-overtaken-attempt-counted',
    what: 'what was copied before a backup began anew is counted among its bytes',
    file: 'packages/hotbackup/src/begin-anew.ts',
    edits: [
      {
        find: 'restarts.length === 0 ? run.meter : copyMeter(options, run.meter.context.limit)',
        replace: 'run.meter',
      },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/hotbackup.test.ts',
      title: 'that meets a load beside the log begins anew, and holds what was loaded',
    },
  },
  {
    name: 'recipients-not-compared',
    what: 'a backup is entered though some of its files are for the readers of before',
    file: 'packages/archive/src/catalogue/archive-entries.ts',
    edits: [
      {
        find: 'fold.recipientSets.length !== recipientSetCount',
        replace: 'fold.recipientSets.length < recipientSetCount',
      },
    ],
    caughtBy: {
      testFile: archiveBackup,
      title:
        'whose recipients are changed meanwhile begins anew, and leaves nothing for the readers of before',
    },
  },
  {
    name: 'label-of-a-retired-backup-claimed',
    what: 'a backup takes the label of one that retention let go, because no object has it any more',
    file: 'packages/hotbackup/src/sink/archive-sink.ts',
    edits: [
      {
        find: 'retired.hasBackup(label) || (await isTaken(archive, label))',
        replace: 'await isTaken(archive, label)',
      },
    ],
    caughtBy: {
      testFile: archiveBackup,
      title: 'never gets the label of one that retention let go, though no object has it any more',
    },
  },
  {
    name: 'digest-of-another-line-compared',
    what: 'the digest that a backup recorded behind a fork is held against a restore of the other line',
    file: 'packages/recovery/src/restore/replay-through.ts',
    edits: [{ find: 'isOnPath(plan, recorded.lsn)', replace: 'recorded.lsn >= plan.base.lsn' }],
    caughtBy: {
      testFile: 'packages/recovery/test/recover.test.ts',
      title: 'what a backup recorded behind the fork, of another history, is not held against a restore',
    },
  },
  {
    name: 'buffer-given-back-while-in-use',
    what: 'a copy gives its buffer to the next one before it has read its file',
    file: 'packages/hotbackup/src/sink/file-source.ts',
    edits: [
      {
        find: '  try {\n    let position = 0\n    while',
        replace: '  context.buffers.give(chunk)\n  try {\n    let position = 0\n    while',
      },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/chunk-buffers.test.ts',
      title: 'two copies at the same time never read into one buffer, and a third goes on with theirs',
    },
  },
  {
    name: 'slice-not-flushed',
    what: 'a copy beside a writer leaves whole tables to be flushed at once',
    file: 'packages/hotbackup/src/sink/file-source.ts',
    edits: [
      { find: 'await context.limit.settle(chunk.length, () => handle.sync())', replace: 'void context' },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/beside-writers.test.ts',
      title: 'a copy beside a writer goes by slices, each durable before the next, and tells its limit',
    },
  },
  {
    name: 'silent-owner-not-spared',
    what: 'an owner that does not tell of its commits is taken for one without',
    file: 'packages/hotbackup/src/pace/writer-watch.ts',
    edits: [{ find: 'if (!isNobody) writtenAtMs = nowMs()', replace: 'void isNobody' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/writer-watch.test.ts',
      title: 'watchWriters takes an owner that does not answer for a writer',
    },
  },
  {
    name: 'abort-slept-through',
    what: 'an abort that comes before the wait of a rate limit is not noticed until it is over',
    file: 'packages/hotbackup/src/pace/rate-limit.ts',
    edits: [
      {
        find: `    this.#isLimiting = await this.#applies()
    // After that answer, in whose time it may have been aborted: a sleep waits for aborts to come only.
    this.#signal?.throwIfAborted()
`,
        replace: `    this.#signal?.throwIfAborted()
    this.#isLimiting = await this.#applies()
`,
      },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/rate-limit.test.ts',
      title: 'rateLimit stops waiting when the signal aborts',
    },
  },
]
