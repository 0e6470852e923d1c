import { type Arguments, positiveNumber, wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { cliError } from '../errors.ts'
import { parseInstant } from '../instant.ts'
import { homeOption, lsnOption } from './shared-options.ts'

/** Looking into a home, and small work on it. */
export const homeRows: readonly CommandRow[] = [
  {
    name: 'checkpoint',
    summary: 'flush the data files and keep an immutable version of them',
    options: [
      homeOption,
      { letter: '1', name: 'once', help: 'one checkpoint, then end (the default without -k and -p)' },
      {
        letter: 'k',
        name: 'kbytes',
        value: 'KB',
        help: 'stay, and take one whenever this much log was written',
        parse: wholeNumber('a size in kB', { min: 1 }),
      },
      {
        letter: 'p',
        name: 'minutes',
        value: 'MIN',
        help: 'stay, and take one as often as this',
        parse: wholeNumber('a number of minutes', { min: 1, max: 525_600 }),
      },
    ],
    notes: ['The owner of the home is asked; when nobody has it open, the command opens it.'],
    example: 'timberline checkpoint -h ./home -1',
    check: (args) =>
      args.flag('once') && (args.has('kbytes') || args.has('minutes')) ? '-1 excludes -k and -p' : undefined,
    load: async () => (await import('../commands/checkpoint.ts')).checkpointCommand,
  },
  {
    name: 'switch',
    summary: 'seal the active log segment and begin the next, so that all before can be archived whole',
    options: [homeOption],
    notes: [
      'The owner of the home is asked; when nobody has it open, the command opens it. A segment without records stays.',
    ],
    example: 'timberline switch -h ./home',
    load: async () => (await import('../commands/log-switch.ts')).switchCommand,
  },
  {
    name: 'printlog',
    summary: 'print the records of the log',
    options: [
      homeOption,
      lsnOption({ letter: 'b', name: 'begin', help: 'from this LSN on' }),
      lsnOption({ letter: 'e', name: 'end', help: 'through this LSN' }),
      { letter: 'r', name: 'reverse', help: 'newest first' },
      { name: 'since', value: 'TIME', help: 'committed at this instant or later', parse: parseInstant },
      { name: 'until', value: 'TIME', help: 'committed before this instant', parse: parseInstant },
      {
        name: 'key',
        value: 'PREFIX',
        help: 'only transactions, and of them operations, with such a key; 0x… for bytes',
      },
      {
        name: 'meta',
        value: 'PATH[=VALUE]',
        help: 'only transactions whose metadata has this',
        repeats: true,
      },
      { name: 'kind', value: 'KIND', help: 'only records of this kind: entry, mark, note' },
      {
        name: 'limit',
        value: 'COUNT',
        help: 'at most so many records',
        parse: wholeNumber('a count', { min: 1 }),
      },
      { name: 'full', help: 'do not shorten long keys and values' },
    ],
    notes: ['Reads beside a running owner. Bytes that are printable text are shown as text, others as 0x….'],
    example: 'timberline printlog -h ./home -b 1000 --key FR/ --meta actor=import-7',
    check: printlogComplaint,
    load: async () => (await import('../commands/printlog.ts')).printlogCommand,
  },
  {
    name: 'stat',
    summary: 'show identity, log, checkpoint, archives, holds and sizes of a home',
    options: [homeOption],
    example: 'timberline stat -h ./home',
    load: async () => (await import('../commands/stat.ts')).statCommand,
  },
  {
    name: 'quiesce',
    summary: 'let commits wait, so that the home can be copied by other means',
    operands: '[command...]',
    options: [
      homeOption,
      {
        name: 'max-seconds',
        value: 'S',
        help: 'commits go on by themselves after so long (60), at most 3600',
        parse: secondsUpTo(3600),
      },
    ],
    notes: [
      'With -- COMMAND: it runs while commits wait, and they go on when it ends, or when this process dies. Exit code 1 when it failed.',
      'Without: they wait until `timberline resume`. Reads go on. All that was acknowledged is durable and applied, and the log is sealed.',
      'Without a snapshot of the disk, copy timberline.json, log and checkpoint: data is rebuilt from them.',
    ],
    example: 'timberline quiesce -h ./home -- lvcreate -s -n snap /dev/vg/home',
    load: async () => (await import('../commands/quiesce.ts')).quiesceCommand,
  },
  {
    name: 'resume',
    summary: 'let commits go on after quiesce',
    options: [
      homeOption,
      {
        name: 'id',
        value: 'ID',
        help: 'end only this one, as quiesce printed it (whichever there is)',
        parse: pauseId,
      },
    ],
    notes: [
      'Ends with ENGINE_QUIESCE_ENDED when it had ended by itself: what was copied meanwhile may not be consistent.',
    ],
    example: 'timberline resume -h ./home',
    load: async () => (await import('../commands/quiesce.ts')).resumeCommand,
  },
  {
    name: 'mark',
    summary: 'write a named restore point into a database, or into several at one instant',
    operands: '<name>',
    options: [
      { ...homeOption, repeats: true, help: 'folder of a database; once for each of several' },
      {
        name: 'max-seconds',
        value: 'S',
        help: 'with several: commits of each wait for so long at most (5)',
        parse: secondsUpTo(3600),
      },
    ],
    notes: [
      'With several, the mark stands in none of them unless all have reached the same instant. `timberline recover --until-mark NAME` takes each there.',
      'A home that nobody has open is opened meanwhile.',
    ],
    example: 'timberline mark month-end -h ./orders -h ./stock',
    load: async () => (await import('../commands/mark.ts')).markCommand,
  },
  {
    name: 'dump',
    summary: 'write the entries of a database as text',
    options: [
      homeOption,
      { letter: 'f', name: 'file', value: 'FILE', help: 'write to this new file (standard output)' },
    ],
    notes: [
      'JSON lines: a head, one entry a line (`k`, `v` as text; `k64`, `v64` as base64 when not printable), and a closing line with count and digest.',
      'The home must not be open elsewhere; dump a recovered backup of one that is.',
    ],
    example: 'timberline dump -h ./home -f entries.jsonl',
    check: (args) =>
      args.flag('json') && !args.has('file')
        ? '--json needs -f: standard output is taken by the dump'
        : undefined,
    load: async () => (await import('../commands/dump.ts')).dumpCommand,
  },
  {
    name: 'load',
    summary: 'put dumped entries into a database',
    options: [
      homeOption,
      { letter: 'f', name: 'file', value: 'FILE', help: 'read this file (standard input)' },
      { name: 'create', help: 'create the home when there is none' },
      { name: 'merge', help: 'load into a home that holds entries, overwriting key by key' },
      {
        name: 'bulk',
        help: 'load beside the log: faster, all or nothing, and a full backup is due afterwards',
      },
    ],
    example: 'timberline load -h ./new-home --create -f entries.jsonl',
    load: async () => (await import('../commands/load.ts')).loadCommand,
  },
  {
    name: 'adopt',
    summary: 'take over a folder that plain level or classic-level wrote, in place',
    options: [
      homeOption,
      {
        name: 'undo',
        help: 'the way back: make the home a plain LevelDB folder again, with all that was committed',
      },
    ],
    notes: ['Nothing is copied. A full backup is due afterwards, because the log begins here.'],
    example: 'timberline adopt -h ./level-folder',
    load: async () => (await import('../commands/adopt.ts')).adoptCommand,
  },
]

function secondsUpTo(most: number): (text: string) => number {
  const parse = positiveNumber('a number of seconds')
  return (text) => {
    const seconds = parse(text)
    if (seconds <= most) return seconds
    throw cliError('CLI_USAGE', `'${text}' is too long: at most ${String(most)} seconds`)
  }
}

function pauseId(text: string): string {
  if (/^[A-Za-z0-9._-]{1,200}$/.test(text)) return text
  throw cliError('CLI_USAGE', `'${text}' is no id that quiesce printed`)
}

const kinds: readonly string[] = ['entry', 'mark', 'note']

function printlogComplaint(args: Arguments): string | undefined {
  const kind = args.text('kind')
  if (kind !== undefined && !kinds.includes(kind)) return `--kind is one of ${kinds.join(', ')}`
  const key = args.text('key')
  if (key?.startsWith('0x') === true && !/^0x([0-9a-f]{2})*$/i.test(key))
    return '--key 0x… needs pairs of hexadecimal digits'
  return undefined
}
