import { TimberLevel } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { Command } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatBytes, formatMs } from '../quantity.ts'

/** `timberline adopt` */
export const adoptCommand: Command = async (args) => {
  const home = args.required('home')
  if (args.flag('undo')) return giveBack(home)
  if ((await nodeFileSystem.status(home)) === undefined) {
    throw cliError('CLI_FILE_MISSING', 'the folder is not there', { details: { path: home } })
  }
  const { identity, tables, bytes, ms } = await TimberLevel.adopt(home)
  return {
    document: { home, ...identity, tables, bytes, ms },
    lines: [
      `${home} is a Timberline home now: ${String(tables)} tables, ${formatBytes(bytes)}, in ${formatMs(ms)}`,
      'a full backup is due: the log begins here, and what was there before is in the data files alone',
      `next: timberline hotbackup -h ${home} -b BACKUP`,
    ],
  }
}

const giveBack = async (home: string): ReturnType<Command> => {
  const { lsn, keptAt, ms } = await TimberLevel.unadopt(home)
  return {
    document: { home, lsn, keptAt, ms },
    lines: [
      `${home} is a plain LevelDB folder again, as of LSN ${String(lsn)}`,
      `log and identity are kept in ${keptAt}`,
    ],
  }
}
