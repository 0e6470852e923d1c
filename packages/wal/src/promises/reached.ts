// A confirmation is the ground on which log is removed: it is durable, and that costs two flushes and a new file each time. Who
// waits for an archive needs less: the number must be true, not outlive a power loss, because the waiting does not either. So
// beside the confirmation there is this word, written in place and never synced, while somebody may wait. The writer of the log
// makes the file with nothing in it, shippers fill it, and whoever finds no word goes by the confirmation, which follows.
//
// Unlike `wanted.json` it is no hint: a number that is too high would be a broken promise. A reader may come upon half of a
// write, and a crash may leave anything: the record has a checksum, and what does not match it says nothing.
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { removeIfPresent } from '../files/atomic-file.ts'
import { readFully } from '../files/byte-source.ts'
import { checkedArchiveName } from './confirmations.ts'
import type { FileSystem } from '../files/file-system.ts'
import { NamedHandle } from '../files/named-handle.ts'
import { nodeFileSystem } from '../files/node-file-system.ts'
import type { Lsn } from '../records/record.ts'

const LSN_DIGITS = 16
const TIMELINE_DIGITS = 16
const RECORD = /^(\{"lsn": *(\d+),"timeline": *(\d+)),"check":"([0-9a-f]{8})"\}\n$/

/** How far an archive holds a log. */
export interface ReachedPlace {
  /** Every record up to this one. */
  readonly lsn: Lsn
  readonly timeline: number
}

/** The side of those who wait; one for a log folder and archive. */
export interface ReachedFile {
  /** The archive's word; `undefined` when it gave none yet, or it is just being written. */
  read(): Promise<ReachedPlace | undefined>
  /** Nobody waits any more: removes the file. */
  close(): Promise<void>
}

/**
 * Puts the file of a named archive into a log folder, or takes over the one that a dead process left. What it said is forgotten.
 *
 * @throws WAL_INVALID when the name is not 1 to 64 letters, digits, `_` and `-`
 */
export async function openReached(
  directory: string,
  name: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<ReachedFile> {
  const path = pathOf(directory, name)
  // A new file, never the old one: a shipper that still has that one open speaks of a log that may be gone.
  await removeIfPresent(path, fileSystem)
  const handle = await fileSystem.open(path, 'create')
  return {
    read: async () => {
      const content = Buffer.alloc(REACHED_BYTES)
      return decodeReached(content.subarray(0, await readFully(handle, content, 0)))
    },
    close: async () => {
      await handle.close()
      await removeIfPresent(path, fileSystem)
    },
  }
}

/** The shipper's side. */
export class ReachedWriter {
  readonly #file: NamedHandle

  /** @param nowMs - the clock by which an open file becomes old; any that only goes forward. */
  constructor(
    { directory, name }: { readonly directory: string; readonly name: string },
    fileSystem: FileSystem = nodeFileSystem,
    nowMs?: () => number,
  ) {
    this.#file = new NamedHandle({ path: pathOf(directory, name), mode: 'write', fileSystem, nowMs })
  }

  /** Tells who may be waiting how far the archive holds the log; false when nobody can be. One call at a time. */
  async tell(place: ReachedPlace): Promise<boolean> {
    const handle = await this.#file.get()
    await handle?.write(encodeReached(place), 0)
    return handle !== undefined
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** FORMAT.md#other-files-in-the-folder. Always of one length, so that a write in place leaves nothing of the one before. */
export function encodeReached({ lsn, timeline }: ReachedPlace): Buffer {
  const said = `{"lsn":${String(lsn).padStart(LSN_DIGITS)},"timeline":${String(timeline).padStart(TIMELINE_DIGITS)}`
  return Buffer.from(`${said},"check":"${checkOf(said)}"}\n`)
}

/** The length of every record. */
export const REACHED_BYTES: number = encodeReached({ lsn: 0, timeline: 0 }).length

/** The place that a record names; `undefined` unless it is whole. */
export function decodeReached(content: Buffer): ReachedPlace | undefined {
  const [, said = '', lsn, timeline, check] = RECORD.exec(content.toString('latin1')) ?? []
  const place = { lsn: Number(lsn), timeline: Number(timeline) }
  const isWhole = check === checkOf(said) && Object.values(place).every(Number.isSafeInteger)
  return isWhole ? place : undefined
}

function checkOf(said: string): string {
  return crc32(said).toString(16).padStart(8, '0')
}

function pathOf(directory: string, name: string): string {
  return join(directory, `reached.${checkedArchiveName(name)}.json`)
}
