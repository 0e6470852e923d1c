import { stat, statfs } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { systemCodeOf } from './errors.ts'

/** Bytes that may still be written where a path lies, or will lie: its last names may not exist yet. */
export async function freeSpace(path: string): Promise<number> {
  const { bavail, bsize } = await atNearest(path, (existing) => statfs(existing))
  return bavail * bsize
}

/** The device of a folder that is there, and the bytes that may still be written on it. */
export async function roomIn(directory: string): Promise<{ device: number; freeBytes: number }> {
  const { dev } = await stat(directory)
  return { device: dev, freeBytes: await freeSpace(directory) }
}

/** Whether two paths lie, or will lie, where a file of one can have a second name in the other. */
export async function isOneFileSystem(a: string, b: string): Promise<boolean> {
  const [one, other] = await Promise.all([a, b].map((path) => atNearest(path, (existing) => stat(existing))))
  return one?.dev === other?.dev
}

/** Asks of a path, or of the nearest folder above it that exists. */
async function atNearest<Answer>(path: string, ask: (existing: string) => Promise<Answer>): Promise<Answer> {
  let existing = resolve(path)
  for (;;) {
    try {
      return await ask(existing)
    } catch (error) {
      const code = systemCodeOf(error)
      const parent = dirname(existing)
      if ((code !== 'ENOENT' && code !== 'ENOTDIR') || parent === existing) throw error
      existing = parent
    }
  }
}
