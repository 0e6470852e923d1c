import { TimberLevel } from '@timberline/engine'
import type { Command } from '../command.ts'

/** `timberline adopt` */
export const adoptCommand: Command = async (args) => {
  const home = args.required('home')
  const identity = await TimberLevel.adopt(home)
  return {
    document: { home, ...identity },
    lines: [
      `${home} is a Timberline home now`,
      'a full backup is due: the log begins here, and what was there before is in the data files alone',
      `next: timberline hotbackup -h ${home} -b BACKUP`,
    ],
  }
}
