/** Folders for thousands of short lives: in memory where the system has such a place, gone when the test file ends. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class ScratchDisk {
  readonly folder: string
  #count = 0

  constructor(name: string) {
    this.folder = madeIn('/dev/shm', name) ?? mkdtempSync(join(tmpdir(), name))
  }

  /** A new empty folder. */
  make(): string {
    this.#count += 1
    const folder = join(this.folder, String(this.#count))
    mkdirSync(folder)
    return folder
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function madeIn(place: string, name: string): string | undefined {
  try {
    return mkdtempSync(join(place, name))
  } catch {
    // No such place on this system: the ordinary one is slower and proves the same.
    return undefined
  }
}
