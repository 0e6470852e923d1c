/*
 * Gives the tests a folder in memory for what they write, where the system has one with room. Thousands of them sync, and each
 * sync of a real disk is waiting that proves nothing: that it truly reached the disk only a power loss could show. What syncs
 * promise is tried on the simulated disk, and on real file systems by the tests with servers.
 */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'

const MEMORY = '/dev/shm'
/** Several times of what all tests at once were seen to hold. */
const FREE_BYTES_MIN = 2 * 1024 ** 3

let folder: string | undefined

/** Before the first worker begins, which inherits the variable. */
export function setup(): void {
  // Whoever names a place gets it, and so does the second of two projects in one run.
  if (process.env['TMPDIR'] !== undefined || freeBytes() < FREE_BYTES_MIN) return
  folder = mkdtempSync(join(MEMORY, 'timberline-tests-'))
  process.env['TMPDIR'] = folder
}

/** After the last worker has ended. */
export function teardown(): void {
  if (folder === undefined) return
  delete process.env['TMPDIR']
  rmSync(folder, { recursive: true, force: true })
}

function freeBytes(): number {
  try {
    const { bavail, bsize } = statfsSync(MEMORY)
    return bavail * bsize
  } catch {
    // Not on this system.
    return 0
  }
}
