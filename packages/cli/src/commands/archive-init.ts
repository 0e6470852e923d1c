import { holdLogFor } from '@timberline/archive'
import { homeLayout, readHomeIdentity, writeHomeIdentity } from '@timberline/engine'
import { archiveNameOf } from '../archive-targets.ts'
import type { Command } from '../command.ts'
import { archiveFor } from '../archive-access.ts'

/** `timberline archive init` */
export const archiveInitCommand: Command = async (args) => {
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  const { archive, isNew } = await archiveFor(args.required('archive'), identity)
  const name = archiveNameOf(args)
  await holdLogFor({ logDirectory: homeLayout(home).logDirectory, name, timeline: identity.timeline })
  const wasOff = identity.archiving === false
  if (wasOff) await writeHomeIdentity(home, { ...identity, archiving: true })
  const { environmentId, timeline } = identity
  const { url } = archive.store
  const hasBase = (await archive.catalogue()).backups.some((backup) => backup.timeline === timeline)
  return {
    document: {
      archive: url,
      name,
      created: isNew,
      archivingTurnedOn: wasOff,
      baseBackupDue: !hasBase,
      environmentId,
      timeline,
    },
    lines: [
      `${isNew ? 'created' : 'found'} the archive of environment ${environmentId} at ${url}`,
      `the home keeps its log from now on until archive '${name}' has it`,
      ...(wasOff ? [`this home archives from now on, as timeline ${String(timeline)}`] : []),
      `next: timberline archive run -h ${home} -a ${args.required('archive')}`,
      // Log that went before archiving was on is in no archive: without a base of this timeline, nothing leads across.
      ...(hasBase ? [] : [`and:  timberline hotbackup -h ${home} -a ${args.required('archive')}`]),
    ],
  }
}
