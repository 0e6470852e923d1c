import { type Arguments, wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { parseBerkeleyInstant, parseInstant } from '../instant.ts'
import { oneOf } from './backup-rows.ts'
import {
  archiveIfAnyOption,
  archiveOption,
  homeIfAnyOption,
  homeOption,
  identityOption,
  lsnOption,
} from './shared-options.ts'

const instants = [
  'Times are ISO 8601 with a zone, to the microsecond. Berkeley DB’s form for -t is read as UTC. Output is always UTC.',
]

/** Getting a database back, and proving beforehand that it can be had. */
export const recoveryRows: readonly CommandRow[] = [
  {
    name: 'recover',
    summary: 'recover a home after a crash, or make one from an archive or a backup',
    options: [
      homeOption,
      {
        name: 'from',
        value: 'SOURCE',
        help: 'an archive or a backup folder; HOME must then be new or empty',
      },
      {
        name: 'from-volumes',
        value: 'PREFIX',
        help: 'volumes PREFIX1.bp, PREFIX2.bp, … in place of --from',
      },
      { name: 'dirs', value: 'A,B,C', help: 'the folders that hold the volumes (the present one)' },
      identityOption,
      lsnOption({ name: 'until-lsn', help: 'recover to this log sequence number' }),
      { name: 'until-time', value: 'TIME', help: 'recover to this instant', parse: parseInstant },
      { name: 'until-mark', value: 'NAME', help: 'recover to this named restore point' },
      { name: 'before', help: 'the named record is the first one left out' },
      { name: 'through', help: 'the named record is the last one kept' },
      {
        letter: 't',
        name: 'time',
        value: 'TIME',
        help: '[[CC]YY]MMDDhhmm[.SS] or ISO 8601: --until-time TIME --through',
        parse: parseBerkeleyInstant,
      },
      {
        name: 'timeline',
        value: 'N',
        help: 'follow this timeline (the newest)',
        parse: wholeNumber('a timeline', { min: 1 }),
      },
      { name: 'plan', help: 'only tell what would be done' },
      { name: 'no-digest', help: 'leave out the comparison of digests' },
      { name: 'no-deltas', help: 'replay every record, also where the archive has compacted deltas' },
      {
        letter: 'c',
        name: 'catastrophic',
        help: 'without --from: rebuild the data files from checkpoint and log',
      },
      {
        letter: 'e',
        name: 'retain',
        help: 'accepted: a home has no region files that recovery would remove',
      },
      { letter: 'f', name: 'feedback', help: 'show progress also where standard error is no terminal' },
    ],
    notes: [
      ...instants,
      'A target needs --before or --through. No target means the latest commit; a target that cannot be reached is refused, never replaced.',
      'A recovered home begins a new timeline and does not archive until `timberline archive init` tells it to.',
    ],
    example: 'timberline recover --from /backups/app -h ./home --until-time 2026-11-24T18:30:00Z --before',
    check: recoverComplaint,
    load: async () => (await import('../commands/recover.ts')).recoverCommand,
  },
  {
    name: 'history',
    summary: 'show every transaction that changed a key, with the value before and after',
    options: [
      { ...homeIfAnyOption, help: 'folder of the database: as far back as its log reaches' },
      archiveIfAnyOption,
      identityOption,
      { letter: 'k', name: 'key', value: 'KEY', help: 'the whole key; 0x… for bytes', isRequired: true },
      {
        name: 'timeline',
        value: 'N',
        help: 'with -a: follow this timeline (the newest)',
        parse: wholeNumber('a timeline', { min: 1 }),
      },
      { name: 'full', help: 'do not shorten long values' },
    ],
    notes: [
      'Oldest first. The value before a change is known from the change before it; where log is missing, it is unknown, and that is said.',
      '`timberline recover --until-lsn LSN --before` gives back the state just before one of them.',
    ],
    example: 'timberline history -a /backups/app -k FR/75056',
    check: historyComplaint,
    load: async () => (await import('../commands/history.ts')).historyCommand,
  },
  {
    name: 'timeline',
    summary: 'show the tree of timelines in an archive, and what is held of each',
    options: [archiveOption],
    notes: [
      'Each recovery begins a timeline; the one that it left stays. `timberline recover --timeline N` follows any of them.',
    ],
    example: 'timberline timeline -a /backups/app',
    load: async () => (await import('../commands/timeline.ts')).timelineCommand,
  },
  {
    name: 'drill',
    summary: 'recover the newest archived state in a scratch folder, and report what it took',
    options: [
      archiveOption,
      identityOption,
      { ...homeIfAnyOption, help: 'the live home: measure the recovery point against it, not by the clock' },
      { name: 'scratch', value: 'DIR', help: 'where to recover (a temporary folder)' },
      { name: 'check', value: 'COMMAND', help: 'run this with TIMBERLINE_HOME set; it must exit with 0' },
      { name: 'keep', help: 'leave the recovered home where it is' },
    ],
    notes: ['Reports the measured recovery time and recovery point. Exit code 1 when the drill failed.'],
    example: 'timberline drill -a /backups/app',
    load: async () => (await import('../commands/drill.ts')).drillCommand,
  },
  {
    name: 'bisect',
    summary: 'find the first transaction after which a check of yours no longer passes',
    options: [
      archiveOption,
      identityOption,
      { ...lsnOption({ name: 'good', help: 'the state through this record passes' }), isRequired: true },
      lsnOption({ name: 'bad', help: 'the state through this record does not (the latest)' }),
      {
        name: 'check',
        value: 'COMMAND',
        help: 'run with TIMBERLINE_HOME set; exit code 0 is good, another one bad',
        isRequired: true,
      },
      { name: 'scratch', value: 'DIR', help: 'where to recover (a temporary folder)' },
      {
        name: 'timeline',
        value: 'N',
        help: 'follow this timeline (the newest)',
        parse: wholeNumber('a timeline', { min: 1 }),
      },
    ],
    notes: [
      'Recovers both ends and then the middle of what is left, one state at a time: 20 recoveries for a million transactions.',
      'Nothing is written to the archive. A check that cannot be run (exit code 126 or 127) or is killed ends the search.',
    ],
    example: 'timberline bisect -a /backups/app --good 1000 --check ./audit.sh',
    load: async () => (await import('../commands/bisect.ts')).bisectCommand,
  },
]

function historyComplaint(args: Arguments): string | undefined {
  if (args.has('timeline') && !args.has('archive')) return '--timeline goes with -a'
  const key = args.text('key')
  if (key?.startsWith('0x') === true && !/^0x([0-9a-f]{2})*$/i.test(key))
    return '--key 0x… needs pairs of hexadecimal digits'
  return oneOf(args, ['home', 'archive'])
}

const targets = ['until-lsn', 'until-time', 'until-mark', 'time'] as const

function recoverComplaint(args: Arguments): string | undefined {
  const given = targets.filter((name) => args.has(name))
  const edges = ['before', 'through'].filter((name) => args.flag(name))
  if (given.length > 1) return `only one target: --${given.join(' or --')}`
  if (edges.length > 1) return 'only one of --before and --through'
  if (args.has('from') && args.has('from-volumes')) return 'only one of --from and --from-volumes'
  if (args.has('dirs') && !args.has('from-volumes')) return '--dirs needs --from-volumes'
  if (!args.has('from') && !args.has('from-volumes')) {
    const needing = [
      ...given,
      ...(args.has('timeline') ? ['timeline'] : []),
      ...['plan', 'no-deltas'].filter((name) => args.flag(name)),
    ]
    return needing[0] === undefined ? undefined : `--${needing[0]} needs --from: an archive or a backup`
  }
  if (args.flag('catastrophic'))
    return '-c is for a home in place; with --from, recovery is catastrophic anyway'
  if (given.length === 0 && edges.length > 0) return `--${edges.join()} needs a target`
  if (given.length > 0 && given[0] !== 'time' && edges.length === 0) {
    return `--${String(given[0])} needs --before or --through: is the named record kept?`
  }
  if (given[0] === 'time' && args.flag('before')) return '-t keeps the instant; for --before use --until-time'
  return undefined
}
