import { join } from 'node:path'
import { readFully } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { codeOf, engineError } from '../errors.ts'
import { ManifestParser } from './leveldb-manifest.ts'
import type { ManifestVersion } from './leveldb-manifest.ts'
import type { LeveldbTail } from './leveldb-record.ts'

/** One version of a live LevelDB folder, as its MANIFEST tells it. */
export interface LeveldbVersion {
  /** Content of CURRENT. */
  readonly current: string
  readonly manifestName: string
  /** The MANIFEST up to and including the record that made this version. */
  readonly manifest: Buffer
  readonly version: ManifestVersion
  /** What follows that record in the file. */
  readonly tail: LeveldbTail
}

const CURRENT = /^(MANIFEST-\d{1,16})\n$/
const CURRENT_BYTES_MAX = 64
/** LevelDB writes about 3 KB per 100 MB of data; this bounds what a damaged folder can make us hold. */
const MANIFEST_BYTES_MAX = 1024 * 1024 * 1024

/**
 * Reads the version of a LevelDB folder again and again while LevelDB goes on. The MANIFEST only grows, so each read goes
 * on where the last one ended: with a long MANIFEST, parsing it whole would itself be the race that is lost.
 */
export class VersionReader {
  readonly #directory: string
  readonly #fileSystem: FileSystem
  #manifestName = ''
  #parser = new ManifestParser()
  #bytes: Buffer = Buffer.alloc(0)

  constructor(directory: string, fileSystem: FileSystem) {
    this.#directory = directory
    this.#fileSystem = fileSystem
  }

  /**
   * The newest version, or `undefined` when CURRENT or MANIFEST are just being replaced: try again. The version's tables
   * are valid until the next read.
   *
   * @throws ENGINE_MANIFEST_DAMAGED
   */
  async read(): Promise<LeveldbVersion | undefined> {
    try {
      const current = await this.#readCurrent()
      const manifestName = CURRENT.exec(current)?.[1]
      if (manifestName === undefined) return undefined
      if (manifestName !== this.#manifestName) this.#begin(manifestName)
      await this.#readGrowth(join(this.#directory, manifestName))
      const version = this.#parser.parse(this.#bytes)
      if (version === undefined) return undefined
      const manifest = this.#bytes.subarray(0, version.endBytes)
      return { current, manifestName, manifest, version, tail: this.#parser.tail }
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** The folder was made anew: names in it may mean something else now. */
  forget(): void {
    this.#begin('')
  }

  #begin(manifestName: string): void {
    this.#manifestName = manifestName
    this.#parser = new ManifestParser()
    this.#bytes = Buffer.alloc(0)
  }

  async #readCurrent(): Promise<string> {
    const handle = await this.#fileSystem.open(join(this.#directory, 'CURRENT'), 'read')
    try {
      const content = Buffer.alloc(CURRENT_BYTES_MAX)
      return content.toString('latin1', 0, await readFully(handle, content, 0))
    } finally {
      await handle.close()
    }
  }

  async #readGrowth(path: string): Promise<void> {
    const handle = await this.#fileSystem.open(path, 'read')
    try {
      const { bytes } = await handle.status()
      if (bytes > MANIFEST_BYTES_MAX) {
        throw engineError('ENGINE_MANIFEST_DAMAGED', 'the MANIFEST is too long', { details: { path, bytes } })
      }
      // What followed the last whole record may have been half written: it is read again.
      const from = this.#parser.endBytes
      const grown = Buffer.allocUnsafe(Math.max(bytes, from))
      this.#bytes.copy(grown, 0, 0, from)
      const read = await readFully(handle, grown.subarray(from), from)
      this.#bytes = grown.subarray(0, from + read)
    } finally {
      await handle.close()
    }
  }
}
