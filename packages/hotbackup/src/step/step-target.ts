// Where a step-by-step copy goes. Steps write into a LevelDB of their own, in a folder beside; the target sees nothing of it until
// the end, so that a copy that was given up, or whose process died, leaves the target as it was.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { type Operation, RawLevel, type StateDigest, stateDigest } from '@timberline/engine'
import { type FileSystem, nodeFileSystem, processIsAlive } from '@timberline/wal'
import { hotbackupError } from '../errors.ts'
import { type AnyLevel, asBuffers } from './any-level.ts'
import { type Entry, entryBytes } from './step-source.ts'
import type { StepBackupOptions, StepReport } from './step-options.ts'

const BATCH_BYTES_MAX = 256 * 1024 * 1024
/** The name, in a copied folder, of what it was when it was finished. */
const COPY_RECORD = 'timberline-copy.json'
const STAGING_PREFIX = '.timberline-copy-'
const LEFTOVER = /^\.timberline-copy-(\d+)-[0-9a-f]{12}$/
const BUFFERS = { keyEncoding: 'buffer', valueEncoding: 'buffer' } as const

/** A copy that nobody sees yet. */
export class Staging {
  readonly level: RawLevel
  readonly directory: string
  readonly #bytesMax: number
  #bytes = 0

  private constructor(directory: string, bytesMax: number) {
    this.directory = directory
    this.level = new RawLevel(directory)
    this.#bytesMax = bytesMax
  }

  /** @param bytesMax - how much the target can take; refused as soon as there is more, not only at the end */
  static async begin(parent: string, bytesMax: number = Infinity): Promise<Staging> {
    const name = `${STAGING_PREFIX}${process.pid}-${randomBytes(6).toString('hex')}`
    const staging = new Staging(join(parent, name), bytesMax)
    await mkdir(parent, { recursive: true })
    await removeLeftovers(parent)
    await staging.level.open()
    return staging
  }

  async put(entries: readonly Entry[]): Promise<void> {
    if (entries.length > 0) await this.apply(entries.map(([key, value]) => ({ type: 'put', key, value })))
  }

  /** @throws HOTBACKUP_STEP_TOO_LARGE */
  async apply(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      if (operation.type === 'put') this.#bytes += entryBytes([operation.key, operation.value])
    }
    if (this.#bytes > this.#bytesMax) {
      throw hotbackupError('HOTBACKUP_STEP_TOO_LARGE', 'an open target takes a copy as one batch in memory', {
        details: { bytes: this.#bytes, batchBytesMax: this.#bytesMax },
      })
    }
    await this.level.batch([...operations])
  }

  /** @param lsn - of the state that the copy is; 0 when the source has none */
  digest(lsn: number): Promise<StateDigest> {
    return stateDigest(this.level as never, lsn)
  }

  async remove(): Promise<void> {
    await this.level.close()
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** What a finished copy becomes. */
export interface StepTarget {
  readonly staging: Staging
  /** The target has the copy, wholly; before, it has nothing of it. */
  commit(report: StepReport): Promise<void>
}

/** A new LevelDB at a path, by one rename. @throws HOTBACKUP_STEP_TARGET when something is there */
export async function folderTarget(
  path: string,
  { overwrite = false, compact = false, fileSystem = nodeFileSystem }: StepBackupOptions,
): Promise<StepTarget> {
  const directory = resolve(path)
  if (overwrite) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'a folder is not overwritten; give a new one', {
      details: { path },
    })
  }
  await refuseContent(directory)
  const staging = await Staging.begin(dirname(directory))
  return {
    staging,
    async commit(report) {
      if (compact) await staging.level.compactRange(Buffer.alloc(0), Buffer.alloc(64, 0xff))
      await staging.level.close()
      await writeRecord(staging.directory, report, fileSystem)
      // All of it is durable before it has its name, and the name before the caller hears of it.
      await syncFiles(staging.directory, fileSystem)
      await refuseContent(directory)
      // An empty folder of this name is replaced by the rename.
      await fileSystem.rename(staging.directory, directory)
      await fileSystem.syncDirectory(dirname(directory))
    },
  }
}

/** An open database, by one atomic batch. @throws HOTBACKUP_STEP_TARGET */
export async function levelTarget(
  target: AnyLevel,
  source: AnyLevel,
  options: StepBackupOptions,
): Promise<StepTarget> {
  const level = asBuffers(target)
  const { overwrite = false, compact = false, batchBytesMax = BATCH_BYTES_MAX } = options
  if (compact) {
    throw hotbackupError('HOTBACKUP_OPTIONS', 'only a copy into a folder can be compacted')
  }
  const refuse = async (): Promise<void> => {
    if (overwrite) return
    const [own, other] = [encodingsOf(target), encodingsOf(source)]
    if (own !== other) throw refused('the target has other encodings', { source: other, target: own })
    const [first] = await level.keys({ keyEncoding: 'buffer', limit: 1 }).all()
    if (first !== undefined) throw refused('the target has content')
  }
  await refuse()
  const staging = await Staging.begin(tmpdir(), batchBytesMax)
  return {
    staging,
    async commit() {
      await refuse()
      const batch = level.batch()
      for await (const key of level.keys({ keyEncoding: 'buffer' })) {
        batch.del(key, { keyEncoding: 'buffer' })
      }
      for await (const [key, value] of staging.level.iterator()) batch.put(key, value, BUFFERS)
      await batch.write()
    },
  }
}

/** What the copy was at its end, beside LevelDB's files, which leaves other names alone. */
async function writeRecord(directory: string, report: StepReport, fileSystem: FileSystem): Promise<void> {
  const record = { format: 1, ...report, finishedAt: new Date().toISOString() }
  const file = await fileSystem.open(join(directory, COPY_RECORD), 'create')
  try {
    await file.write(Buffer.from(`${JSON.stringify(record, null, 2)}\n`), 0)
  } finally {
    await file.close()
  }
}

/**
 * Removes what copies of dead processes left. A process is known by its number, which another container may have given out too: the lock
 * of its LevelDB tells whether it goes on.
 */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = LEFTOVER.exec(name)?.[1]
    if (pid === undefined || Number(pid) === process.pid || processIsAlive(Number(pid))) continue
    const left = new RawLevel(join(parent, name))
    try {
      await left.open()
      await left.close()
      await rm(join(parent, name), { recursive: true, force: true })
    } catch {
      // In use, or not ours to remove: it is in nobody's way.
    }
  }
}

/** The encodings that a database's users see. */
function encodingsOf(level: AnyLevel): string {
  return `${level.keyEncoding().commonName} keys, ${level.valueEncoding().commonName} values`
}

/** LevelDB syncs its tables alone, and a copy is written without a sync for each step. */
async function syncFiles(directory: string, fileSystem: FileSystem): Promise<void> {
  for (const name of await fileSystem.list(directory)) {
    const file = await fileSystem.open(join(directory, name), 'write')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }
  await fileSystem.syncDirectory(directory)
}

async function refuseContent(directory: string): Promise<void> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && Reflect.get(error, 'code') === 'ENOENT') return []
    throw error
  })
  if (names.length > 0) throw refused('something is there already', { path: directory })
}

function refused(message: string, details: Record<string, string> = {}): Error {
  return hotbackupError('HOTBACKUP_STEP_TARGET', message, { details })
}
