// A file on its way into an archive. Nothing here loads the archive: a call that finds its file archived already must be quick.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { nodeFileSystem } from '@timberline/wal'
import { cliError } from './errors.ts'

/** Length and checksum of content. */
export interface ContentDigest {
  readonly bytes: number
  readonly sha256: string
}

/** @throws CLI_FILE_MISSING */
export async function requireFile(path: string): Promise<void> {
  if ((await nodeFileSystem.status(path)) !== undefined) return
  throw cliError('CLI_FILE_MISSING', 'the file cannot be read', { details: { path } })
}

/** Reads content through. */
export async function digestOf(content: AsyncIterable<Buffer>): Promise<ContentDigest> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of content) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return { bytes, sha256: hash.digest('hex') }
}

/** The same for a file. */
export function fileDigest(path: string): Promise<ContentDigest> {
  return digestOf(createReadStream(path))
}
