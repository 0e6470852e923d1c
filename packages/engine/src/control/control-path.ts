import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'

/** The kernel's limit for the path of a Unix socket, without its final zero: 107 on Linux, 103 on macOS. */
const PATH_BYTES_MAX = process.platform === 'linux' ? 107 : 103

/**
 * Lends a path under which a socket can be bound or reached, whatever the length of its own: a home may lie deeper than
 * the kernel's limit allows, so a short symbolic link to its folder stands in.
 */
export async function withSocketPath<Result>(
  path: string,
  use: (shortPath: string) => Promise<Result>,
): Promise<Result> {
  const whole = resolve(path)
  if (Buffer.byteLength(whole) <= PATH_BYTES_MAX) return use(whole)
  const folder = await mkdtemp(join(tmpdir(), 'tl-'))
  try {
    const link = join(folder, 'h')
    await symlink(dirname(whole), link)
    return await use(join(link, whole.slice(dirname(whole).length + 1)))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
