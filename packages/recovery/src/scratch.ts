import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'

/** A folder for a proof, and the way to be rid of it. */
export interface Scratch {
  /** The home to recover into: new. */
  readonly home: string
  remove(): Promise<void>
}

/** Makes a folder of its own below `parent` (default: the system's temporary folder). Only this folder is ever removed. */
export async function makeScratch(parent: string = tmpdir()): Promise<Scratch> {
  await nodeFileSystem.makeDirectory(parent)
  const folder = await mkdtemp(join(parent, 'timberline-scratch-'))
  return { home: join(folder, 'home'), remove: () => nodeFileSystem.removeTree(folder) }
}
