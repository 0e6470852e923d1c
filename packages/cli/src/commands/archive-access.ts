import { type Archive, createArchive, openArchive, openStore } from '@timberline/archive'
import { type HomeIdentity, homeLayout } from '@timberline/engine'
import { readConfirmations, TimberlineError, writeConfirmation } from '@timberline/wal'
import type { Arguments } from '../arguments.ts'

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

/** What the home calls an archive when the user gave it no name; one archive needs none. */
export function archiveNameOf(args: Arguments): string {
  return args.text('name') ?? 'archive'
}

/** Whether an error says that nothing is archived at the address. */
export function isMissing(error: unknown): boolean {
  return error instanceof TimberlineError && error.code === 'ARCHIVE_MISSING'
}

/** An archive that has confirmed nothing yet holds nothing: with that said, no log goes before its first shipper ran. */
export async function holdLogFor(name: string, home: string, { timeline }: HomeIdentity): Promise<void> {
  const { logDirectory } = homeLayout(home)
  const known = (await readConfirmations(logDirectory)).find((confirmation) => confirmation.name === name)
  if (known?.timeline === timeline) return
  await writeConfirmation(logDirectory, name, { segmentNumber: 0, lsn: 0, timeline })
}
