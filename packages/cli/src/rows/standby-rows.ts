import { wholeNumber } from '../arguments.ts'
import type { CommandRow } from '../command.ts'
import { archiveNameOption } from './shipping-rows.ts'
import { archiveOption, homeOption, identityOption } from './shared-options.ts'

const standbyOption = {
  ...homeOption,
  help: 'folder of the standby: new, empty, or one that was a standby before',
}

/** A second database that is ready before it is needed. */
export const standbyRows: readonly CommandRow[] = [
  {
    name: 'standby',
    summary: 'keep a copy of the database up to date from an archive, until stopped',
    options: [
      standbyOption,
      archiveOption,
      identityOption,
      { name: 'once', help: 'catch up with what is archived now, then end' },
      {
        name: 'interval-ms',
        value: 'MS',
        help: 'pause between two looks at the archive (1000)',
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
        help: 'begin anew with the newest backup, such as after a bulk load; what is there stays until that is whole',
      },
      {
        name: 'rejoin',
        help: 'the folder is a home of the same environment, such as a former primary: keep it aside, and begin a standby',
      },
    ],
    notes: [
      'Begins with the newest backup in the archive, then applies the log as it comes. Stopped at any point, it goes on from there.',
      'One line for each step: LSN, commit time, and how old the archive’s state was when all of it was in.',
    ],
    example: 'timberline standby -h ./standby -a /backups/app',
    load: async () => (await import('../commands/standby.ts')).standbyCommand,
  },
  {
    name: 'promote',
    summary: 'make a standby the database, on a new timeline, and refuse the old primary',
    options: [
      { ...homeOption, help: 'folder of the standby; a process that runs it is asked to let go, and ends' },
      archiveOption,
      archiveNameOption,
      identityOption,
    ],
    notes: [
      'Takes the archive from the old primary’s shipper, applies all that is archived, ends the timeline, begins the next one. Run again after a crash, it goes on.',
      'The new home archives on: no `timberline archive init` is needed, unlike after `timberline recover`.',
    ],
    example: 'timberline promote -h ./standby -a /backups/app',
    load: async () => (await import('../commands/promote.ts')).promoteCommand,
  },
]
