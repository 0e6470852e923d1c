import { join } from 'node:path'
import { readFileWhole, removeIfPresent, writeFileAtomic } from '../files/atomic-file.ts'
import { systemCode, walError } from '../errors.ts'
import type { FileSystem } from '../files/file-system.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { Lsn } from '../records/record.ts'

const NAME = /^confirmed\.([A-Za-z0-9][A-Za-z0-9_-]{0,63})\.json$/
const CONFIRMATION_BYTES_MAX = 64 * 1024

/** What an archive has confirmed to hold. */
export interface ConfirmedPlace {
  /** Every segment up to and including this one; 0 is none. */
  readonly segmentNumber: number
  /** Every record up to this one, by segments and pieces. */
  readonly lsn: Lsn
  readonly timeline: number
}

export interface Confirmation extends ConfirmedPlace {
  /** The archive's name in this log folder. */
  readonly name: string
  readonly confirmedAtMs: number
}

/**
 * Records durably in the log folder what an archive holds, as the ground on which segments may be removed.
 *
 * @throws WAL_INVALID when the name is not 1 to 64 letters, digits, `_` and `-`
 */
// oxlint-disable-next-line max-params -- the file system comes last in all functions over a folder
export async function writeConfirmation(
  directory: string,
  name: string,
  place: ConfirmedPlace,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const { segmentNumber, lsn, timeline } = place
  const content: Confirmation = { name, segmentNumber, lsn, timeline, confirmedAtMs: Date.now() }
  await writeFileAtomic(pathOf(directory, name), Buffer.from(`${JSON.stringify(content)}\n`), fileSystem)
}

/**
 * All confirmations in a log folder, by name.
 *
 * @throws WAL_CONFIRMATION_DAMAGED
 */
export async function readConfirmations(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<readonly Confirmation[]> {
  const confirmations: Confirmation[] = []
  for (const file of await fileSystem.list(directory)) {
    const name = NAME.exec(file)?.[1]
    if (name === undefined) continue
    const confirmation = await readConfirmation(join(directory, file), name, fileSystem)
    if (confirmation !== undefined) confirmations.push(confirmation)
  }
  return confirmations
}

/**
 * What one archive has confirmed; `undefined` when it never did.
 *
 * @throws WAL_CONFIRMATION_DAMAGED; WAL_INVALID when the name is malformed
 */
export async function readConfirmationOf(
  directory: string,
  name: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Confirmation | undefined> {
  return readConfirmation(pathOf(directory, name), name, fileSystem)
}

/** Forgets an archive: from now on nothing waits for it. */
export async function removeConfirmation(
  directory: string,
  name: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  await removeIfPresent(pathOf(directory, name), fileSystem)
  await fileSystem.syncDirectory(directory)
}

function pathOf(directory: string, name: string): string {
  return join(directory, `confirmed.${checkedArchiveName(name)}.json`)
}

/** Passes the name of an archive through. @throws WAL_INVALID when it is not 1 to 64 letters, digits, `_` and `-` */
export function checkedArchiveName(name: string): string {
  if (NAME.test(`confirmed.${name}.json`)) return name
  throw walError('WAL_INVALID', 'the name of an archive is malformed', { details: { name } })
}

async function readConfirmation(
  path: string,
  name: string,
  fileSystem: FileSystem,
): Promise<Confirmation | undefined> {
  try {
    const value: unknown = JSON.parse(
      (await readFileWhole(path, fileSystem, CONFIRMATION_BYTES_MAX)).toString(),
    )
    if (isConfirmation(value) && value.name === name) return value
  } catch (error) {
    // Removed between the listing and the reading.
    if (systemCode(error) === 'ENOENT') return undefined
    if (!(error instanceof SyntaxError)) throw error
  }
  throw walError('WAL_CONFIRMATION_DAMAGED', 'a confirmation cannot be read', { details: { path } })
}

function isConfirmation(value: unknown): value is Confirmation {
  if (typeof value !== 'object' || value === null) return false
  const file = value as Partial<Record<keyof Confirmation, unknown>>
  const numbers = [file.segmentNumber, file.lsn, file.timeline, file.confirmedAtMs]
  return typeof file.name === 'string' && numbers.every((number) => Number.isSafeInteger(number))
}
