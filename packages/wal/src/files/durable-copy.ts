import { createHash } from 'node:crypto'
import { dirname, join } from 'node:path'
import { walError } from '../errors.ts'
import type { FileSystem } from './file-system.ts'
import { nodeFileSystem } from './node-file-system.ts'

const CHUNK_BYTES = 1024 * 1024

/** How to copy. */
export interface CopyOptions {
  readonly fileSystem?: FileSystem | undefined
  readonly signal?: AbortSignal | undefined
  /** Copy only so many bytes; default: the length that the file has at the beginning. */
  readonly bytes?: number | undefined
  /** Called after each chunk, with its length; awaited, so it can limit the rate. */
  readonly onBytes?: ((bytes: number) => void | Promise<void>) | undefined
}

/**
 * Copies a file into a new one, hashing while it copies; the content is durable when it resolves, the name after a sync of the
 * folder (`syncTree`). The length is taken once: a source that grows is cut there, one that shrinks ends the copy early.
 *
 * @throws WAL_ABORTED, and the system's own errors; a half-made target is removed
 */
export async function copyFileDurable(
  from: string,
  to: string,
  options: CopyOptions = {},
): Promise<{ bytes: number; sha256: string }> {
  const { fileSystem = nodeFileSystem } = options
  const source = await fileSystem.open(from, 'read')
  try {
    const wanted = options.bytes ?? (await source.status()).bytes
    const target = await fileSystem.open(to, 'create')
    const hash = createHash('sha256')
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, Math.max(1, wanted)))
    let copied = 0
    try {
      while (copied < wanted) {
        refuseIfAborted(options.signal)
        const read = await source.read(chunk.subarray(0, Math.min(chunk.length, wanted - copied)), copied)
        if (read === 0) break
        const part = chunk.subarray(0, read)
        hash.update(part)
        await target.write(part, copied)
        copied += read
        await options.onBytes?.(read)
      }
      // The copy's content and length are durable.
      await target.sync()
    } catch (error) {
      await target.close()
      await fileSystem.remove(to)
      throw error
    }
    await target.close()
    return { bytes: copied, sha256: hash.digest('hex') }
  } finally {
    await source.close()
  }
}

/** Makes the names in a folder, in all folders below it, and its own name durable. */
export async function syncTree(directory: string, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  for (const name of await fileSystem.list(directory)) {
    const path = join(directory, name)
    if ((await fileSystem.status(path))?.isDirectory === true) await syncTreeBelow(path, fileSystem)
  }
  await fileSystem.syncDirectory(directory)
  // The folder itself is a name in its parent.
  await fileSystem.syncDirectory(dirname(directory))
}

async function syncTreeBelow(directory: string, fileSystem: FileSystem): Promise<void> {
  for (const name of await fileSystem.list(directory)) {
    const path = join(directory, name)
    if ((await fileSystem.status(path))?.isDirectory === true) await syncTreeBelow(path, fileSystem)
  }
  await fileSystem.syncDirectory(directory)
}

function refuseIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw walError('WAL_ABORTED', 'the copy was aborted', { cause: signal.reason })
}
