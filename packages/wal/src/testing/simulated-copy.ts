import { readFully } from '../files/byte-source.ts'
import type { FileSystem } from '../files/file-system.ts'

/**
 * `copyFile` of a simulated disk, by its own reads and writes, so that the copy has the fates of any unsynced write. As the system does,
 * it leaves nothing behind when it fails.
 */
export async function copyByBytes(from: string, to: string, fileSystem: FileSystem): Promise<void> {
  const source = await fileSystem.open(from, 'read')
  try {
    const target = await fileSystem.open(to, 'create')
    try {
      const content = Buffer.alloc((await source.status()).bytes)
      await readFully(source, content, 0)
      await target.write(content, 0)
    } catch (error) {
      await fileSystem.remove(to)
      throw error
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}
