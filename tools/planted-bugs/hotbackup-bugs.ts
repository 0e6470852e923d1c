import type { PlantedBug } from './planted-bug.ts'

const hotbackup = 'packages/hotbackup/test/hotbackup.test.ts'
const asOf = 'packages/hotbackup/test/as-of.test.ts'
const appearance = 'packages/hotbackup/test/appearance.test.ts'
const partial = 'packages/hotbackup/src/sink/partial-folder.ts'
const replacing = 'a backup that replaces old is there whole or not at all after power loss at any operation'

/** Mistakes of a hot backup: the order of its copies, what it keeps from removal, when it appears. */
export const hotbackupBugs: readonly PlantedBug[] = [
  {
    name: 'logs-copied-before-data',
    what: 'the log is listed before the checkpoint that it must complete is chosen',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [
      {
        find: 'import { durableLog, refuseBulkLoad }',
        replace: 'import { listLiveSegments, madeDurable, refuseBulkLoad }',
      },
      {
        find: 'const { pin, sink } = await pinBeside(run, base)',
        replace: `const segments = await listLiveSegments(run.layout.logDirectory, options.fileSystem)
  const listed = { segments, endLsn: segments.at(-1)?.lastLsn ?? 0 }
  const { pin: later, sink } = await pinBeside(run, base)
  const pin = { ...later, listed }`,
      },
      {
        find: 'durableLog(checkpoint, places))',
        replace: `madeDurable(pin.listed.segments, {
      endLsn: pin.listed.endLsn,
      directory: places.live,
      fileSystem,
    }))`,
      },
    ],
    caughtBy: {
      testFile: hotbackup,
      title: 'a checkpoint that is replaced while it is pinned is given up for the newer one',
    },
  },
  {
    name: 'leveldb-log-copied',
    what: 'the backup takes LevelDB’s own log along',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [
      {
        find: 'files: [identity, ...data, ...logs],',
        replace: `files: [
      identity,
      ...data,
      ...logs,
      ...(await Promise.all(
        (await fileSystem.list(layout.dataDirectory))
          .filter((name) => name.endsWith('.log'))
          .map(async (name) =>
            sink.write(name, await readFileWhole(join(layout.dataDirectory, name), fileSystem)),
          ),
      )),
    ],`,
      },
    ],
    caughtBy: {
      testFile: hotbackup,
      title: "names every file with length and checksum, and never takes LevelDB's own files",
    },
  },
  {
    name: 'no-hold-while-copying',
    what: 'the log that a backup needs is not kept from removal',
    file: 'packages/hotbackup/src/staging.ts',
    edits: [
      {
        find: 'const staging = join(layout.home, stagingName(hold.id))',
        replace: 'const staging = join(layout.home, stagingName(hold.id))\n  await hold.release()',
      },
    ],
    caughtBy: {
      testFile: hotbackup,
      title: 'a mark keeps the log from removal, and the data it copies outlives a checkpoint',
    },
  },
  {
    name: 'no-folder-fsync-at-the-appearance',
    what: 'the older backup is removed before the new one’s name is durable',
    file: partial,
    edits: [{ find: 'await fileSystem.syncDirectory(dirname(target))', replace: '' }],
    caughtBy: { testFile: appearance, title: replacing },
  },
  {
    name: 'backup-in-a-folder-without-a-durable-name',
    what: 'the folders above a new backup are made, and their names not made durable',
    file: 'packages/hotbackup/src/sink/folder-sink.ts',
    edits: [
      {
        find: 'await makeDirectoryDurable(dirname(target), fileSystem)',
        replace: 'await fileSystem.makeDirectory(dirname(target))',
      },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/power-loss.test.ts',
      title: 'a backup into folders that it had to make is not lost with their names',
    },
  },
  {
    name: 'backup-appears-before-its-files-are-durable',
    what: 'the backup gets its name while files of it are only written',
    file: 'packages/wal/src/files/sync-queue.ts',
    edits: [{ find: 'await handle.sync()', replace: '' }],
    caughtBy: { testFile: appearance, title: replacing },
  },
  {
    name: 'backup-appears-before-its-names-are-durable',
    what: 'the backup gets its name while names in its folders are not durable',
    file: 'packages/hotbackup/src/sink/folder-sink.ts',
    edits: [
      {
        find: '() => fileSystem.syncDirectory(join(partial.path, folder))',
        replace: '() => Promise.resolve()',
      },
    ],
    caughtBy: { testFile: appearance, title: replacing },
  },
  {
    name: 'updated-manifest-before-its-log',
    what: 'an update replaces the manifest while the new log that it names is not durable in the folder',
    file: 'packages/hotbackup/src/update/folder-update.ts',
    edits: [{ find: "await fileSystem.syncDirectory(join(target, 'log'))", replace: '' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/update-in-place.test.ts',
      title:
        'an update in place leaves the old backup or the new one after a power loss at any operation on a file',
    },
  },
  {
    name: 'older-backup-removed-first',
    what: 'the older backup is removed before the new one stands in its place',
    file: partial,
    edits: [
      {
        find: 'if (old !== undefined) await fileSystem.rename(target, old)',
        replace: 'if (old !== undefined) await fileSystem.removeTree(target)',
      },
    ],
    caughtBy: { testFile: appearance, title: replacing },
  },
  {
    name: 'replaced-backup-removed-with-its-manifest',
    what: 'of the backup that was replaced, files go while its manifest still says that it is one',
    file: partial,
    edits: [
      {
        find: 'if (await removeIfPresent(join(path, BACKUP_LABEL), fileSystem)) await fileSystem.syncDirectory(path)',
        replace: '',
      },
    ],
    caughtBy: {
      testFile: appearance,
      title: 'an older backup whose removal was cut off anywhere is never taken for one again',
    },
  },
  {
    name: 'checksums-not-verified-in-a-backup',
    what: 'verifying a backup compares lengths alone',
    file: 'packages/hotbackup/src/verify-backup.ts',
    edits: [{ find: 'if (sha256 === file.sha256) return []', replace: 'return []' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/damage.test.ts',
      title: 'names the file in which a byte was flipped',
    },
  },
  {
    name: 'gap-behind-the-checkpoint-overlooked',
    what: 'the log may begin one record behind the one that the checkpoint needs next',
    file: 'packages/hotbackup/src/copy-plan.ts',
    edits: [
      {
        find: 'if (first.firstLsn > checkpoint.lsn + 1) {',
        replace: 'if (first.firstLsn > checkpoint.lsn + 2) {',
      },
    ],
    caughtBy: {
      testFile: 'packages/hotbackup/test/copy-plan.test.ts',
      title: 'finds a whole plan only when every record from the checkpoint on is there',
    },
  },
  {
    name: 'as-of-start-that-ends-later',
    what: 'a backup as of its start lists the log when its data are copied, and ends there',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [{ find: "options.asOf === 'start' ? await listLog() : undefined", replace: 'undefined' }],
    caughtBy: {
      testFile: asOf,
      title: 'ends where the log was durable when it began, though commits go on all the while',
    },
  },
  {
    name: 'as-of-start-whose-manifest-says-end',
    what: 'the manifest of a backup does not tell which moment its state is of',
    file: 'packages/hotbackup/src/backup-run.ts',
    edits: [{ find: 'asOf: run.options.asOf,', replace: "asOf: 'end' as const," }],
    caughtBy: {
      testFile: asOf,
      title: 'ends where the log was durable when it began, though commits go on all the while',
    },
  },
  {
    name: 'estimate-without-the-log',
    what: 'what is to be copied is the tables alone',
    file: 'packages/hotbackup/src/estimate.ts',
    edits: [{ find: 'logBytes: bytesOf(logs),', replace: 'logBytes: 0,' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/estimate.test.ts',
      title: 'tells the bytes that the backup then copies, and copies none',
    },
  },
  {
    name: 'damage-brought-forward',
    what: 'recovery on a backup merges a damaged data file, whose checksum then gives nothing away any more',
    file: 'packages/hotbackup/src/update/bring-forward.ts',
    edits: [{ find: 'verify: true,', replace: 'verify: false,' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/recover-update.test.ts',
      title: 'is refused over a damaged data file, and the backup stays what it was',
    },
  },
  {
    name: 'last-log-left-behind',
    what: 'recovery on a backup takes the log away that the next update goes on in',
    file: 'packages/hotbackup/src/update/bring-forward.ts',
    edits: [{ find: 'return name === `log/${segmentName(set.lastSegmentNumber)}`', replace: 'return false' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/recover-update.test.ts',
      title: 'brings the data files to the end of the backup, round after round',
    },
  },
  {
    name: 'full-spares-the-writer',
    what: 'a copy without bound rests between its flushes like one that has been given no limit',
    file: 'packages/hotbackup/src/options.ts',
    edits: [{ find: 'sharesDisk: options.maxMbPerS === undefined', replace: 'sharesDisk: true' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/beside-writers.test.ts',
      title: 'at a rate without bound whole tables are moved, whoever writes',
    },
  },
]
