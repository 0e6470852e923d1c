import { createReadStream } from 'node:fs'
import { basename, dirname } from 'node:path'
import { checkedName } from '@timberline/archive'
import { newHomeIdentity } from '@timberline/engine'
import { nodeFileSystem } from '@timberline/wal'
import type { Command } from '../command.ts'
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
export const archiveGetCommand: Command = async (args) => {
  const [name = '', path = ''] = args.operands
  const archive = await existingArchive(args.required('archive'))
  if ((await nodeFileSystem.status(path)) !== undefined) {
    throw cliError('CLI_FILE_EXISTS', 'the file is there already', { details: { path } })
  }
  const bytes = await writeStream(path, archive.readObject(objectName(name)))
  return { document: { name, path, bytes }, lines: [`${name}: ${formatBytes(bytes)} in ${path}`] }
}

/** An archive of files alone belongs to no database; it gets an identity of its own. */
async function fileArchive(url: string): ReturnType<typeof existingArchive> {
  try {
    return await existingArchive(url)
  } catch (error) {
    if (!isMissing(error)) throw error
    return (await archiveFor(url, newHomeIdentity())).archive
  }
}

function objectName(name: string): string {
  return checkedName(`file/${name}`)
}

/** Under its name only when whole and durable: the content is proven by the end of the stream. */
async function writeStream(path: string, content: AsyncIterable<Buffer>): Promise<number> {
  const partial = `${path}.partial-${String(process.pid)}`
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
