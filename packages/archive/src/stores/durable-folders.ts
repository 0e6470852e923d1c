import { dirname } from 'node:path'
import type { FileSystem } from '@timberline/wal'

/** Folders that exist durably: each was made and its name synced, by this object, since the process began. */
export class DurableFolders {
  readonly #fileSystem: FileSystem
  readonly #known = new Map<string, Promise<void>>()

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem
  }

  /** Makes an absolute path's folders, from the top down, and syncs each name that may be new. */
  ensure(path: string): Promise<void> {
    const known = this.#known.get(path)
    if (known !== undefined) return known
    const made = this.#make(path)
    this.#known.set(path, made)
    // What failed is tried again by the next caller.
    made.catch(() => this.#known.delete(path))
    return made
  }

  async #make(path: string): Promise<void> {
    const parent = dirname(path)
    if (parent === path) return
    await this.ensure(parent)
    if ((await this.#fileSystem.status(path)) === undefined) await this.#makeIn(parent, path)
    try {
      // Even a folder that was there may have been made just before a crash: its name is durable from here on.
      await this.#fileSystem.syncDirectory(parent)
    } catch (error) {
      if (!isNoPermission(error)) throw error
    }
  }

  /** A parent that was there and is gone may be an unmounted disk: nothing is made in its place. */
  async #makeIn(parent: string, path: string): Promise<void> {
    if ((await this.#fileSystem.status(parent)) === undefined) {
      throw Object.assign(new Error(`the folder ${parent} has disappeared`), { code: 'ENOENT', path })
    }
    await this.#fileSystem.makeDirectory(path)
  }
}

/** A parent that may be passed but not read, such as another user's home, cannot be synced; the folder was not made by us. */
function isNoPermission(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EPERM')
}
