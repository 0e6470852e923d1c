// One file of another system into an archive and back. What the exit codes say is as much the work as the bytes: a database that
// archives asks nothing else, and takes "not there" for the end of its log.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename, dirname } from 'node:path'
import { type Archive, checkedName } from '@timberline/archive'
import { newHomeIdentity } from '@timberline/engine'
import { nodeFileSystem, removeIfPresent, TimberlineError } from '@timberline/wal'
import type { Command, Outcome } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatBytes } from '../quantity.ts'
import { archiveFor, existingArchive, isMissing } from './archive-access.ts'

/** `timberline archive push` */
export const archivePushCommand: Command = async (args) => {
  const [path = '', name = basename(path)] = args.operands
  if ((await nodeFileSystem.status(path)) === undefined) {
    throw cliError('CLI_FILE_MISSING', 'the file cannot be read', { details: { path } })
  }
  const archive = await fileArchive(args.required('archive'))
  const { outcome, bytes, sha256, storedBytes } = await archive.putObject(objectName(name), {
    read: () => createReadStream(path),
  })
  return {
    document: { name, outcome, bytes, sha256, storedBytes },
    lines: [
      `${name}: ${formatBytes(bytes)}, ${outcome === 'created' ? `stored in ${formatBytes(storedBytes)}` : 'was there already'}`,
    ],
  }
}

/** `timberline archive get` */
export const archiveGetCommand: Command = async (args, { json, warn }) => {
  const [name = '', path = ''] = args.operands
  const archive = await existingArchive(args.required('archive'))
  try {
    return await getFile(archive, { name, path })
  } catch (error) {
    if (!(error instanceof TimberlineError && error.code === 'ARCHIVE_OBJECT_MISSING')) throw error
    // An answer, not a failure: 1 is what tells it from an archive that is damaged or did not answer.
    if (!json) warn(`${name} is not in the archive`)
    return { document: { name, outcome: 'absent' }, exitCode: 1 }
  }
}

/** An archive of files alone belongs to no database; it gets an identity of its own. */
async function fileArchive(url: string): Promise<Archive> {
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

function objectName(name: string): string {
  return checkedName(`file/${name}`)
}

async function getFile(archive: Archive, { name, path }: Record<'name' | 'path', string>): Promise<Outcome> {
  const content = archive.readObject(objectName(name))
  if ((await nodeFileSystem.status(path)) === undefined) {
    const bytes = await writeStream(path, content)
    return {
      document: { name, outcome: 'created', path, bytes },
      lines: [`${name}: ${formatBytes(bytes)} in ${path}`],
    }
  }
  const archived = await digestOf(content)
  if ((await digestOf(createReadStream(path))).sha256 !== archived.sha256) {
    throw cliError('CLI_FILE_EXISTS', 'the file is there already, with other content', { details: { path } })
  }
  return {
    document: { name, outcome: 'exists-same', path, bytes: archived.bytes },
    lines: [`${name}: ${formatBytes(archived.bytes)}, was in ${path} already`],
  }
}

async function digestOf(content: AsyncIterable<Buffer>): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of content) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** Under its name only when whole and durable: the content is proven by the end of the stream. */
async function writeStream(path: string, content: AsyncIterable<Buffer>): Promise<number> {
  const partial = `${path}.partial-${String(process.pid)}`
  // Of a process that had this number and was killed; no living one has it.
  await removeIfPresent(partial)
  const handle = await nodeFileSystem.open(partial, 'create')
  let position = 0
  try {
    for await (const chunk of content) {
      await handle.write(chunk, position)
      position += chunk.length
    }
    // From here on the bytes survive power loss; the name does after the folder's sync.
    await handle.sync()
  } catch (error) {
    await nodeFileSystem.remove(partial)
    throw error
  } finally {
    await handle.close()
  }
  await nodeFileSystem.rename(partial, path)
  await nodeFileSystem.syncDirectory(dirname(path))
  return position
}
