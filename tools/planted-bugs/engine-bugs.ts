import type { PlantedBug } from './planted-bug.ts'

const recovery = 'packages/engine/test/state-recovery.test.ts'
const queue = 'packages/engine/test/commit-queue.test.ts'
const archived = 'packages/engine/test/archive-wait.test.ts'
const digest = 'packages/engine/test/digest.test.ts'
const tableDigest = 'packages/engine/test/table-digest.test.ts'

/** Mistakes between log and state: what LevelDB is trusted with, when a promise resolves, what is replayed. */
export const engineBugs: readonly PlantedBug[] = [
  {
    name: 'leveldb-log-trusted',
    what: 'LevelDB’s own log is left in place before the open, and replayed by it',
    file: 'packages/engine/src/state/state.ts',
    edits: [{ find: '  await removeLeveldbLogs(dataDirectory, fileSystem)\n', replace: '' }],
    caughtBy: {
      testFile: 'packages/engine/test/leveldb-log.test.ts',
      title: 'a hole in LevelDB’s own log never comes into the state, wherever it is',
    },
  },
  {
    name: 'limited-clear-logged-by-its-range',
    what: 'a clear with a limit is logged as its range, and deletes all of it on replay',
    file: 'packages/engine/src/commit/clear.ts',
    edits: [{ find: 'target.native.keys(range)', replace: 'target.native.keys({ ...range, limit: -1 })' }],
    caughtBy: {
      testFile: 'packages/engine/test/clear.test.ts',
      title: 'is logged as the keys it found, so that its replay does not look again',
    },
  },
  {
    name: 'half-a-batch-applied',
    what: 'only the first change of a transaction reaches the state',
    file: 'packages/engine/src/commit/commit-queue.ts',
    edits: [
      {
        find: 'for (const change of changes) this',
        replace: 'for (const change of changes.slice(0, 1)) this',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/transaction.test.ts',
      title:
        'a transaction over memory commits all it wrote as one transaction with its meta, or leaves no trace',
    },
  },
  {
    name: 'half-a-transaction-replayed',
    what: 'replay leaves out the last change of each transaction',
    file: 'packages/engine/src/records/transaction-cursor.ts',
    edits: [
      {
        find: '    this.#left = this.count\n',
        replace: '    this.#left = this.count - 1\n',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/replay.test.ts',
      title: 'leads to the state, with its position in it',
    },
  },
  {
    name: 'position-in-another-batch',
    what: 'the applied position goes into the state before the changes it stands for, in a batch of its own',
    file: 'packages/engine/src/level/native-level.ts',
    edits: [
      {
        find: '    if (this.#written) this.#batch._clear()\n    this.#written = true\n    this.#batch._put(APPLIED_KEY, encodeApplied(position))\n    return this.#batch._write(UNSYNCED)',
        replace: `    if (this.#written) this.#batch._clear()
    this.#written = true
    const changes = this.#batch
    const own = classicPrototype._chainedBatch.call(this.#level)
    own._put(APPLIED_KEY, encodeApplied(position))
    return own._write(UNSYNCED).then(() => changes._write(UNSYNCED))`,
      },
      {
        find: 'return new ClassicBatch(batch)',
        replace: 'return new ClassicBatch(batch, this.#level)',
      },
      {
        find: '  constructor(batch: PrivateBatch) {\n    this.#batch = batch\n',
        replace:
          '  #level\n  constructor(batch: PrivateBatch, level: object) {\n    this.#batch = batch\n    this.#level = level\n',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/applied-position.test.ts',
      title: 'the state is what its position says, wherever LevelDB’s own log ends',
    },
  },
  {
    name: 'replay-start-off-by-one',
    what: 'replay begins one record behind the one that the state lacks',
    file: 'packages/engine/src/state/state-recovery.ts',
    edits: [
      {
        find: 'this.#replayInto(this.#handle, start.lsn + 1)',
        replace: 'this.#replayInto(this.#handle, start.lsn + 2)',
      },
    ],
    caughtBy: {
      testFile: recovery,
      title: 'replays what LevelDB had only in its own log, from the flush on',
    },
  },
  {
    name: 'state-ahead-of-the-log-kept',
    what: 'a state that holds commits which the log has lost is used as it is',
    file: 'packages/engine/src/state/state-recovery.ts',
    edits: [{ find: "if (position.lsn > log.lastLsn) return 'ahead'", replace: '' }],
    caughtBy: {
      testFile: recovery,
      title: 'rebuilds a state that is ahead of the log, and keeps the old one',
    },
  },
  {
    name: 'state-behind-its-checkpoint-kept',
    what: 'a state that a power cut took back behind its checkpoint is used as it is',
    file: 'packages/engine/src/state/state-recovery.ts',
    edits: [
      {
        find: "if (checkpointLsn !== undefined && position.lsn < checkpointLsn) return 'behind'",
        replace: '',
      },
    ],
    caughtBy: {
      testFile: recovery,
      title: 'rebuilds a state that a power cut took back behind its checkpoint',
    },
  },
  {
    name: 'write-skew-let-through',
    what: 'a transaction commits though others changed what it had read',
    file: 'packages/engine/src/transaction/transaction-runner.ts',
    edits: [{ find: 'if (lsn === undefined) return\n', replace: 'return\n' }],
    caughtBy: {
      testFile: 'packages/engine/test/transaction.test.ts',
      title:
        'a transaction over memory refuses write skew: of two that each read what the other writes, one runs again',
    },
  },
  {
    name: 'write-skew-over-ranges-let-through',
    what: 'the conflict check looks at keys that were read, not at ranges',
    file: 'packages/engine/src/commit/conflict-window.ts',
    edits: [{ find: 'if (!reads.hasRanges) return undefined', replace: 'return undefined' }],
    caughtBy: {
      testFile: 'packages/engine/test/transaction.test.ts',
      title: 'a transaction over memory refuses write skew over ranges',
    },
  },
  {
    name: 'resolved-before-the-state-has-it',
    what: 'a promise resolves once the device has the commit, though a reader does not see it yet',
    file: 'packages/engine/src/commit/commit-queue.ts',
    edits: [
      {
        find: 'if (this.#applied.length > 0) this.#resolveApplied()',
        replace: `this.#resolveApplied()
    for (const entry of this.#pending) if (this.#isFlushed(entry)) entry.waiting.resolve(entry)`,
      },
    ],
    caughtBy: { testFile: queue, title: 'that the device has first resolves when the state has it' },
  },
  {
    name: 'resolved-before-the-device-has-it',
    what: 'a promise resolves once the state has the commit, though the device does not have it yet',
    file: 'packages/engine/src/commit/commit-queue.ts',
    edits: [
      {
        find: 'return lsn <= (durable ? this.#durableLsn : this.#writtenLsn)',
        replace: 'return lsn <= (durable ? this.#writtenLsn : this.#writtenLsn)',
      },
    ],
    caughtBy: {
      testFile: queue,
      title: 'goes to the state once it is written, and resolves once device and state both have it',
    },
  },
  {
    name: 'seen-before-the-device-has-it',
    what: 'a group that the device flushes on another thread is seen as soon as LevelDB has it',
    file: 'packages/engine/src/commit/commit-queue.ts',
    edits: [{ find: 'const show = flushing.keep()', replace: 'const show = (): void => undefined' }],
    caughtBy: {
      testFile: 'packages/engine/test/slow-flush.test.ts',
      title:
        'while the device flushes a group on another thread LevelDB has it, and whoever reads sees the state before',
    },
  },
  {
    name: 'shown-before-the-device-has-it',
    what: 'readers are let go when LevelDB has a group, whether or not the device has it',
    file: 'packages/engine/src/commit/commit-queue.ts',
    edits: [{ find: 'await this.#untilDurable(last.lsn)', replace: '' }],
    caughtBy: {
      testFile: queue,
      title: 'goes to the state behind what readers see, and counts as applied once the device has it too',
    },
  },
  {
    name: 'stream-shows-what-is-not-durable',
    what: 'the stream of commits shows a commit that a power cut could take back',
    file: 'packages/engine/src/commit/commits.ts',
    edits: [
      {
        find: 'if (this.#held.length > 0 || last.lsn > this.#durableLsn) {',
        replace: 'if (this.#held.length > 0) {',
      },
    ],
    caughtBy: {
      testFile: 'packages/engine/test/commits.test.ts',
      title: 'shows nothing that is not durable',
    },
  },
  {
    name: 'digest-ignores-values',
    what: 'a digest covers keys alone',
    file: 'packages/engine/src/tables/digest.ts',
    edits: [{ find: 'hash.addBuffers(key, value)', replace: 'hash.addBuffers(key, Buffer.alloc(0))' }],
    caughtBy: { testFile: digest, title: 'is sha256 over length-prefixed entries in key order' },
  },
  {
    name: 'archived-acknowledged-at-local-durability',
    what: 'a commit that is to be held by archives resolves once it is durable in the home',
    file: 'packages/engine/src/commit/archive-wait.ts',
    edits: [{ find: 'this.#waiting.push(waiting)', replace: 'return resolve(place)' }],
    caughtBy: {
      testFile: archived,
      title: 'is durable and readable at once, and resolves only with the confirmation that reaches it',
    },
  },
  {
    name: 'one-archive-taken-for-enough',
    what: 'a commit that waits for k archives resolves with the first of them',
    file: 'packages/engine/src/commit/archive-quorum.ts',
    edits: [{ find: '[this.#scope.atLeast - 1]', replace: '[0]' }],
    caughtBy: {
      testFile: archived,
      title: 'waits for k of the named archives, whichever they are, and for none that is not named',
    },
  },
  {
    name: 'digest-ignores-where-a-value-ends',
    what: 'a digest covers keys and values run together, without their lengths',
    file: 'packages/engine/src/tables/digest-hash.ts',
    edits: [
      {
        find: `words.setUint32(at, keyBytes, true)
    words.setUint32(at + 4, valueBytes, true)`,
        replace: 'words.setFloat64(at, 0)',
      },
    ],
    caughtBy: {
      testFile: digest,
      title: 'leaves the engine’s own zone out and tells apart what differs only in where a value ends',
    },
  },
  {
    name: 'digest-in-another-order',
    what: 'a digest takes the entries that were read together from the last to the first',
    file: 'packages/engine/src/tables/digest.ts',
    edits: [
      {
        find: 'for (const [key, value] of batch) {\n        hash',
        replace: 'for (const [key, value] of batch.toReversed()) {\n        hash',
      },
    ],
    caughtBy: { testFile: digest, title: 'is sha256 over length-prefixed entries in key order' },
  },
  {
    name: 'tables-merged-to-the-older-entry',
    what: 'of two entries of a key in two tables the digest takes the older one',
    file: 'packages/engine/src/tables/table-run.ts',
    edits: [{ find: 'b.sequence - a.sequence', replace: 'a.sequence - b.sequence' }],
    caughtBy: {
      testFile: tableDigest,
      title: 'knows the newest of two entries of a key that ends two tables of one level',
    },
  },
  {
    name: 'key-ordered-by-the-suffix-of-the-one-before',
    what: 'a key that shares the end of a shorter one is ordered by the other’s first bytes',
    file: 'packages/engine/src/tables/table-run.ts',
    edits: [
      { find: 'Math.min(shared, keyBytesBefore, this.keyBytes)', replace: 'Math.min(shared, this.keyBytes)' },
    ],
    caughtBy: { testFile: tableDigest, title: 'of plain blocks is what LevelDB’s iterator gives' },
  },
]
