import { type Arguments, oneWord, positiveNumber, wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { parseSpan } from '../span.ts'
import { BESIDE_WRITERS_MB_PER_S, RATE_WORDS } from '../copy-rate.ts'
import { volumeOptions, volumesComplaint } from './volume-options.ts'
import { archiveIfAnyOption, homeIfAnyOption, homeOption } from './shared-options.ts'

/** Copying a database: hotbackup and copy. */
export const backupRows: readonly CommandRow[] = [
  {
    name: 'hotbackup',
    summary: 'copy a database while another process writes to it',
    options: [
      homeIfAnyOption,
      {
        name: 'plain',
        value: 'DIR',
        help: 'instead of -h: a LevelDB folder that is not Timberline’s, whatever application has it open',
      },
      {
        letter: 'b',
        name: 'target',
        value: 'TARGET',
        help: 'folder that becomes the backup; an older backup there is replaced once the new one stands',
      },
      archiveIfAnyOption,
      {
        letter: 'c',
        name: 'checkpoint',
        help: 'ask the owner for a checkpoint first, so that less log is copied',
      },
      { letter: 'u', name: 'update', help: 'add the log written since to the backup in TARGET' },
      {
        name: 'recover',
        help: 'with -u: run recovery on the backup, so that a restore has nothing left to replay',
      },
      {
        name: 'when-recovery-exceeds',
        value: 'SPAN',
        help: 'with -a: only if a recovery from there would take longer than this: 10min, 1h',
        parse: parseSpan,
      },
      {
        name: 'incremental',
        help: 'do not copy tables that an earlier backup has: the one in TARGET, or the newest in ARCHIVE',
      },
      {
        name: 'base',
        value: 'FOLDER',
        help: 'the earlier backup, when TARGET is another folder; makes the backup incremental',
      },
      {
        name: 'as-of',
        value: 'WHEN',
        help: 'start or end: the state when the backup begins, or when its data files are copied (end)',
        parse: oneWord('a moment', ['start', 'end']),
      },
      {
        name: 'estimate',
        help: 'copy nothing; tell how much there is to copy, how much room and how long (1 when it does not fit)',
      },
      { name: 'offline', help: 'take the home itself, so that no writer can be open' },
      {
        name: 'max-mb-per-s',
        value: 'MB',
        help: `upper limit of the copy, in 10^6 bytes a second, or none, or full (${String(BESIDE_WRITERS_MB_PER_S)} while the database is written to)`,
        parse: (text) => RATE_WORDS.get(text) ?? positiveNumber('a rate, none or full')(text),
      },
      { name: 'no-digest', help: 'leave out the digest of the state' },
      ...volumeOptions,
      {
        letter: 'D',
        name: 'use-config',
        help: 'accepted: a home has its folders inside it, there is no DB_CONFIG to read',
      },
      {
        letter: 'd',
        name: 'data-dir',
        value: 'DIR',
        help: 'accepted when it names the home’s data folder',
        repeats: true,
      },
      { letter: 'l', name: 'log-dir', value: 'DIR', help: 'accepted when it names the home’s log folder' },
    ],
    notes: [
      'Data files are copied first, then the log: the backup holds every commit that was durable when the copy of the log began.',
      'With --as-of start it holds exactly what was durable when the backup began, after the checkpoint of -c.',
      'Incremental, into a folder: unchanged tables are hard links, the backup is whole without the earlier one. Into an archive: it names',
      'objects of earlier backups, which are kept as long as it is. Without an earlier backup everything is copied.',
      'It appears at its end by one rename, and opens only through `timberline recover`. Logs always stay in a backup.',
      'With --recover the older data files and logs leave the backup: it can then be recovered to its end, and to nothing before.',
      'How long a recovery takes is what the newest `timberline drill` measured, for the backup and the log that there are now.',
      'The first call with --prefix is a full backup; the home remembers prefix, pages and folders, and refuses other ones later.',
      `Unless told otherwise it goes easy on the database: while there are commits it copies at most ${String(BESIDE_WRITERS_MB_PER_S)} MB/s, and`,
      'other processes get processors first. With --max-mb-per-s none it flushes for a sixth of the time beside commits, as fast as that is;',
      'with full it takes all that the disk gives, and commits wait behind it.',
      'With --plain TARGET becomes an ordinary LevelDB folder: a prefix of the application’s writes, with all that had reached the file system.',
    ],
    example: 'timberline hotbackup -h ./home -b ./copy -v',
    check: (args) =>
      oneOf(args, ['home', 'plain']) ??
      oneOf(args, ['target', 'archive', 'prefix']) ??
      hotbackupComplaint(args),
    yieldsProcessor: () => true,
    load: async () => (await import('../commands/hotbackup.ts')).hotbackupCommand,
  },
  {
    name: 'copy',
    summary: 'copy a database that nobody else has open into a plain LevelDB folder, step by step',
    options: [
      { ...homeOption, help: 'folder of the database: a home, or any LevelDB' },
      {
        letter: 'o',
        name: 'output',
        value: 'FOLDER',
        help: 'where the copy is made; new or empty',
        isRequired: true,
      },
      {
        name: 'as-of',
        value: 'WHEN',
        help: 'start or end of the copy (end of a home, else start)',
        parse: oneWord('a moment', ['start', 'end']),
      },
      { name: 'compact', help: 'merge the tables of the copy, so that it is as small as it can be' },
      {
        name: 'pages-per-step',
        value: 'N',
        help: 'pages of 8 KiB copied at once (128)',
        parse: wholeNumber('a number of pages', { min: 1 }),
      },
      {
        name: 'pause-ms',
        value: 'MS',
        help: 'pause after each step (0)',
        parse: wholeNumber('a pause', { min: 0, max: 3_600_000 }),
      },
      {
        name: 'busy-timeout-ms',
        value: 'MS',
        help: 'how long to wait for a process that has the database open (5000)',
        parse: wholeNumber('a timeout', { min: 0, max: 86_400_000 }),
      },
    ],
    notes: [
      'The copy appears by one rename, and its digest is printed. It has no log: `timberline hotbackup` copies a live home with its log.',
    ],
    example: 'timberline copy -h ./home -o ./copy --compact',
    load: async () => (await import('../commands/copy.ts')).copyCommand,
  },
]

/** Complains unless exactly one of the options is there. */
export function oneOf(args: Arguments, names: readonly string[]): string | undefined {
  const given = names.filter((name) => args.has(name))
  return given.length === 1
    ? undefined
    : `exactly one of ${names.map((name) => `--${name}`).join(', ')} is needed`
}

/** What `--plain` goes with; all else is a home's. */
const PLAIN_TOO = new Set(['plain', 'target', 'max-mb-per-s'])

function hotbackupComplaint(args: Arguments): string | undefined {
  if (args.has('plain')) {
    const options = backupRows.find(({ name }) => name === 'hotbackup')?.options ?? []
    const stray = options.find(({ name }) => args.has(name) && !PLAIN_TOO.has(name))
    return stray === undefined ? undefined : `--plain and --${stray.name} exclude each other`
  }
  if (args.flag('update') && !args.has('target'))
    return '-u needs -b: an archive is continued by `timberline archive run`'
  if (args.has('base') && !args.has('target'))
    return '--base goes with -b: in an archive the newest backup is the base'
  if ((args.flag('incremental') || args.has('base')) && args.flag('update'))
    return '--incremental and -u exclude each other: an update copies no tables'
  if (args.has('as-of') && args.flag('update'))
    return '--as-of and -u exclude each other: an update ends with the log that is durable when it begins'
  if (args.flag('offline') && args.flag('update')) return '--offline and -u exclude each other'
  if (args.flag('recover') && !args.flag('update')) return '--recover goes with -u'
  if (args.flag('recover') && args.flag('estimate'))
    return '--estimate and --recover exclude each other: only the recovery itself shows what it writes'
  if (args.has('when-recovery-exceeds') && !args.has('archive'))
    return '--when-recovery-exceeds goes with -a: a folder has no drills to predict from'
  return volumesComplaint(args)
}
