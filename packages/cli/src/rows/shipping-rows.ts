import { targetsComplaint } from '../archive-targets.ts'
import { type OptionRow, positiveNumber, wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { archiveOption, homeOption } from './shared-options.ts'

/** `--name`: what the home calls its archive. */
export const archiveNameOption: OptionRow = {
  name: 'name',
  value: 'NAME',
  help: 'what the home calls this archive; log is kept until NAME has it (archive)',
}

const watchOptions: readonly OptionRow[] = [
  {
    name: 'alarm-seconds',
    value: 'S',
    help: 'the archive is late when it lacks a commit older than this (60)',
    parse: positiveNumber('a number of seconds'),
  },
  {
    name: 'on-change',
    value: 'COMMAND',
    help: 'run this in a shell when the archive becomes late, failed, or ok again',
  },
  {
    name: 'metrics-port',
    value: 'PORT',
    help: 'serve OpenMetrics figures at this port of 127.0.0.1; 0 takes a free one',
    parse: wholeNumber('a port', { min: 0, max: 65_535 }),
  },
  { name: 'metrics-file', value: 'FILE', help: 'keep OpenMetrics figures in this file' },
]

/** Shipping a log, and what is held of it. */
export const shippingRows: readonly CommandRow[] = [
  {
    name: 'archive init',
    summary: 'create an archive for a database, and let this home archive into it',
    options: [homeOption, archiveOption, archiveNameOption],
    notes: [
      'From then on the home keeps its log until the archive has it. Also what turns archiving on again for a recovered home.',
    ],
    example: 'timberline archive init -h ./home -a /backups/app',
    load: async () => (await import('../commands/archive-init.ts')).archiveInitCommand,
  },
  {
    name: 'archive encrypt',
    summary: 'encrypt what is put into an archive from now on, or change who can read it',
    options: [
      archiveOption,
      {
        name: 'recipient',
        value: 'RECIPIENT',
        help: 'who can read: age1… as age-keygen prints it; once for each, all of them anew',
        repeats: true,
      },
      {
        name: 'passphrase',
        help: 'also keep a new identity in the archive, under TIMBERLINE_PASSPHRASE',
      },
      { name: 'create', help: 'make an archive for files of other systems when there is none' },
    ],
    notes: [
      'Without --recipient and --passphrase: show who can read. An archive that is encrypted cannot be made a clear one again.',
      'Writing needs no key. Reading takes --identity FILE, TIMBERLINE_IDENTITY, or TIMBERLINE_PASSPHRASE.',
      'To change the passphrase, give --passphrase with the old one in TIMBERLINE_PASSPHRASE and the new one in TIMBERLINE_PASSPHRASE_NEW.',
    ],
    example: 'timberline archive encrypt -a /backups/app --recipient age1…',
    check: (args) =>
      args.flag('passphrase') && (process.env['TIMBERLINE_PASSPHRASE'] ?? '') === ''
        ? '--passphrase needs TIMBERLINE_PASSPHRASE in the environment'
        : undefined,
    load: async () => (await import('../commands/archive-encrypt.ts')).archiveEncryptCommand,
  },
  {
    name: 'archive run',
    summary: 'ship the log into one archive or several, once a second, until stopped',
    options: [
      homeOption,
      {
        ...archiveOption,
        repeats: true,
        help: `${archiveOption.help}; or NAME=ADDRESS, once for each of several`,
      },
      archiveNameOption,
      {
        name: 'interval-ms',
        value: 'MS',
        help: 'how often the tail is shipped (1000)',
        parse: wholeNumber('an interval', { min: 10, max: 3_600_000 }),
      },
      { name: 'once', help: 'ship what is there, then end' },
      {
        name: 'switch-every',
        value: 'S',
        help: 'have the active segment sealed as often as this, so that it is archived whole (when the home does it itself)',
        parse: positiveNumber('a number of seconds'),
      },
      ...watchOptions,
    ],
    notes: [
      'The archive is created when nothing is at its address yet. The application need not be running.',
      'Of several archives each is tried again, judged and given up alone. The exit code at the end is that of the first that failed.',
    ],
    example: 'timberline archive run -h ./home -a nas=/backups/app -a s3=s3://backups/app',
    check: targetsComplaint,
    load: async () => (await import('../commands/archive-run.ts')).archiveRunCommand,
  },
  {
    name: 'archive status',
    summary: 'show each segment (active, sealed, uploading, archived, lost) and the lag',
    options: [homeOption, archiveOption],
    example: 'timberline archive status -h ./home -a /backups/app',
    load: async () => (await import('../commands/archive-status.ts')).archiveStatusCommand,
  },
  {
    name: 'archive list',
    summary: 'list the log files that are no longer needed, as db_archive does',
    options: [
      homeOption,
      { letter: 'a', name: 'absolute', help: 'print absolute paths' },
      {
        letter: 'd',
        name: 'delete',
        help: 'remove them; nothing that recovery or an archive needs is among them',
      },
      { letter: 'l', name: 'logs', help: 'list all log files instead' },
      { letter: 's', name: 'data', help: 'list all data files instead' },
    ],
    notes: [
      'No longer needed: below the newest checkpoint, held by every archive that confirms to this home, and held by no backup or reader.',
    ],
    example: 'timberline archive list -h ./home -a',
    check: (args) =>
      ['delete', 'logs', 'data'].filter((name) => args.flag(name)).length > 1
        ? 'only one of -d, -l and -s'
        : undefined,
    load: async () => (await import('../commands/archive-list.ts')).archiveListCommand,
  },
]
