import { wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { oneOf } from './backup-rows.ts'
import { archiveNameOption } from './shipping-rows.ts'
import { archiveIfAnyOption, homeOption, identityOption } from './shared-options.ts'

const standbyOption = {
  ...homeOption,
  help: 'folder of the standby: new, empty, or one that was a standby before',
}

const ofOption = {
  name: 'of',
  value: 'HOME',
  help: 'the home to follow in place, instead of an archive: on this machine, or mounted',
}

/** A second database that is ready before it is needed. */
export const standbyRows: readonly CommandRow[] = [
  {
    name: 'standby',
    summary: 'keep a copy of the database up to date from an archive or from its home, until stopped',
    options: [
      standbyOption,
      archiveIfAnyOption,
      ofOption,
      identityOption,
      { name: 'once', help: 'catch up with what is archived now, then end' },
      {
        name: 'interval-ms',
        value: 'MS',
        help: 'pause between two looks (1000); a home also rings when it writes',
        parse: wholeNumber('an interval', { min: 10, max: 3_600_000 }),
      },
      {
        name: 'timeline',
        value: 'N',
        help: 'follow this timeline alone (the one that is shipped)',
        parse: wholeNumber('a timeline', { min: 1 }),
      },
      {
        name: 'anew',
        help: 'begin anew with the newest backup or checkpoint, such as after a bulk load; what is there stays until that is whole',
      },
      {
        name: 'rejoin',
        help: 'the folder is a home of the same environment, such as a former primary: keep it aside, and begin a standby',
      },
    ],
    notes: [
      'Begins with the newest backup in the archive, then applies the log as it comes. Stopped at any point, it goes on from there.',
      'One line for each step: LSN, commit time, and how old the state of the archive or home was when all of it was in.',
      'With --of no archive is needed: it begins with the home’s newest checkpoint, and the home keeps its log for it, within its limits.',
    ],
    check: (args) =>
      oneOf(args, ['archive', 'of']) ??
      (args.has('of') && args.has('timeline') ? '--timeline goes with -a' : undefined),
    example: 'timberline standby -h ./standby -a /backups/app',
    load: async () => (await import('../commands/standby.ts')).standbyCommand,
  },
  {
    name: 'promote',
    summary: 'make a standby the database, on a new timeline, and refuse the old primary',
    options: [
      { ...homeOption, help: 'folder of the standby; a process that runs it is asked to let go, and ends' },
      archiveIfAnyOption,
      { ...ofOption, help: 'the home that it followed (the one that it remembers)' },
      { name: 'lost', help: 'the home that it followed is lost: go on with what the standby has' },
      archiveNameOption,
      identityOption,
    ],
    notes: [
      'Takes the archive from the old primary’s shipper, applies all that is archived, ends the timeline, begins the next one. Run again after a crash, it goes on.',
      'Without -a: of a standby that followed a home. That must be closed; its log is applied to its end, and from then on it is refused by name.',
      'Out of an archive the new home archives on: no `timberline archive init` is needed, unlike after `timberline recover`.',
    ],
    check: (args) =>
      args.has('archive') && (args.has('of') || args.has('lost'))
        ? '--of and --lost go without -a'
        : undefined,
    example: 'timberline promote -h ./standby -a /backups/app',
    load: async () => (await import('../commands/promote.ts')).promoteCommand,
  },
]
