import type { OptionRow } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { checkedSample } from '../sample.ts'
import { oneOf } from './backup-rows.ts'
import { archiveIfAnyOption, archiveOption, homeIfAnyOption, identityOption } from './shared-options.ts'

const straysOption: OptionRow = {
  name: 'strays',
  help: 'also name objects that nothing refers to, such as interrupted work leaves; they harm nothing',
}

/** Finding damage, and mending it. */
export const checkingRows: readonly CommandRow[] = [
  {
    name: 'archive verify',
    summary: 'read everything in an archive, or a sample of it, and check it',
    options: [
      archiveOption,
      identityOption,
      straysOption,
      {
        name: 'sample',
        value: 'PART',
        help: 'read only a part of the objects, chosen by chance: 5%, or 100 of them',
        parse: checkedSample,
      },
      { name: 'seed', value: 'TEXT', help: 'read the sample that this seed chooses (a new one, printed)' },
    ],
    notes: [
      'Journal, manifests, gaps, and by listing the presence and length of all objects are checked with any sample.',
      'Each finding comes with the points in time that cannot be recovered for want of the object. Exit code 1 when anything is found.',
    ],
    check: (args) => (args.has('seed') && !args.has('sample') ? '--seed goes with --sample' : undefined),
    example: 'timberline archive verify -a /backups/app',
    yieldsProcessor: () => true,
    load: async () => (await import('../commands/verify.ts')).verifyCommand,
  },
  {
    name: 'archive repair',
    summary: 'find right content for what is damaged or missing in an archive, and put it there',
    options: [
      archiveOption,
      identityOption,
      {
        name: 'from',
        value: 'ARCHIVE',
        help: 'another archive of the same environment that may have it; may be given several times',
        repeats: true,
      },
      { ...homeIfAnyOption, help: 'the live home, or the folder of a backup, that may have it' },
      { name: 'object', value: 'NAME', help: 'only this object; may be given several times', repeats: true },
      { name: 'apply', help: 'do it; without this, only tell what would be done' },
    ],
    notes: [
      'Right content is read and checked as a whole before the damaged object is removed. The archive itself is searched first.',
      'Exit code 0 when nothing is left to repair; 1 otherwise, also when only told what would be done.',
    ],
    example: 'timberline archive repair -a /backups/app --from s3://backups/app -h ./home',
    load: async () => (await import('../commands/archive-repair.ts')).archiveRepairCommand,
  },
  {
    name: 'verify',
    summary: 'check a home, a backup or an archive, or compare an archive with the live database',
    options: [
      homeIfAnyOption,
      { letter: 'b', name: 'backup', value: 'BACKUP', help: 'folder of a backup' },
      archiveIfAnyOption,
      identityOption,
      {
        name: 'against',
        value: 'HOME',
        help: 'restore the archive to a scratch folder and compare its digest with this home at one LSN',
      },
    ],
    notes: ['Exit code 1 when anything is found.'],
    example: 'timberline verify -b ./copy',
    check: (args) =>
      oneOf(args, ['home', 'backup', 'archive']) ??
      (args.has('against') && !args.has('archive') ? '--against goes with -a' : undefined),
    yieldsProcessor: () => true,
    load: async () => (await import('../commands/verify.ts')).verifyCommand,
  },
]
