/**
 * Where trials take place: a disk with what the operation finds, copied for each of them.
 *
 * A crash on the simulated disk loses power: each place after it is one of the states that `CrashFileSystem` allows. A crash over
 * real folders is the death of the process; its marks (holds, temporary files) are made those of a dead process, because in truth
 * this one lives on.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FileSystem } from '@timberline/wal'
import { CrashFileSystem, immediateFileSystem, type CrashPolicy } from '@timberline/wal/testing'

export interface Place {
  readonly fileSystem: FileSystem
  readonly root: string
  copy(): Promise<Place>
  /** What the next start may find after a crash; `seed` chooses where there are more states than can be tried. */
  afterCrash(seed: number, count: number): Promise<readonly Place[]>
  remove(): Promise<void>
}

/** Above what Linux gives out. */
const DEAD_PID = 2 ** 22 + 1

const LIKELY: readonly CrashPolicy[] = [
  { writes: 'lost', names: 'lost' },
  { writes: 'kept', names: 'kept' },
  { writes: 'zeroed', names: 'kept' },
  { writes: 'torn-512', names: 'kept' },
]

/** A simulated disk, empty. */
export function simulatedPlace(model: 'posix' | 'ext4'): Place {
  return new SimulatedPlace(new CrashFileSystem({ model }))
}

class SimulatedPlace implements Place {
  readonly fileSystem: CrashFileSystem
  readonly root = '/place'

  constructor(fileSystem: CrashFileSystem) {
    this.fileSystem = fileSystem
  }

  copy(): Promise<Place> {
    return Promise.resolve(new SimulatedPlace(this.fileSystem.ifCrashed({ writes: 'kept', names: 'kept' })))
  }

  /** The likely extremes in turn, and states drawn at random for the rest. */
  afterCrash(seed: number, count: number): Promise<readonly Place[]> {
    const states = Array.from({ length: count }, (_, index) => {
      const policy = index % 2 === 0 ? LIKELY[(seed + index / 2) % LIKELY.length] : undefined
      return new SimulatedPlace(this.fileSystem.ifCrashed({ ...policy, seed: seed * 31 + index }))
    })
    return Promise.resolve(states)
  }

  remove(): Promise<void> {
    return Promise.resolve()
  }
}

/**
 * Real folders, in memory where the system has such, below one folder that the caller removes. All is done on the calling thread,
 * since the way to another one costs many times what a call does there.
 */
export class FolderGround {
  readonly path: string
  #count = 0

  private constructor(path: string) {
    this.path = path
  }

  static async make(): Promise<FolderGround> {
    const made = await mkdtemp('/dev/shm/timberline-faults-').catch(() =>
      mkdtemp(join(tmpdir(), 'timberline-faults-')),
    )
    return new FolderGround(made)
  }

  place(from?: string): Place {
    this.#count += 1
    const root = join(this.path, String(this.#count))
    // A control socket belongs to its owner, and cannot be copied.
    if (from === undefined) mkdirSync(root)
    else cpSync(from, root, { recursive: true, filter: (name) => !name.endsWith('.sock') })
    const place: Place = {
      fileSystem: immediateFileSystem,
      root,
      copy: async () => this.place(root),
      afterCrash: async () => {
        bury(root)
        return [place]
      },
      remove: async () => rmSync(root, { recursive: true, force: true }),
    }
    return place
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true })
  }
}

/** Makes the marks below a folder those of a process that died. */
function bury(root: string): void {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.name.endsWith('.tmp')) {
      renameSync(path, path.replace(/\.\d+(\.[0-9a-f]{12}\.tmp)$/, `.${DEAD_PID}$1`))
    }
    if (!entry.name.startsWith('hold.')) continue
    const text = readFileSync(path, 'utf8')
    writeFileSync(path, text.replace(/"startedAt":\s*"\d+"/, '"startedAt":"1"'))
  }
}
