import type { PlantedBug } from './planted-bug.ts'

const keeper = 'packages/engine/test/checkpoint-keeper.test.ts'
const durability = 'packages/engine/test/checkpoint-durability.test.ts'

/** Mistakes of checkpoints: what they rest on when they appear, and which log may go on the strength of them. */
export const checkpointBugs: readonly PlantedBug[] = [
  {
    name: 'removed-before-confirmed',
    what: 'a log segment is removed though an archive has not confirmed it',
    file: 'packages/engine/src/checkpoint/checkpoint-policy.ts',
    edits: [
      {
        find: 'return Math.min(checkpoint.segmentNumber, ...confirmed)',
        replace: 'return confirmed.length < 0 ? 0 : checkpoint.segmentNumber',
      },
    ],
    caughtBy: {
      testFile: keeper,
      title: 'keeps segments that an archive has not confirmed or that somebody holds',
    },
  },
  {
    name: 'confirmed-by-another-timeline',
    what: 'an archive’s word about another timeline lets segments of this one go',
    file: 'packages/engine/src/checkpoint/checkpoint-policy.ts',
    edits: [
      {
        find: 'timeline === checkpoint.timeline ? segmentNumber + 1 : 0',
        replace: 'timeline > 0 ? segmentNumber + 1 : 0',
      },
    ],
    caughtBy: {
      testFile: keeper,
      title: 'removes nothing that an archive, also one of another timeline, does not have',
    },
  },
  {
    name: 'removed-above-the-checkpoint',
    what: 'a log segment is removed once archives have it, though the checkpoint still needs it',
    file: 'packages/engine/src/checkpoint/checkpoint-policy.ts',
    edits: [
      {
        find: 'return Math.min(checkpoint.segmentNumber, ...confirmed)',
        replace: 'return Math.min(Number.MAX_SAFE_INTEGER, ...confirmed)',
      },
    ],
    caughtBy: {
      testFile: keeper,
      title: 'removes nothing that an archive, also one of another timeline, does not have',
    },
  },
  {
    name: 'released-unannounced',
    what: 'at its limit the log is released from an archive that no event has named before',
    file: 'packages/engine/src/checkpoint/limit-alarm.ts',
    edits: [{ find: '?? nowMs + 1', replace: '?? -1' }],
    caughtBy: {
      testFile: 'packages/engine/test/log-limit.test.ts',
      title: 'lets nothing be done to an archive before it was told of',
    },
  },
  {
    name: 'released-for-all',
    what: 'at its limit the log is released as a whole, also what healthy archives lack for a moment',
    file: 'packages/engine/src/checkpoint/log-limit.ts',
    edits: [{ find: 'const isTaken = left > logBytesMax', replace: 'const isTaken = left > 0' }],
    caughtBy: {
      // Not by shippers at work: whether the healthy ones lack anything at that moment is chance.
      testFile: 'packages/engine/test/log-limit.test.ts',
      title: 'above 500 bytes asks for the oldest segments and no more',
    },
  },
  {
    name: 'checkpoint-not-confirmed',
    what: 'a checkpoint believes that LevelDB has flushed, though its MANIFEST does not say so',
    file: 'packages/engine/src/leveldb/leveldb-flush.ts',
    edits: [{ find: 'if (found.version.logNumber > logBefore) {', replace: 'if (logBefore >= 0) {' }],
    caughtBy: {
      testFile: 'packages/engine/test/checkpoint.test.ts',
      title: 'says by name when LevelDB does not confirm a flush',
    },
  },
  {
    name: 'no-folder-fsync-for-checkpoint-tables',
    what: 'a checkpoint appears before the names of its tables are durable',
    file: 'packages/engine/src/checkpoint/checkpoint-tables.ts',
    edits: [{ find: 'await place.fileSystem.syncDirectory(place.tablesDirectory)', replace: '' }],
    caughtBy: {
      testFile: durability,
      title: 'appears only when everything it names is durable',
    },
  },
  {
    name: 'checkpoint-folder-without-a-durable-name',
    what: 'the folders of the first checkpoint are made, and their own names not made durable',
    file: 'packages/engine/src/checkpoint/checkpoint-tables.ts',
    edits: [
      {
        find: 'await makeDirectoryDurable(dirname(place.tablesDirectory), place.fileSystem)\n  await makeDirectoryDurable(place.tablesDirectory, place.fileSystem)',
        replace: 'await place.fileSystem.makeDirectory(place.tablesDirectory)',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/checkpoint-power-loss.test.ts',
      title: 'the first checkpoint of a home is not lost with the name of its folder',
    },
  },
  {
    name: 'no-folder-fsync-for-the-flushed-version',
    what: 'a checkpoint appears before the names of the version it confirmed are durable',
    file: 'packages/engine/src/leveldb/leveldb-flush.ts',
    edits: [{ find: 'await fileSystem.syncDirectory(dataDirectory)', replace: '' }],
    caughtBy: {
      testFile: durability,
      title: 'appears only when everything it names is durable',
    },
  },
  {
    name: 'checkpoint-ahead-of-the-log',
    what: 'a checkpoint appears before the log is durable through it',
    file: 'packages/engine/src/checkpoint/checkpoint-keeper.ts',
    edits: [{ find: 'await log.sync()\n        return segmentHolding', replace: 'return segmentHolding' }],
    caughtBy: {
      testFile: durability,
      title: 'appears only when the log is durable through it',
    },
  },
  {
    name: 'current-written-first',
    what: 'a restored folder of data gets its CURRENT before what that leads to',
    file: 'packages/engine/src/checkpoint/checkpoint-restore.ts',
    edits: [
      {
        find: "  await writeDurable(join(dataDirectory, 'CURRENT'), Buffer.from(manifest.current), fileSystem)\n",
        replace: '',
      },
      {
        find: 'await fileSystem.makeDirectory(dataDirectory)',
        replace: `await fileSystem.makeDirectory(dataDirectory)
  await writeDurable(join(dataDirectory, 'CURRENT'), Buffer.from(manifest.current), fileSystem)`,
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/checkpoint.test.ts',
      title: 'is written to a folder of data with CURRENT last, and never into a folder that has data',
    },
  },
]
