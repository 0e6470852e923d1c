import { type Archive, type ArchiveStore, createArchive, openArchive, openStore } from '@timberline/archive'
import type { HomeIdentity } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { keysFrom } from './archive-keys.ts'
import type { Arguments } from './arguments.ts'

/** Opens an existing archive, with the keys of the environment. */
export async function existingArchive(url: string, environmentId?: string): Promise<Archive> {
  return openArchive(openStore(url), { environmentId, ...(await keysFrom()) })
}

/** Opens an existing archive whose contents are read: the keys may be named on the command line. */
export async function readableArchive(
  url: string,
  args: Arguments,
  environmentId?: string,
): Promise<Archive> {
  return openArchive(openStore(url), { environmentId, ...(await keysFrom(args)) })
}

/** The archive that a command names, if it names one. */
export async function readableArchiveIfAny(args: Arguments): Promise<Archive | undefined> {
  const url = args.text('archive')
  return url === undefined ? undefined : readableArchive(url, args)
}

/** Opens the archive of an environment, or creates it where nothing is yet. */
export async function archiveFor(
  url: string,
  identity: Pick<HomeIdentity, 'environmentId'>,
): Promise<{ readonly archive: Archive; readonly isNew: boolean }> {
  return archiveIn(openStore(url), identity)
}

/** The same, in a store that is open. */
export async function archiveIn(
  store: ArchiveStore,
  { environmentId }: Pick<HomeIdentity, 'environmentId'>,
): Promise<{ readonly archive: Archive; readonly isNew: boolean }> {
  const options = { environmentId, ...(await keysFrom()) }
  try {
    return { archive: await openArchive(store, options), isNew: false }
  } catch (error) {
    if (!isMissing(error)) throw error
    return { archive: await createArchive(store, options), isNew: true }
  }
}

/** Whether an error says that nothing is archived at the address. */
export function isMissing(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'ARCHIVE_MISSING'
}
