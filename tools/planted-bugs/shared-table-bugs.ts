import type { PlantedBug } from './planted-bug.ts'

const incremental = 'packages/hotbackup/test/incremental.test.ts'
const sharedObjects = 'packages/archive/test/shared-objects.test.ts'

/** Mistakes of incremental backups: which table is unchanged, and who keeps what others name. */
export const sharedTableBugs: readonly PlantedBug[] = [
  {
    name: 'incremental-that-trusts-the-name',
    what: 'a table is taken for unchanged by its number and length alone',
    file: 'packages/hotbackup/src/sink/backup-base.ts',
    edits: [
      {
        find: 'if (sha256 === file.sha256) unchanged.set(table, file)',
        replace: "if (sha256 !== '') unchanged.set(table, file)",
      },
    ],
    caughtBy: {
      testFile: incremental,
      title: 'copies a table that has the number and the length of another one in the base',
    },
  },
  {
    name: 'incremental-from-a-base-that-was-replaced',
    what: 'nobody looks whether the base is still the one whose manifest was read',
    file: 'packages/hotbackup/src/full-backup.ts',
    edits: [
      {
        find: 'if (base !== undefined) await refuseOtherBase(base, run.identity, options.fileSystem)',
        replace: 'void refuseOtherBase',
      },
    ],
    caughtBy: {
      testFile: incremental,
      title: 'is refused when its base is replaced meanwhile, and leaves nothing',
    },
  },
  {
    name: 'lost-object-named-again',
    what: 'an incremental backup in an archive names an object without looking whether it is there',
    file: 'packages/hotbackup/src/sink/archive-sink.ts',
    edits: [{ find: "found?.objects.has(file.object ?? '') === true ? file : undefined", replace: 'file' }],
    caughtBy: {
      testFile: 'packages/hotbackup/test/incremental-archive.test.ts',
      title: 'puts anew what the archive has lost',
    },
  },
  {
    name: 'shared-tables-let-go',
    what: 'a backup whose tables an incremental one names is planned to go',
    file: 'packages/recovery/src/retention/retention-plan.ts',
    edits: [{ find: "if (forFiles.has(backup.label)) keptFor.push('files')", replace: 'void forFiles' }],
    caughtBy: {
      testFile: 'packages/recovery/test/retention-plan.test.ts',
      title: 'no backup whose objects one that stays names, nor those that such a one names itself',
    },
  },
  {
    name: 'shared-tables-let-go-by-decree',
    what: 'the journal takes a decision by which a backup goes whose objects another one names',
    file: 'packages/archive/src/catalogue/catalogue-fold.ts',
    edits: [
      {
        find: 'staying.some(({ references = [] }) => references.some((label) => backups.includes(label)))',
        replace: 'staying.length < 0',
      },
    ],
    caughtBy: {
      testFile: sharedObjects,
      title: 'keeps those from being let go before it, and lets them go with it or after it',
    },
  },
  {
    name: 'reference-to-what-has-gone',
    what: 'the journal takes a backup that names objects of one that retention has let go',
    file: 'packages/archive/src/catalogue/catalogue-fold.ts',
    edits: [
      {
        find: 'return references.every((each) => this.#referable.has(each))',
        replace: 'return references.length >= 0',
      },
    ],
    caughtBy: {
      testFile: sharedObjects,
      title: 'cannot name what retention has let go meanwhile, nor what is older than its readers’ keys',
    },
  },
]
