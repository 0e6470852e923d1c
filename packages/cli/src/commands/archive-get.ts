// A file of another system out of an archive. What the exit codes say is as much the work as the bytes: a database that recovers asks
// nothing else, and takes "not there" for the end of its log.
import { dirname } from 'node:path'
import type { Archive } from '@timberline/archive'
import { nodeFileSystem, removeIfPresent, TimberlineError } from '@timberline/wal'
import type { Command, Outcome } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatBytes } from '../quantity.ts'
import { readableArchive } from '../archive-access.ts'
import { fileObjectName } from '../file-archive.ts'
import { digestOf, fileDigest } from '../source-file.ts'

/** `timberline archive get` */
export const archiveGetCommand: Command = async (args, { json, warn }) => {
  const [name = '', path = ''] = args.operands
  const archive = await readableArchive(args.required('archive'), args)
  try {
    return await getFile(archive, { name, path })
  } catch (error) {
    if (!(error instanceof TimberlineError && error.code === 'ARCHIVE_OBJECT_MISSING')) throw error
    // An answer, not a failure: 1 is what tells it from an archive that is damaged or did not answer.
    if (!json) warn(`${name} is not in the archive`)
    return { document: { name, outcome: 'absent' }, exitCode: 1 }
  }
}

async function getFile(archive: Archive, { name, path }: Record<'name' | 'path', string>): Promise<Outcome> {
  const content = archive.readObject(fileObjectName(name))
  if ((await nodeFileSystem.status(path)) === undefined) {
    const bytes = await writeStream(path, content)
    return {
      document: { name, outcome: 'created', path, bytes },
      lines: [`${name}: ${formatBytes(bytes)} in ${path}`],
    }
  }
  const archived = await digestOf(content)
  if ((await fileDigest(path)).sha256 !== archived.sha256) {
    throw cliError('CLI_FILE_EXISTS', 'the file is there already, with other content', { details: { path } })
  }
  return {
    document: { name, outcome: 'exists-same', path, bytes: archived.bytes },
    lines: [`${name}: ${formatBytes(archived.bytes)}, was in ${path} already`],
  }
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
