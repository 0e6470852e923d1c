import type { FileHandle, FileSystem, OpenMode } from './file-system.ts'

/**
 * Fills `target` from `position` on, however short the single reads are; resolves with the bytes read, fewer only at the end of
 * the file. Whoever takes a short read for the end of a file calls a sound log torn.
 */
export async function readFully(
  handle: Pick<FileHandle, 'read'>,
  target: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0
  while (filled < target.length) {
    const read = await handle.read(filled === 0 ? target : target.subarray(filled), position + filled)
    if (read === 0) break
    filled += read
  }
  return filled
}

/** Where a segment's bytes come from: a file, or an object fetched from an archive. */
export interface ByteSource {
  /** How many bytes there are; may grow while a file is read that is still written. */
  readonly bytes: number
  /** Names the source in errors. */
  readonly path?: string
  /** Fills `target` from `position` on; resolves with the bytes read, fewer only at the end. */
  read(target: Uint8Array, position: number): Promise<number>
}

/** A byte source over an open file; `refresh` learns its present length. */
export class FileSource implements ByteSource {
  readonly path: string
  readonly handle: FileHandle
  #bytes = 0
  #bytesMax: number = Number.POSITIVE_INFINITY

  constructor(handle: FileHandle, path: string) {
    this.handle = handle
    this.path = path
  }

  /** A file with its present length; the caller closes its handle. */
  static async open(path: string, mode: OpenMode, fileSystem: FileSystem): Promise<FileSource> {
    const source = new FileSource(await fileSystem.open(path, mode), path)
    try {
      await source.refresh()
      return source
    } catch (error) {
      await source.handle.close()
      throw error
    }
  }

  get bytes(): number {
    return this.#bytes
  }

  /** From here on the file is read as if it ended at `bytes`, however long it is. */
  endAt(bytes: number): void {
    this.#bytesMax = bytes
    this.#bytes = Math.min(bytes, this.#bytes)
  }

  async refresh(): Promise<number> {
    const { bytes } = await this.handle.status()
    this.#bytes = Math.min(bytes, this.#bytesMax)
    return this.#bytes
  }

  read(target: Uint8Array, position: number): Promise<number> {
    return readFully(this.handle, target.subarray(0, Math.max(0, this.#bytesMax - position)), position)
  }
}

/** A byte source over bytes in memory. */
export function memorySource(content: Uint8Array, path = 'memory'): ByteSource {
  return {
    bytes: content.length,
    path,
    read: (target, position) => {
      const part = content.subarray(position, position + target.length)
      target.set(part)
      return Promise.resolve(part.length)
    },
  }
}
