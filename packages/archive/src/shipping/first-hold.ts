// An archive that has confirmed nothing yet holds nothing. With a confirmation of nothing, no log goes before its first shipper ran.
import {
  type ConfirmedPlace,
  type FileSystem,
  readConfirmations,
  removeConfirmation,
  writeConfirmation,
} from '@timberline/wal'

/** For whom a log folder is to keep its segments. */
export interface LogClaim {
  readonly logDirectory: string
  /** What the home calls the archive. */
  readonly name: string
  readonly timeline: number
  readonly fileSystem?: FileSystem | undefined
}

/**
 * Keeps the log of a timeline from now on until the named archive has it; resolves with what that has confirmed so far, and whether
 * the home had never heard of it. @throws WAL_INVALID, WAL_CONFIRMATION_DAMAGED
 */
export async function holdLogFor(
  claim: LogClaim,
): Promise<{ readonly confirmed: ConfirmedPlace; readonly isNew: boolean }> {
  const { logDirectory, name, timeline, fileSystem } = claim
  const known = await confirmationOf(claim)
  if (known?.timeline === timeline) return { confirmed: known, isNew: false }
  const confirmed = { segmentNumber: 0, lsn: 0, timeline }
  await writeConfirmation(logDirectory, name, confirmed, fileSystem)
  return { confirmed, isNew: known === undefined }
}

/** Takes a hold back that was just placed, unless the archive has confirmed something since. */
export async function withdrawHold(claim: LogClaim): Promise<void> {
  const { logDirectory, name, fileSystem } = claim
  const known = await confirmationOf(claim)
  if (known?.lsn === 0 && known.segmentNumber === 0) await removeConfirmation(logDirectory, name, fileSystem)
}

async function confirmationOf({ logDirectory, name, fileSystem }: LogClaim) {
  return (await readConfirmations(logDirectory, fileSystem)).find((one) => one.name === name)
}
