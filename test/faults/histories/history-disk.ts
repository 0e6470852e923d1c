/**
 * The two grounds on which histories run. On the simulated disk the database is the one in memory, whose log is the same as that of
 * any other: cheap, for histories in which LevelDB has no part. On the real one it is LevelDB on a real folder, mirrored, so that
 * checkpoints, hot backups and restores are the real ones.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import {
  CrashFileSystem,
  FaultFileSystem,
  immediateFileSystem,
  MirrorFileSystem,
} from '@timberline/wal/testing'
import type { CrashImage, CrashModel, ImageEntry, PowerLoss } from '@timberline/wal/testing'
import type { ScratchDisk } from '../power-loss/scratch-disk.ts'

export type Database = TimberLevel<string, string> | TimberMemoryLevel<string, string>

const LOG = { segmentBytesMax: 4096, preallocateBytes: 2048 }
/** LevelDB's own log, by its place. */
const OWN_LOG = /\/data[^/]*\/\d+\.log$/
const LEVELDB = { writeBufferSize: 64 * 1024, cacheSize: 0, compression: false }

/** A disk as it is found: to be looked at, and gone afterwards. */
export interface FoundDisk {
  readonly root: string
  readonly fileSystem: FileSystem
  openDatabase(home: string): Database
  /** Lets go of a database without its last checkpoint. */
  abandon(db: Database): Promise<void>
  end(): void
}

/** A state that a power loss could leave. */
export interface Outcome {
  readonly isReal: boolean
  readonly loss: string
  /** What is directly in a folder of the root, each as `folder/name`. */
  pathsIn(folder: string): readonly string[]
  /** Equal when all below a folder is equal, but for what LevelDB wrote into its own log, which nobody reads (I3). */
  fingerprintOf(folder: string): string
  /** The state anew with each call; of the real ground at least what is below these folders. */
  look(folders: readonly string[]): FoundDisk
  /** The machine goes on with this state. */
  restart(): Promise<HistoryDisk>
}

export interface HistoryDisk extends FoundDisk {
  readonly isReal: boolean
  readonly fileSystem: FaultFileSystem
  capture(loss: PowerLoss): Outcome
  /** As it is now, with what is not durable. */
  freeze(): Promise<FrozenDisk>
}

/** A disk that stands still: one past of many futures. */
export interface FrozenDisk {
  thaw(): HistoryDisk
}

/** A disk that is only simulated. */
export class SimulatedDisk implements HistoryDisk {
  readonly isReal = false
  readonly root = ''
  readonly fileSystem: FaultFileSystem
  readonly #disk: CrashFileSystem

  constructor(disk: CrashFileSystem) {
    this.#disk = disk
    this.fileSystem = new FaultFileSystem(disk)
  }

  openDatabase(home: string): Database {
    return new TimberMemoryLevel<string, string>({ log: { ...LOG, home, fileSystem: this.fileSystem } })
  }

  async abandon(db: Database): Promise<void> {
    this.fileSystem.inject(() => 'crash')
    await db.close().catch(() => undefined)
  }

  capture(loss: PowerLoss): Outcome {
    const survivors = this.#disk.ifCrashed(loss)
    return {
      isReal: false,
      loss: JSON.stringify(loss),
      ...contentOf(survivors.entries().map((entry) => ({ ...entry, identity: String(entry.number) }))),
      look: () => new SimulatedDisk(survivors.fork()),
      restart: () => Promise.resolve(new SimulatedDisk(survivors)),
    }
  }

  freeze(): Promise<FrozenDisk> {
    const disk = this.#disk.fork()
    return Promise.resolve({ thaw: () => new SimulatedDisk(disk.fork()) })
  }

  end(): void {
    // Nothing of it is anywhere.
  }
}

/** A real folder, with a simulated disk beside it that knows what of it is durable. */
export class RealDisk implements HistoryDisk {
  readonly isReal = true
  readonly root: string
  readonly fileSystem: FaultFileSystem
  readonly #mirror: MirrorFileSystem
  readonly #scratch: ScratchDisk

