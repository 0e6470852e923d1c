// Files of other systems as objects of an archive; `archive push`, `archive get` and the worker of a spool share it.
import { createReadStream } from 'node:fs'
import { type Archive, checkedName, type PutObjectResult } from '@timberline/archive'
import { newHomeIdentity } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { archiveFor, existingArchive, isMissing } from './archive-access.ts'
import { requireFile } from './source-file.ts'

/** Opens an archive for files, or makes it: it belongs to no database and gets an identity of its own. */
export async function fileArchive(url: string): Promise<Archive> {
  try {
    return await existingArchive(url)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  try {
    return (await archiveFor(url, newHomeIdentity())).archive
  } catch (error) {
    // Another push made it in the same moment, with another identity: that one counts.
    if (!(error instanceof TimberlineError && error.code === 'ARCHIVE_FOREIGN_ENVIRONMENT')) throw error
    return existingArchive(url)
  }
}

/** The object that holds the file of this name. @throws ARCHIVE_NAME_INVALID */
export function fileObjectName(name: string): string {
  return checkedName(`file/${name}`)
}

/** Puts a file into an archive; it is there, durably and read back, when this resolves. @throws CLI_FILE_MISSING */
export async function pushFile(
  archive: Archive,
  { name, path }: Readonly<Record<'name' | 'path', string>>,
): Promise<PutObjectResult> {
  await requireFile(path)
  return archive.putObject(fileObjectName(name), { read: () => createReadStream(path) })
}
