/** A real file system of a known size, in memory, which a test fills to the last page or the last inode and frees again. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const PAGE_BYTES = 4096
const REMOUNT_TRIES_MAX = 1000
const BALLAST = 'ballast'

/** What a disk is out of. */
export type Shortage = 'space' | 'inodes'

/** Whether this process may mount. */
export const canMount: boolean = process.getuid?.() === 0

export class SmallDisk {
  readonly path: string
  #isMounted = false

  private constructor(path: string) {
    this.path = path
  }

  /** Mounts it at this path, which is made if it is missing. */
  static mount(path: string, size: { readonly bytes: number; readonly inodes: number }): SmallDisk {
    mkdirSync(path, { recursive: true })
    const options = `size=${String(size.bytes)},nr_inodes=${String(size.inodes)}`
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path])
    const disk = new SmallDisk(path)
    disk.#isMounted = true
    return disk
  }

  /** Leaves so many pages, or inodes, and no more. */
  fill(shortage: Shortage, left: number): void {
    const ballast = join(this.path, BALLAST)
    mkdirSync(ballast)
    if (shortage === 'inodes') {
      const free = statfsSync(this.path).ffree - left
      for (let index = 0; index < free; index += 1) writeFileSync(join(ballast, String(index)), '')
      return
    }
    const file = openSync(join(ballast, 'pages'), 'w')
    const page = Buffer.alloc(PAGE_BYTES, 1)
    while (statfsSync(this.path).bavail > left) writeSync(file, page)
    closeSync(file)
  }

  /** What {@link fill} took. */
  free(): void {
    rmSync(join(this.path, BALLAST), { recursive: true, force: true })
  }

  /** Waits until nobody has a file open for writing, where it is to become read-only. */
  async remount(mode: 'ro' | 'rw'): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        execFileSync('mount', ['-o', `remount,${mode}`, this.path], { stdio: 'pipe' })
        return
      } catch (error) {
        if (tries === REMOUNT_TRIES_MAX) throw error
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  }

  /** Throws when a file is still open; it is gone for others all the same. */
  unmount(): void {
    if (!this.#isMounted) return
    this.#isMounted = false
    try {
      execFileSync('umount', [this.path])
    } catch (error) {
      execFileSync('umount', ['--lazy', this.path])
      throw error
    }
  }
}