  private constructor(mirror: MirrorFileSystem, scratch: ScratchDisk) {
    this.root = mirror.root
    this.#mirror = mirror
    this.#scratch = scratch
    this.fileSystem = new FaultFileSystem(mirror)
  }

  static async begin(scratch: ScratchDisk, model: CrashModel): Promise<RealDisk> {
    return new RealDisk(new MirrorFileSystem(scratch.make(), { model, real: immediateFileSystem }), scratch)
  }

  openDatabase(home: string): Database {
    return openReal(home, this.fileSystem)
  }

  async abandon(db: Database): Promise<void> {
    await abandonReal(db, this.fileSystem)
  }

  capture(loss: PowerLoss): Outcome {
    const image = this.#mirror.capture(loss)
    return {
      isReal: true,
      loss: image.loss,
      ...contentOf(image.entries),
      look: (wanted) => new FoundFolder(this.#written(image, wanted)),
      restart: async () => {
        const { model } = this.#mirror.disk
        const mirror = await MirrorFileSystem.over(this.#written(image), {
          model,
          real: immediateFileSystem,
        })
        return new RealDisk(mirror, this.#scratch)
      },
    }
  }

  async freeze(): Promise<FrozenDisk> {
    const frozen = await this.#mirror.freeze()
    const scratch = this.#scratch
    return {
      thaw: () =>
        new RealDisk(MirrorFileSystem.thaw(scratch.make(), frozen, { real: immediateFileSystem }), scratch),
    }
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  #written(image: CrashImage, wanted?: readonly string[]): string {
    const folder = this.#scratch.make()
    const isWanted = (path: string): boolean =>
      wanted === undefined || wanted.some((one) => `${path}/`.startsWith(`/${one}/`))
    image.writeTo(folder, isWanted)
    return folder
  }
}

/** A folder that a captured state was written into, seen as any program would see it. */
class FoundFolder implements FoundDisk {
  readonly root: string
  readonly fileSystem = new FaultFileSystem(immediateFileSystem)

  constructor(root: string) {
    this.root = root
    mkdirSync(root, { recursive: true })
  }

  openDatabase(home: string): Database {
    return openReal(home, this.fileSystem)
  }

  abandon(db: Database): Promise<void> {
    return abandonReal(db, this.fileSystem)
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true })
  }
}

function openReal(home: string, fileSystem: FileSystem): Database {
  return new TimberLevel<string, string>(home, { ...LEVELDB, log: LOG, fileSystem })
}

async function abandonReal(db: Database, fileSystem: FaultFileSystem): Promise<void> {
  fileSystem.inject(() => 'crash')
  await db.close().catch(() => undefined)
  await fileSystem.releaseHandles()
  fileSystem.inject(undefined)
}

function contentOf(entries: readonly ImageEntry[]): Pick<Outcome, 'pathsIn' | 'fingerprintOf'> {
  const known = new Map<string, string>()
  const below = (folder: string): readonly ImageEntry[] =>
    entries
      .filter(({ path }) => path.startsWith(`/${folder}/`))
      .toSorted((a, b) => (a.path < b.path ? -1 : 1))
  return {
    pathsIn: (folder) => {
      const paths = entries.map(({ path }) => path.slice(1))
      return paths.filter((path) => dirname(path) === folder)
    },
    fingerprintOf: (folder) => {
      const fingerprint = known.get(folder) ?? fingerprintOf(below(folder))
      known.set(folder, fingerprint)
      return fingerprint
    },
  }
}

function fingerprintOf(entries: readonly ImageEntry[]): string {
  const hash = createHash('sha256')
  const firstNames = new Map<string, string>()
  for (const { path, identity, content } of entries) {
    const first = firstNames.get(identity) ?? path
    firstNames.set(identity, first)
    hash.update(`${path}=${first}:${String(content?.length)}\n`)
    if (content !== undefined && first === path && !OWN_LOG.test(path)) hash.update(content)
  }
  return hash.digest('hex')
}
