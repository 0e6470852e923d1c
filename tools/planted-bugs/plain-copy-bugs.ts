import type { PlantedBug } from './planted-bug.ts'

const backup = 'packages/hotbackup/src/plain/plain-backup.ts'
const version = 'packages/hotbackup/src/plain/pinned-version.ts'
const plain = 'packages/hotbackup/test/plain-backup.test.ts'
const upheaval = {
  testFile: 'packages/hotbackup/test/plain-upheaval.test.ts',
  title: 'holds a prefix with all that was written before it, whatever comes before any one operation',
} as const

/** Mistakes of a copy of a live LevelDB that is not ours: what it takes for one version, and when it gets its name. */
export const plainCopyBugs: readonly PlantedBug[] = [
  {
    name: 'plain-manifest-not-read-again',
    what: 'a table that vanished is held against the MANIFEST of before, which had dropped it',
    file: version,
    edits: [{ find: 'const now = await readVersion(reader, folder)', replace: 'const now = found' }],
    caughtBy: {
      testFile: upheaval.testFile,
      title: 'looks again as long as the MANIFEST moves, and takes no vanished table for damage',
    },
  },
  {
    name: 'plain-logs-of-another-version',
    what: 'logs are taken that begin behind the tables, because nobody compares where both stand',
    file: version,
    edits: [
      {
        find: 'if (now.manifestName !== found.manifestName || now.version.logNumber !== logNumber) return MOVED',
        replace: 'if (now.manifestName !== found.manifestName) return MOVED',
      },
      { find: 'first !== logNumber', replace: 'first < logNumber' },
    ],
    caughtBy: upheaval,
  },
  {
    name: 'plain-manifest-as-it-is-by-then',
    what: 'the MANIFEST is copied last and whole, so that it names tables which were not pinned',
    file: backup,
    edits: [
      {
        find: '  makeDirectoryDurable,\n  nodeFileSystem,',
        replace: '  makeDirectoryDurable,\n  readFileWhole,\n  nodeFileSystem,',
      },
      {
        find: 'version.manifest, more)',
        replace: 'await readFileWhole(join(run.folder, version.manifestName), run.fileSystem), more)',
      },
    ],
    caughtBy: upheaval,
  },
  {
    name: 'plain-own-log-left-out',
    what: 'what the database has in its log and in no table yet is not copied',
    file: backup,
    edits: [
      {
        find: 'const logs = version.logs.map(({ name, endBytes }) => ({ name, bytes: endBytes }))',
        replace:
          'const logs = version.logs.slice(version.logs.length).map(({ name, endBytes }) => ({ name, bytes: endBytes }))',
      },
    ],
    caughtBy: {
      testFile: plain,
      title: 'opens as a LevelDB, with what was written last and is in no table yet',
    },
  },
  {
    name: 'plain-named-before-durable',
    what: 'the copy gets its name before its files are durable',
    file: backup,
    edits: [
      {
        find: '  await syncs.settled()\n  await fileSystem.syncDirectory(copy)',
        replace: '  await fileSystem.syncDirectory(copy)',
      },
    ],
    caughtBy: { testFile: plain, title: 'is durable, file by file, before it has its name' },
  },
]
