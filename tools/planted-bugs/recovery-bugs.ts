import type { PlantedBug } from './planted-bug.ts'

const plan = 'packages/recovery/test/plan.test.ts'
const recover = 'packages/recovery/test/recover.test.ts'
const planning = 'packages/recovery/src/plan/plan.ts'
const workplace = 'packages/recovery/src/restore/workplace.ts'
const newHome = 'the new home goes on after the target on a new timeline that does not archive'

/** Mistakes of a recovery: where exactly it ends, what it believes, when its home may be opened. */
export const recoveryBugs: readonly PlantedBug[] = [
  {
    name: 'owed-sync-never-paid',
    what: 'files of a new home are closed without the sync that was asked for',
    file: 'packages/recovery/src/restore/sync-later.ts',
    edits: [
      {
        find: 'return this.#isOwed ? this.#files.add(this.#handle) : this.#handle.close()',
        replace: 'return this.#handle.close()',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/power-loss.test.ts',
      title: 'a home recovered into folders that had to be made is not lost with their names',
    },
  },
  {
    name: 'lsn-edge-off-by-one',
    what: '“before” an LSN keeps the record that it names',
    file: planning,
    edits: [
      {
        find: "target.edge === 'before' ? target.lsn - 1 : target.lsn",
        replace: "target.edge === 'before' ? target.lsn : target.lsn",
      },
    ],
    caughtBy: { testFile: plan, title: 'on one timeline before the record that comes next is the end' },
  },
  {
    name: 'time-edge-through-drops-the-instant',
    what: '“through” a time drops the commit of just that time',
    file: 'packages/recovery/src/plan/target.ts',
    edits: [{ find: 'committedAtUs > atUs :', replace: 'committedAtUs >= atUs :' }],
    caughtBy: {
      testFile: 'packages/recovery/test/time-edge.test.ts',
      title: 'a commit at just the named time is kept by through and dropped by before',
    },
  },
  {
    name: 'time-edge-before-keeps-the-instant',
    what: '“before” a time keeps the commit of just that time',
    file: 'packages/recovery/src/plan/target.ts',
    edits: [{ find: ': committedAtUs >= atUs', replace: ': committedAtUs > atUs' }],
    caughtBy: {
      testFile: 'packages/recovery/test/time-edge.test.ts',
      title: 'a commit at just the named time is kept by through and dropped by before',
    },
  },
  {
    name: 'time-edge-of-a-base',
    what: '“before” a time starts from a backup of just that time',
    file: planning,
    edits: [
      {
        find: "edge === 'through' ? committedAtUs <= atUs : committedAtUs < atUs",
        replace: "edge === 'through' ? committedAtUs <= atUs : committedAtUs <= atUs",
      },
    ],
    caughtBy: {
      testFile: plan,
      title: 'on one timeline before a time on a backup is reached from the one before',
    },
  },
  {
    name: 'mark-edge-off-by-one',
    what: '“before” a mark keeps the mark',
    file: planning,
    edits: [
      { find: "target.edge === 'before' ? lsn - 1 : lsn", replace: "target.edge === 'before' ? lsn : lsn" },
    ],
    caughtBy: { testFile: plan, title: 'on one timeline a mark is dropped with before' },
  },
  {
    name: 'missing-record-overlooked',
    what: 'a hole of one record between two segments does not end a run',
    file: 'packages/recovery/src/history/coverage.ts',
    edits: [{ find: 'fromLsn <= last.throughLsn + 1', replace: 'fromLsn <= last.throughLsn + 2' }],
    caughtBy: {
      testFile: plan,
      title: 'an LSN is planned exactly when a base and every record after it can be had',
    },
  },
  {
    name: 'recovered-home-keeps-its-timeline',
    what: 'a recovered home goes on in the timeline that it leaves',
    file: 'packages/recovery/src/restore/build-home.ts',
    edits: [
      {
        find: 'const timeline = await source.beginTimeline(parent, { claim: options.scratch !== true })',
        replace: 'const { timeline } = parent',
      },
    ],
    caughtBy: { testFile: recover, title: newHome },
  },
  {
    name: 'recovered-home-archives-at-once',
    what: 'a recovered home archives before anybody has told it to',
    file: 'packages/recovery/src/restore/build-home.ts',
    edits: [{ find: 'archiving: false,', replace: 'archiving: true,' }],
    caughtBy: { testFile: recover, title: newHome },
  },
  {
    name: 'file-checksum-not-verified-at-restore',
    what: 'a restored file may differ from what the manifest recorded, if it is as long',
    file: 'packages/recovery/src/transfer.ts',
    edits: [
      {
        find: "hash !== undefined && hash.digest('hex') !== expected.sha256",
        replace: 'false',
      },
      {
        find: "position !== expected.bytes || hash.digest('hex') !== expected.sha256",
        replace: 'position !== expected.bytes',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/restore-check.test.ts',
      title: 'a table that differs in one bit is refused when it is copied into a new home',
    },
  },
  {
    name: 'copied-table-not-synced',
    what: 'a table that the system copied into a new home is taken for durable before the disk has it',
    file: 'packages/recovery/src/transfer.ts',
    edits: [
      {
        find: 'Promise.allSettled([verifyFile(to, expected, options), flush(to, fileSystem)])',
        replace: 'Promise.allSettled([verifyFile(to, expected, options)])',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/transfer.test.ts',
      title: 'a copy by the system is synced after it was made, and a sync that fails is told',
    },
  },
  {
    name: 'digest-difference-passed',
    what: 'a state that differs from the recorded digest is taken for the right one',
    file: 'packages/recovery/src/restore/replay-through.ts',
    edits: [{ find: 'if (recorded.hex === digest.hex) return', replace: 'if (recorded.lsn >= 0) return' }],
    caughtBy: { testFile: recover, title: 'a difference is refused, and the home stays closed' },
  },
  {
    name: 'label-not-written',
    what: 'an unfinished recovery has no label, and its home could be opened',
    file: workplace,
    edits: [
      { find: "await writeLabel(home, { format: 1, phase: 'build', request }, fileSystem)", replace: '' },
    ],
    caughtBy: {
      testFile: recover,
      title: 'an abort leaves the home marked, and the same recovery can be run again',
    },
  },
  {
    name: 'label-removed-too-early',
    what: 'the label goes before the last part of the home is in place',
    file: workplace,
    edits: [
      {
        find: "if (label.phase === 'install') {",
        replace:
          "if (label.phase === 'install') {\n    await removeIfPresent(join(home, RECOVERY_LABEL), fileSystem)",
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/workplace.test.ts',
      title: 'a backup in place survives power loss before every operation',
    },
  },
  {
    name: 'installed-before-it-is-durable',
    what: 'the label says that the home is complete before its parts have their names for good',
    file: workplace,
    edits: [
      {
        find: `await fileSystem.syncDirectory(building.home)
      await fileSystem.syncDirectory(home)`,
        replace: '',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/workplace.test.ts',
      title: 'a backup in place survives power loss before every operation',
    },
  },
  {
    name: 'home-in-a-folder-without-a-durable-name',
    what: 'the folders above a recovered home are made, and their names not made durable',
    file: workplace,
    edits: [
      {
        find: 'await makeDirectoryDurable(home, fileSystem)',
        replace: 'await fileSystem.makeDirectory(home)',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/power-loss.test.ts',
      title: 'a home recovered into folders that had to be made is not lost with their names',
    },
  },
  {
    name: 'memory-lent-while-it-is-written',
    what: 'the memory of a chunk is lent to another reader while the chunk is being written, after it was proved',
    file: 'packages/recovery/src/lent-buffers.ts',
    edits: [
      {
        find: '      yield chunk\n      this.giveBack(chunk)',
        replace: '      this.giveBack(chunk)\n      yield chunk',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/lent-buffers.test.ts',
      title: 'come back from whoever reads into them when the next chunk is asked for, and not before',
    },
  },
]
