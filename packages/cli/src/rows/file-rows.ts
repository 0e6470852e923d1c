import { basename } from 'node:path'
import { type Arguments, type OptionRow, positiveNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { archiveOption, identityOption } from './shared-options.ts'

const pushAheadOptions: readonly OptionRow[] = [
  { name: 'async', help: 'begin a worker that archives the files that wait beside this one, ahead of time' },
  {
    name: 'spool',
    value: 'DIR',
    help: 'folder for what the worker has to tell, of this archive alone (with --async)',
  },
  {
    name: 'wait-seconds',
    value: 'S',
    help: 'wait at most so long for the worker, then archive the file here (60)',
    parse: positiveNumber('a number of seconds'),
  },
]

/** Files of other systems in an archive: their exit codes are what such a system goes by. */
export const fileRows: readonly CommandRow[] = [
  {
    name: 'archive push',
    summary: 'put one file into an archive, for use as another system’s archive_command',
    operands: '<file> [name]',
    options: [archiveOption, ...pushAheadOptions],
    notes: [
      'The same content twice is fine, other content under the same name is refused. The archive is created when there is none.',
      'With --async too, success means that this file is in the archive. Files wait when FILE’s folder has archive_status/NAME.ready.',
    ],
    example: 'timberline archive push -a /backups/pg %p %f',
    check: pushComplaint,
    load: async () => (await import('../commands/archive-push.ts')).archivePushCommand,
  },
  {
    name: 'archive get',
    summary: 'get a pushed file back, for use as another system’s restore_command',
    operands: '<name> <file>',
    options: [archiveOption, identityOption],
    notes: [
      'The file appears whole or not at all. When it is there already, the same content is fine and other content refused.',
      'Exit code 1 says that the archive has no such file, and nothing else does.',
    ],
    example: 'timberline archive get -a /backups/pg %f %p',
    load: async () => (await import('../commands/archive-get.ts')).archiveGetCommand,
  },
]

function pushComplaint(args: Arguments): string | undefined {
  const isAsync = args.flag('async')
  if (isAsync !== args.has('spool')) return '--async and --spool go together'
  if (args.has('wait-seconds') && !isAsync) return '--wait-seconds goes with --async'
  const [path = '', name = basename(path)] = args.operands
  // The worker knows the files that wait by their names alone.
  return isAsync && name !== basename(path) ? 'with --async a file keeps its name' : undefined
}
