import { readHomeIdentity, writeHomeIdentity } from '@timberline/engine'
import type { Command } from '../command.ts'
import { archiveFor } from './archive-access.ts'

/** `timberline archive init` */
export const archiveInitCommand: Command = async (args) => {
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  const { archive, isNew } = await archiveFor(args.required('archive'), identity)
  const wasOff = identity.archiving === false
  if (wasOff) await writeHomeIdentity(home, { ...identity, archiving: true })
  const { environmentId, timeline } = identity
  const document = {
    archive: archive.store.url,
    created: isNew,
    archivingTurnedOn: wasOff,
    environmentId,
    timeline,
  }
  return {
    document,
    lines: [
      `${isNew ? 'created' : 'found'} the archive of environment ${environmentId} at ${archive.store.url}`,
      ...(wasOff ? [`this home archives from now on, as timeline ${String(timeline)}`] : []),
      `next: timberline archive run -h ${home} -a ${args.required('archive')}`,
    ],
  }
}
