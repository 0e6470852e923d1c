import type { PlantedBug } from './planted-bug.ts'

const crash = 'packages/wal/test/log-crash.test.ts'
const damage = 'packages/wal/test/damage.test.ts'
const folder = 'packages/wal/test/folder.test.ts'

/** Mistakes in the log: what is durable when, what is torn and what is corrupt, who may remove what. */
export const walBugs: readonly PlantedBug[] = [
  {
    name: 'ack-before-fsync',
    what: 'a commit is acknowledged once it is written, before the device has it',
    file: 'packages/wal/src/writing/flusher.ts',
    edits: [
      { find: 'if (inline) segment.syncNow()\n        else await this.#syncBeside(segment)', replace: '' },
    ],
    caughtBy: { testFile: crash, title: 'before any operation loses nothing acknowledged (posix)' },
  },
  {
    name: 'no-folder-fsync-for-a-new-segment',
    what: 'a new segment is used before its name is durable',
    file: 'packages/wal/src/segments/segment-maker.ts',
    edits: [{ find: 'await fileSystem.syncDirectory(directory)', replace: '' }],
    caughtBy: { testFile: crash, title: 'before any operation loses nothing acknowledged (posix)' },
  },
  {
    name: 'log-folder-without-a-durable-name',
    what: 'the folder of a new log is made, and its own name not made durable',
    file: 'packages/wal/src/writing/log-opening.ts',
    edits: [
      {
        find: 'await makeDirectoryDurable(directory, fileSystem)',
        replace: 'await fileSystem.makeDirectory(directory)',
      },
    ],
    caughtBy: { testFile: crash, title: 'before any operation loses nothing acknowledged (posix)' },
  },
  {
    name: 'segment-named-before-its-header-is-durable',
    what: 'a new segment gets its name before its header is on the device',
    file: 'packages/wal/src/segments/segment-maker.ts',
    edits: [{ find: 'await handle.sync()', replace: '' }],
    caughtBy: { testFile: crash, title: 'before any operation loses nothing acknowledged (posix)' },
  },
  {
    name: 'segment-named-before-the-seal-of-the-last',
    what: 'a new segment gets its name while the seal of the one before it is still on its way to the device',
    file: 'packages/wal/src/segments/segment-maker.ts',
    edits: [
      {
        find: 'await Promise.allSettled([makeUnnamed(segment), segment.sealed])',
        replace: 'await Promise.allSettled([makeUnnamed(segment), undefined])',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/flusher.test.ts',
      title: 'makes the next segment beside the seal, and names it when that is durable',
    },
  },
  {
    name: 'seal-before-its-records-are-durable',
    what: 'a segment is sealed while records in it, which nobody waits for, are only written',
    file: 'packages/wal/src/writing/flusher.ts',
    edits: [{ find: 'if (this.#durableLsn < this.#writtenLsn) await this.#syncAlone()', replace: '' }],
    caughtBy: {
      testFile: crash,
      title: 'among records that nobody waits for leaves a beginning of them, never a log that looks corrupt',
    },
  },
  {
    name: 'failed-fsync-retried',
    what: 'a failed fsync is tried again, and its second answer believed',
    file: 'packages/wal/src/writing/flusher.ts',
    edits: [
      {
        find: 'if (inline) segment.syncNow()\n        else await this.#syncBeside(segment)',
        replace: 'await segment.sync().catch(() => segment.sync())',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/log-failure.test.ts',
      title: 'a failed sync has an unknown outcome, is not tried again, and closes the log',
    },
  },
  {
    name: 'found-frames-not-written-again',
    what: 'opening syncs the frames it found, whose pages a failed fsync had marked clean, without writing them again',
    file: 'packages/wal/src/writing/log-opening.ts',
    edits: [{ find: 'await rewrite(source, unprovenAt, reader.position)', replace: '' }],
    caughtBy: {
      testFile: 'packages/wal/test/log-failure.test.ts',
      title: 'of records whose pages then count as clean is made good by reopening',
    },
  },
  {
    name: 'torn-tail-left-in-place',
    what: 'opening writes on before a torn tail without cutting it off, so that old frames come back behind new ones',
    file: 'packages/wal/src/writing/log-opening.ts',
    edits: [
      {
        find: 'if (tornBytes > 0 || sealed) await source.handle.truncate(reader.position)',
        replace: '',
      },
    ],
    caughtBy: {
      testFile: crash,
      title: 'that kept a later group and lost an earlier one does not bring the later one back',
    },
  },
  {
    name: 'rename-before-the-data-is-durable',
    what: 'a file put in place atomically is renamed before its content is synced',
    file: 'packages/wal/src/files/atomic-file.ts',
    edits: [{ find: 'if (content.isDurable) await handle.sync()', replace: '' }],
    caughtBy: {
      testFile: folder,
      title: 'is the old or the new one after a power cut at any operation, and the new one once it resolved',
    },
  },
  {
    name: 'long-flush-left-out',
    what: 'a process that does nothing else, such as a backup, does not flush what is long',
    file: 'packages/wal/src/files/prompt-file-system.ts',
    edits: [{ find: 'else await this.#inPool(super.sync())', replace: '' }],
    caughtBy: { testFile: 'packages/wal/test/prompt-file-system.test.ts', title: 'and none is left out' },
  },
  {
    name: 'no-folder-fsync-after-a-rename',
    what: 'a file put in place atomically counts as there before its name is durable',
    file: 'packages/wal/src/files/atomic-file.ts',
    edits: [{ find: 'await fileSystem.syncDirectory(dirname(path))', replace: '' }],
    caughtBy: {
      testFile: folder,
      title: 'is the old or the new one after a power cut at any operation, and the new one once it resolved',
    },
  },
  {
    name: 'append-off-by-one',
    what: 'the first record of a new segment gets the LSN after the next',
    file: 'packages/wal/src/writing/flusher.ts',
    edits: [
      {
        find: 'previous: link, nextLsn: summary.lastLsn + 1, sealed }',
        replace: 'previous: link, nextLsn: summary.lastLsn + 2, sealed }',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/log.test.ts',
      title: 'have no gaps and strictly increase, whatever the clock does, also over reopening and rolling',
    },
  },
  {
    name: 'commit-time-not-increasing',
    what: 'a commit takes the time of the clock, also when that has gone back',
    file: 'packages/wal/src/records/commit-clock.ts',
    edits: [{ find: 'now > this.#lastUs ? now : this.#lastUs + 1', replace: 'now' }],
    caughtBy: {
      testFile: 'packages/wal/test/log.test.ts',
      title: 'have no gaps and strictly increase, whatever the clock does, also over reopening and rolling',
    },
  },
  {
    name: 'payload-checksum-not-verified',
    what: 'a frame counts as whole when its header is',
    file: 'packages/wal/src/records/frame.ts',
    edits: [{ find: '=== frame.header.payloadChecksum', replace: '>= 0' }],
    caughtBy: {
      testFile: damage,
      title: 'a segment that is unsealed has the stated outcome for every flipped byte (last: true)',
    },
  },
  {
    name: 'checksum-not-seeded-by-the-segment',
    what: 'a frame’s checksums do not depend on its segment, so that a frame of another one passes',
    file: 'packages/wal/src/records/frame.ts',
    edits: [
      { find: 'crc32(payload, seed)', replace: 'crc32(payload)' },
      {
        find: 'crc32(frame.subarray(4, FRAME_HEADER_BYTES), seed)',
        replace: 'crc32(frame.subarray(4, FRAME_HEADER_BYTES))',
      },
      {
        find: 'crcOfRange(bytes, { begin: position + 4, end: position + FRAME_HEADER_BYTES }, seed)',
        replace: 'crcOfRange(bytes, { begin: position + 4, end: position + FRAME_HEADER_BYTES }, 0)',
      },
      {
        find: 'crcOfRange(bytes, { begin, end }, frame.seed)',
        replace: 'crcOfRange(bytes, { begin, end }, 0)',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/codec.test.ts',
      title: 'is not misled by whole frames of another segment that go on where its own end',
    },
  },
  {
    name: 'groups-passed-behind-the-end',
    what: 'who passes groups up to a place that lies behind the first of them passes all that were read',
    file: 'packages/wal/src/segments/plain-groups.ts',
    edits: [
      {
        find: 'Math.max(0, Math.min(there.length, range.end - range.begin))',
        replace: 'Math.min(there.length, range.end - range.begin)',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/plain-groups.test.ts',
      title: 'passes none far behind where it should end',
    },
  },
  {
    name: 'torn-tail-called-corrupt',
    what: 'any whole frame behind a torn one counts as proof of corruption, also one that proves nothing',
    file: 'packages/wal/src/segments/tail-verdict.ts',
    edits: [{ find: 'frame.durableLsn >= expectedLsn', replace: 'frame.durableLsn >= 0' }],
    caughtBy: {
      testFile: crash,
      title: 'that kept a later group and lost an earlier one does not bring the later one back',
    },
  },
  {
    name: 'corruption-called-torn',
    what: 'damage of an acknowledged record in the last segment is cut off as if it were torn',
    file: 'packages/wal/src/segments/tail-verdict.ts',
    edits: [{ find: 'frame.durableLsn >= expectedLsn', replace: 'frame.durableLsn > frame.firstLsn' }],
    caughtBy: { testFile: damage, title: 'is corrupt, not torn, when it is damaged after a clean close' },
  },
  {
    name: 'follower-returns-what-is-not-synced',
    what: 'a follower returns records that are written and could still be lost',
    file: 'packages/wal/src/reading/log-tail.ts',
    edits: [{ find: 'if (lastLsn > durableLsn) await walker.sync()', replace: '' }],
    caughtBy: {
      testFile: 'packages/wal/test/log-follower.test.ts',
      title: 'returns nothing that a power cut could take back',
    },
  },
  {
    name: 'copied-log-believed-durable',
    what: 'a follower believes what a log folder says of its durability before it has flushed it once itself',
    file: 'packages/wal/src/reading/segment-follower.ts',
    edits: [{ find: 'this.#isTrusting ? this.#told() : 0', replace: 'this.#told()' }],
    caughtBy: {
      testFile: 'packages/wal/test/log-follower.test.ts',
      title: 'ends a look where its writer says that the log is durable, and flushes what goes beyond that',
    },
  },
  {
    name: 'shipped-beyond-what-is-durable',
    what: 'a follower that was told how far the log is durable reports what stands behind that without a flush',
    file: 'packages/wal/src/reading/segment-follower.ts',
    edits: [
      {
        find: 'if (lsn <= durableLsn) return\n',
        replace: 'if (this.#isTrusting || lsn <= durableLsn) return\n',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/log-follower.test.ts',
      title: 'ends a look where its writer says that the log is durable, and flushes what goes beyond that',
    },
  },
  {
    name: 'reader-off-by-one',
    what: 'reading from an LSN begins with the one after it',
    file: 'packages/wal/src/reading/log-reader.ts',
    edits: [
      { find: 'if (first >= fromLsn &&', replace: 'if (first > fromLsn &&' },
      { find: 'lsn >= fromLsn && lsn <= throughLsn)', replace: 'lsn > fromLsn && lsn <= throughLsn)' },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/log-follower.test.ts',
      title: 'reading a log begins and ends at any LSN, across segments',
    },
  },
  {
    name: 'found-name-not-synced',
    what: 'an opener takes the newest segment of a process that died for one whose name is durable',
    file: 'packages/wal/src/writing/log-opening.ts',
    edits: [
      {
        find: '    await fileSystem.syncDirectory(directory)\n    const filled',
        replace: '    const filled',
      },
    ],
    caughtBy: {
      testFile: 'packages/wal/test/log-crash.test.ts',
      title:
        'before any operation leaves a log whose next records survive a power cut, and so do those before',
    },
  },
]
