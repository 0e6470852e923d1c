// Files in memory for decoders that read from a file system, and byte sources that count what is read of them.
import { dirname } from 'node:path'
import type { ByteSource, FileSystem } from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'

/** A file system that holds exactly these files. */
export async function filesInMemory(files: Readonly<Record<string, Uint8Array>>): Promise<FileSystem> {
  const disk = new CrashFileSystem()
  for (const [path, content] of Object.entries(files)) {
    await disk.makeDirectory(dirname(path))
    const handle = await disk.open(path, 'create')
    await handle.write(content, 0)
    await handle.close()
  }
  return disk
}

/** What may be read of a source: a few passes over it, whatever stands in it. */
const PASSES_MAX = 16
const SPARE_BYTES = 64 * 1024

/** The bytes as a source; reading them over and over is an error without a code, and so a finding. */
export function countedSource(content: Buffer): ByteSource & { readonly path: string } {
  let left = SPARE_BYTES + PASSES_MAX * content.length
  return {
    bytes: content.length,
    path: 'memory',
    read: (target, position) => {
      const part = content.subarray(position, position + target.length)
      left -= part.length + 1
      if (left < 0) throw new Error('the same bytes are read again and again')
      target.set(part)
      return Promise.resolve(part.length)
    },
  }
}
