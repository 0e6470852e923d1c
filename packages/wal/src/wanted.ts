// The way back of a confirmation: the writer says in the log folder up to where somebody waits for an archive, and a shipper,
// mostly in another process, hurries until it is there. It is a hint and nothing more: never synced, and whoever cannot read it
// ships at its usual pace. That the file is there says that somebody may wait at any moment.
import { join } from 'node:path'
import { removeIfPresent } from './atomic-file.ts'
import { readFully } from './byte-source.ts'
import { systemCode } from './errors.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import { NamedHandle } from './named-handle.ts'
import { nodeFileSystem } from './node-file-system.ts'
import type { Lsn } from './record.ts'

const NAME = 'wanted.json'
const WANTED_BYTES = 25
const LSN_DIGITS = 16

/** The writer's side; one for a log folder. */
export interface WantedFile {
  /** Says that somebody waits until an archive holds everything through this record; one call at a time. */
  write(lsn: Lsn): Promise<void>
  /** Nobody waits any more: removes the file. */
  close(): Promise<void>
}

/** Puts the file into a log folder, or takes over the one that a dead process left. Nothing is wanted at first. */
export async function openWanted(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<WantedFile> {
  const path = join(directory, NAME)
  const handle = await openOrCreate(path, fileSystem)
  // In place, and always of one length: a reader finds an old number, a new one, or at worst one of digits of both.
  const write = (lsn: Lsn): Promise<void> =>
    handle.write(Buffer.from(`{"lsn":${String(lsn).padStart(LSN_DIGITS)}}\n`), 0)
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

  /** @param nowMs - the clock by which an open file becomes old; any that only goes forward. */
  constructor(directory: string, fileSystem: FileSystem = nodeFileSystem, nowMs?: () => number) {
    this.#file = new NamedHandle({ path: join(directory, NAME), mode: 'read', fileSystem, nowMs })
  }

  /** The last record that somebody waits for, 0 when none is named or legible; `undefined` when nobody can wait. */
  async read(): Promise<Lsn | undefined> {
    const handle = await this.#file.get()
    if (handle === undefined) return undefined
    const content = Buffer.alloc(WANTED_BYTES)
    const read = await readFully(handle, content, 0)
    return lsnOf(content.toString('latin1', 0, read))
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** What a {@link WantedReader} reads first. */
export async function readWanted(
  directory: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<Lsn | undefined> {
  const reader = new WantedReader(directory, fileSystem)
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

/** Caught while it was written, cut short by a power loss, or not ours: a hint that is lost must not end the shipping. */
function lsnOf(text: string): Lsn {
  const lsn = Number(/^\{"lsn": *(\d{1,16})\}\n$/.exec(text)?.[1] ?? 0)
  return Number.isSafeInteger(lsn) ? lsn : 0
}
