/**
 * The two grounds on which histories run. On the simulated disk the database is the one in memory, whose log is the same as that of
 * any other: cheap, for histories in which LevelDB has no part. On the real one it is LevelDB on a real folder, mirrored, so that
 * checkpoints, hot backups and restores are the real ones.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, rmSync } from 'node:fs'
import { TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import { nodeFileSystem, type FileSystem } from '@timberline/wal'
import { CrashFileSystem, FaultFileSystem, MirrorFileSystem } from '@timberline/wal/testing'
import type { CrashImage, CrashModel, PowerLoss } from '@timberline/wal/testing'
import type { ScratchDisk } from '../power-loss/scratch-disk.ts'

export type Database = TimberLevel<string, string> | TimberMemoryLevel<string, string>

const LOG = { segmentBytesMax: 4096, preallocateBytes: 2048 }
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
  readonly loss: string
  /** Equal for equal states. */
  readonly fingerprint: string
  /** Equal when everything outside of homes is equal: archive and backups. */
  readonly copiesFingerprint: string
  look(): FoundDisk
  /** The machine goes on with this state. */
  restart(): Promise<HistoryDisk>
}

export interface HistoryDisk extends FoundDisk {
  readonly isReal: boolean
  readonly fileSystem: FaultFileSystem
  capture(loss: PowerLoss): Outcome
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
    const files = survivors
      .entries()
      .map(({ path, content }) => ({ path, content: content ?? Buffer.from('folder') }))
    return {
      loss: describe(loss),
      ...fingerprintsOf(files),
      look: () => new SimulatedDisk(survivors),
      restart: () => Promise.resolve(new SimulatedDisk(survivors)),
    }
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
    return new RealDisk(new MirrorFileSystem(scratch.make(), { model }), scratch)
  }

  openDatabase(home: string): Database {
    return openReal(home, this.fileSystem)
  }

  async abandon(db: Database): Promise<void> {
    await abandonReal(db, this.fileSystem)
  }

  capture(loss: PowerLoss): Outcome {
    const image = this.#mirror.capture(loss)
    const files = image.paths.map((path) => ({ path, content: image.content(path) ?? Buffer.alloc(0) }))
    return {
      loss: image.loss,
      ...fingerprintsOf(files),
      fingerprint: image.fingerprint,
      look: () => new FoundFolder(this.#written(image)),
      restart: async () => {
        const mirror = await MirrorFileSystem.over(this.#written(image), { model: this.#mirror.disk.model })
        return new RealDisk(mirror, this.#scratch)
      },
    }
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true })
  }

  #written(image: CrashImage): string {
    const folder = this.#scratch.make()
    image.writeTo(folder)
    return folder
  }
}

/** A folder that a captured state was written into, seen as any program would see it. */
class FoundFolder implements FoundDisk {
  readonly root: string
  readonly fileSystem = new FaultFileSystem(nodeFileSystem)

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

function fingerprintsOf(files: readonly { path: string; content: Buffer }[]): {
  fingerprint: string
  copiesFingerprint: string
} {
  const all = createHash('sha256')
  const copies = createHash('sha256')
  for (const { path, content } of files.toSorted((a, b) => (a.path < b.path ? -1 : 1))) {
    for (const hash of path.startsWith('/home') ? [all] : [all, copies]) {
      hash.update(`${path}:${String(content.length)}\n`).update(content)
    }
  }
  return { fingerprint: all.digest('hex'), copiesFingerprint: copies.digest('hex') }
}

function describe(loss: PowerLoss): string {
  return JSON.stringify(loss)
}
