import { type Arguments, type OptionRow, wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { parseSpan } from '../span.ts'
import { archiveOption, homeIfAnyOption, identityOption } from './shared-options.ts'

const promiseOptions: readonly OptionRow[] = [
  {
    name: 'instants',
    value: 'SPAN',
    help: 'every instant of this long before now: 7d, 36h',
    parse: parseSpan,
  },
  {
    name: 'bases',
    value: 'EVERY/SPAN',
    help: 'of each EVERY one backup, while it is younger than SPAN: 1w/8w',
    repeats: true,
  },
]

/** What an archive can give back, how long it keeps it, and how soon it has it back. */
export const retentionRows: readonly CommandRow[] = [
  {
    name: 'archive window',
    summary: 'tell to which instants an archive can recover, where the holes are, and how long it would take',
    options: [
      archiveOption,
      {
        ...homeIfAnyOption,
        help: 'the live home, if it is on this machine: the recovery point is then exact',
      },
    ],
    notes: ['Exit code 1 when log is missing, or when something promised cannot be recovered.'],
    example: 'timberline archive window -a /backups/app',
    load: async () => (await import('../commands/archive-window.ts')).archiveWindowCommand,
  },
  {
    name: 'archive promise',
    summary: 'say what an archive is to keep; without options, tell what it promises',
    options: [archiveOption, ...promiseOptions, { name: 'force', help: 'promise less than before' }],
    notes: [
      'The promise is all of what one call names. It removes nothing: `archive expire` does, and keeps to it.',
    ],
    example: 'timberline archive promise -a /backups/app --instants 7d --bases 1w/8w',
    check: (args) =>
      args.flag('force') && !hasPromise(args) ? '--force goes with --instants or --bases' : undefined,
    load: async () => (await import('../commands/archive-promise.ts')).archivePromiseCommand,
  },
  {
    name: 'archive expire',
    summary: 'let go what the promise does not need; shows its plan unless --apply is given',
    options: [
      archiveOption,
      ...promiseOptions,
      { name: 'dry-run', help: 'only show the plan, which is what happens without --apply' },
      { name: 'apply', help: 'do it' },
      { name: 'force', help: 'let also go what the archive promises to keep' },
    ],
    notes: [
      'Keeps what --instants and --bases say, by default what the archive promises. The newest backup always stays.',
      'Nothing goes while something that is to stay is missing. A run that died is finished by the next one.',
      'Exit code 1 when the store would not delete something; it is tried again by the next run.',
    ],
    example: 'timberline archive expire -a /backups/app --apply',
    check: (args) =>
      args.flag('apply') && args.flag('dry-run') ? '--apply and --dry-run exclude each other' : undefined,
    load: async () => (await import('../commands/archive-expire.ts')).archiveExpireCommand,
  },
  {
    name: 'archive compact',
    summary: 'make deltas, so that recovery reads the last write of each key instead of all log',
    options: [
      archiveOption,
      identityOption,
      {
        name: 'block-segments',
        value: 'N',
        help: 'segments for one delta, and deltas for one of the next larger size (16)',
        parse: wholeNumber('a number of segments', { min: 2, max: 1000 }),
      },
      { name: 'scratch', value: 'DIR', help: 'where to work (a temporary folder)' },
      {
        name: 'check',
        help: 'read the deltas that are there first, and make those anew that are damaged or gone',
      },
      { name: 'plan', help: 'only tell what would be made' },
    ],
    notes: [
      'Takes nothing away: segments stay, for targets inside a delta, and for when a delta is damaged. Runs beside a shipper.',
      'Exit code 1 when log could not be read.',
    ],
    example: 'timberline archive compact -a /backups/app',
    yieldsProcessor: () => true,
    load: async () => (await import('../commands/archive-compact.ts')).archiveCompactCommand,
  },
]

function hasPromise(args: Arguments): boolean {
  return args.has('instants') || args.has('bases')
}
