import { type Archive, createArchive, openArchive, openStore } from '@timberline/archive'
import type { HomeIdentity } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'

/** Opens an existing archive. */
export async function existingArchive(url: string, environmentId?: string): Promise<Archive> {
  return openArchive(openStore(url), environmentId === undefined ? {} : { environmentId })
}

/** Opens the archive of an environment, or creates it where nothing is yet. */
export async function archiveFor(
  url: string,
  identity: Pick<HomeIdentity, 'environmentId'>,
): Promise<{ readonly archive: Archive; readonly isNew: boolean }> {
  const { environmentId } = identity
  try {
    return { archive: await existingArchive(url, environmentId), isNew: false }
  } catch (error) {
    if (!isMissing(error)) throw error
    return { archive: await createArchive(openStore(url), { environmentId }), isNew: true }
  }
}

/** Whether an error says that nothing is archived at the address. */
export function isMissing(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'ARCHIVE_MISSING'
}
