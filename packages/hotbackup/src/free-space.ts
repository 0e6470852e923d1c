import { statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { systemCodeOf } from './errors.ts'

/** Bytes that may still be written where a path lies, or will lie: its last names may not exist yet. */
export async function freeSpace(path: string): Promise<number> {
  let existing = resolve(path)
  for (;;) {
    try {
      const { bavail, bsize } = await statfs(existing)
      return bavail * bsize
    } catch (error) {
      const code = systemCodeOf(error)
      const parent = dirname(existing)
      if ((code !== 'ENOENT' && code !== 'ENOTDIR') || parent === existing) throw error
      existing = parent
    }
  }
}
