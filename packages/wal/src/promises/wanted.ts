// The way back of a confirmation: the writer says in the log folder up to where somebody waits for an archive, and a shipper,
// mostly in another process, hurries until it is there. Never synced, and whoever cannot read it ships at its usual pace. That
// the file is there says that somebody may wait at any moment.
//
// Nobody waits for an archive before the home is durable. So the wish is also a word about the log, which spares its reader a
// flush: it has the checksum of the archives' word, so that one caught half written names no record.
import { join } from 'node:path'
import { removeIfPresent } from '../files/atomic-file.ts'
import { readFully } from '../files/byte-source.ts'
import { systemCode } from '../errors.ts'
import type { FileHandle, FileSystem } from '../files/file-system.ts'
import { NamedHandle } from '../files/named-handle.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import { decodeReached, encodeReached, REACHED_BYTES } from './reached.ts'
import type { Lsn } from '../records/record.ts'

const NAME = 'wanted.json'

/** Where and in which history somebody waits. */
export interface WantedScope {
  readonly directory: string
  readonly timeline: number
}

/** The writer's side; one for a log folder. */
export interface WantedFile {
  /**
   * Says that somebody waits until an archive holds everything through this record, and that the log is durable as far; one call
   * at a time.
   */
  write(lsn: Lsn): Promise<void>
  /** Nobody waits any more: removes the file. */
  close(): Promise<void>
}

/** Puts the file into a log folder, or takes over the one that a dead process left. Nothing is wanted at first. */
export async function openWanted(
  { directory, timeline }: WantedScope,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<WantedFile> {
  const path = join(directory, NAME)
  const handle = await openOrCreate(path, fileSystem)
  // In place, and always of one length: a reader finds an old record, a new one, or one whose checksum does not fit.
  const write = (lsn: Lsn): Promise<void> => handle.write(encodeReached({ lsn, timeline }), 0)
  try {
    await write(0)
  } catch (error) {
    await handle.close()
    throw error
  }
  return {
    write,
    close: async () => {
      await handle.close()
      await removeIfPresent(path, fileSystem)
    },
  }
}

/** The reader's side: a shipper asks before each look at the log, so that a question is one read of an open file. */
export class WantedReader {
  readonly #file: NamedHandle
  readonly #timeline: number
  readonly #content = Buffer.alloc(REACHED_BYTES)

  /** @param nowMs - the clock by which an open file becomes old; any that only goes forward. */
  constructor(
    { directory, timeline }: WantedScope,
    fileSystem: FileSystem = nodeFileSystem,
    nowMs?: () => number,
  ) {
    this.#timeline = timeline
    this.#file = new NamedHandle({ path: join(directory, NAME), mode: 'read', fileSystem, nowMs })
  }

  /**
   * The last record of the timeline that somebody waits for, 0 when none is named or legible; `undefined` when nobody can wait. The log is
   * durable as far. One call at a time.
   */
  async read(): Promise<Lsn | undefined> {
    const handle = await this.#file.get()
    if (handle === undefined) return undefined
    const read = await readFully(handle, this.#content, 0)
    // Caught while it was written, cut short by a power loss, or not ours: a wish that is lost must not end the shipping.
    const place = decodeReached(this.#content.subarray(0, read))
    return place?.timeline === this.#timeline ? place.lsn : 0
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** What a {@link WantedReader} reads first. */
export async function readWanted(
  scope: WantedScope,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Lsn | undefined> {
  const reader = new WantedReader(scope, fileSystem)
  try {
    return await reader.read()
  } finally {
    await reader.close()
  }
}

async function openOrCreate(path: string, fileSystem: FileSystem): Promise<FileHandle> {
  try {
    return await fileSystem.open(path, 'create')
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return fileSystem.open(path, 'write')
    throw error
  }
}
