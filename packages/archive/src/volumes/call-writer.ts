/**
 * One call of a series: content goes in as a stream, volumes come out. Until all of them are durable they have names of parts,
 * which count for nothing; then each gets its own name. The first of these renames is the moment at which the call counts: a
 * reader that meets one volume under its own name takes the others of the call by whatever name they have.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FileSystem } from '@timberline/wal'
import { archiveError } from '../errors.ts'
import { type CallIndex, encodeCallIndex } from './call-index.ts'
import { FolderQueue, parityTurn, volumeTurn } from './folder-turns.ts'
import { writeParity } from './parity.ts'
import { parityGroups } from './series-check.ts'
import type { SeriesPlace } from './series-scan.ts'
import { SpillFile } from './spill-file.ts'
import {
  blocksAt,
  encodeVolumeHeader,
  VOLUME_BLOCK_BYTES,
  VOLUME_HEADER_BYTES,
  VOLUME_PAGE_BYTES,
  type VolumeHeader,
} from './volume-header.ts'
import { fileBytes, type VolumeBytes } from './volume-file.ts'
import { parityName, partName, volumeName } from './volume-names.ts'

/** Level 1 is twice as fast as level 6 for 15 % more bytes. */
const GZIP_LEVEL = 1

const deflate = promisify(gzip)

/** Parts that this process is writing; what else bears its pid is a leftover. */
const beingWritten = new Set<string>()

/** Where a call goes on in its series. */
export interface CallPlace extends SeriesPlace {
  readonly seriesId: string
  readonly volumePages: number
  readonly parity: number
  readonly call: number
  readonly firstVolume: number
  readonly firstPage: number
}

/** A volume under the name of a part. */
interface Part {
  readonly directory: string
  readonly part: string
  readonly name: string
  /** Its bytes, for the parity volume that is made of them; of a parity volume none. */
  readonly content?: VolumeBytes
}

/** The volume that is being filled. */
interface OpenVolume {
  readonly file: SpillFile
  readonly number: number
  readonly firstPage: number
  readonly hash: ReturnType<typeof createHash>
  readonly table: Buffer
  blocks: number
  contentBytes: number
}

/** Whether this process is writing a part of this name. */
export function isBeingWritten(part: string): boolean {
  return beingWritten.has(part)
}

/**
 * Writes one call: `append` content, `finish` with the index, `publish`; or `abandon`, after which nothing of it is left.
 */
export class CallWriter {
  readonly #place: CallPlace
  readonly #fileSystem: FileSystem
  readonly #folders: FolderQueue
  readonly #block: Buffer = Buffer.allocUnsafe(VOLUME_BLOCK_BYTES)
  readonly #parts: Part[] = []
  #filled = 0
  #position: number
  #nextVolume: number
  #open: OpenVolume | undefined
  #parityFile: SpillFile | undefined
  /** Set when a volume may have kept its name: then nothing of the call is removed. */
  #mayCount = false

  constructor(place: CallPlace, fileSystem: FileSystem) {
    this.#place = place
    this.#fileSystem = fileSystem
    this.#folders = new FolderQueue(place.dirs)
    this.#position = place.firstPage * VOLUME_PAGE_BYTES
    this.#nextVolume = place.firstVolume
  }

  /** Where the next byte goes in the stream of the series. */
  get position(): number {
    return this.#position
  }

  /** Pages of this call so far, the last one perhaps not full. */
  get pages(): number {
    return Math.ceil(this.#position / VOLUME_PAGE_BYTES) - this.#place.firstPage
  }

  /** The paths of the volumes, once the call is published. */
  get paths(): readonly string[] {
    return this.#parts.filter(({ content }) => content !== undefined).map(pathOf)
  }

  /** The paths of the parity volumes. */
  get parityPaths(): readonly string[] {
    return this.#parts.filter(({ content }) => content === undefined).map(pathOf)
  }

  /**
   * Adds content; it may be changed as soon as this resolves.
   *
   * @throws ARCHIVE_VOLUMES_FULL when no folder has room
   */
  async append(content: Buffer): Promise<void> {
    for (let taken = 0; taken < content.length;) {
      const volume = await this.#volumeWithRoom()
      const room = Math.min(VOLUME_BLOCK_BYTES, this.#capacity - volume.contentBytes) - this.#filled
      const part = content.subarray(taken, taken + room)
      this.#block.set(part, this.#filled)
      this.#filled += part.length
      this.#position += part.length
      taken += part.length
      if (part.length === room) await this.#endBlock(volume)
    }
  }

  /** Ends the call with its index. All of it is durable then, under names of parts, and counts for nothing yet. */
  async finish(index: Omit<CallIndex, 'call'>): Promise<void> {
    const indexAt = this.#position
    const content = encodeCallIndex({ ...index, call: this.#place.call })
    await this.append(content)
    const pad = this.pages * VOLUME_PAGE_BYTES - (this.#position - this.#place.firstPage * VOLUME_PAGE_BYTES)
    await this.append(Buffer.alloc(pad))
    const last = await this.#volumeToEnd()
    await this.#endVolume(last, { indexAt, indexBytes: content.length })
    await this.#addParity()
    // From here on every part has its name also after power loss: the first rename may promise that the others are there.
    await this.#syncFolders()
  }

  /** Gives the volumes their names, durably. After an error none of them has one, if the system let them be taken back. */
  async publish(): Promise<void> {
    try {
      for (const part of this.#parts) await this.#giveName(part)
      // The call has appeared, also after power loss.
      await this.#syncFolders()
    } catch (error) {
      // What cannot be taken back now counts, and the next call finishes it; the error to tell is the first one.
      await this.#takeBackNames().catch(() => {
        this.#mayCount = true
      })
      throw error
    }
    this.#forget()
  }

  /** Removes what was written; resolves with what could not be removed. */
  async abandon(): Promise<readonly string[]> {
    if (this.#mayCount) {
      this.#forget()
      return this.#parts.map(({ directory, part }) => join(directory, part))
    }
    const left: string[] = []
    const attempt = async (path: string, work: () => Promise<void>): Promise<void> => {
      try {
        await work()
      } catch {
        // It counts for nothing by its name, and the next call removes it.
        left.push(path)
      }
    }
    for (const file of [this.#open?.file, this.#parityFile])
      if (file !== undefined) await attempt(file.path, () => file.abandon())
    for (const { directory, part } of this.#parts) {
      const path = join(directory, part)
      if ((await this.#fileSystem.status(path).catch(() => undefined)) !== undefined)
        await attempt(path, () => this.#fileSystem.remove(path))
    }
    this.#forget()
    return left
  }

  get #capacity(): number {
    return this.#place.volumePages * VOLUME_PAGE_BYTES
  }

  /** A volume is ended only when more follows, so that the last one can say that it is the last. */
  async #volumeWithRoom(): Promise<OpenVolume> {
    const open = this.#open
    if (open !== undefined && open.contentBytes < this.#capacity) return open
    if (open !== undefined) await this.#endVolume(open, undefined)
    return this.#beginVolume()
  }

  async #beginVolume(): Promise<OpenVolume> {
    const { prefix, volumePages } = this.#place
    const number = this.#nextVolume
    const part = partName(volumeName(prefix, number), process.pid)
    const turn = volumeTurn(this.#place, number)
    const begin = blocksAt(volumePages)
    this.#open = {
      file: new SpillFile({ name: part, turn }, this.#folders, this.#fileSystem),
      number,
      firstPage: Math.floor(this.#position / VOLUME_PAGE_BYTES),
      hash: createHash('sha256'),
      table: Buffer.alloc(begin - VOLUME_HEADER_BYTES),
      blocks: 0,
      contentBytes: 0,
    }
    this.#nextVolume += 1
    beingWritten.add(part)
    // The room for header and table is taken now: a volume must not be complete but for them when the disk is full.
    await this.#open.file.write(Buffer.alloc(begin), 0)
    return this.#open
  }

  async #endBlock(volume: OpenVolume): Promise<void> {
    if (this.#filled === 0) return
    const stored = await deflate(this.#block.subarray(0, this.#filled), { level: GZIP_LEVEL })
    await volume.file.write(stored, volume.file.bytes)
    volume.hash.update(stored)
    volume.table.writeUInt32LE(stored.length, 4 * volume.blocks)
    volume.blocks += 1
    volume.contentBytes += this.#filled
    this.#filled = 0
  }

  async #volumeToEnd(): Promise<OpenVolume> {
    const volume = this.#open ?? (await this.#beginVolume())
    await this.#endBlock(volume)
    return volume
  }

  async #endVolume(
    volume: OpenVolume,
    index: { indexAt: number; indexBytes: number } | undefined,
  ): Promise<void> {
    const { prefix, seriesId, volumePages, parity, call, firstVolume } = this.#place
    const header: VolumeHeader = {
      seriesId,
      volume: volume.number,
      call,
      callFirstVolume: firstVolume,
      isLastOfCall: index !== undefined,
      volumePages,
      parity,
      firstPage: volume.firstPage,
      pages: volume.contentBytes / VOLUME_PAGE_BYTES,
      indexAt: index?.indexAt ?? 0,
      indexBytes: index?.indexBytes ?? 0,
      fileBytes: volume.file.bytes,
      sha256: volume.hash.update(volume.table).digest('hex'),
    }
    await volume.file.write(Buffer.concat([encodeVolumeHeader(header), volume.table]), 0)
    await volume.file.finish()
    this.#parts.push({
      directory: volume.file.directory,
      part: volume.file.name,
      name: volumeName(prefix, volume.number),
      content: fileBytes(volume.file.path, volume.file.bytes, this.#fileSystem),
    })
    this.#open = undefined
  }

  /** The volumes are read back for it, from where they went. */
  async #addParity(): Promise<void> {
    const { prefix, seriesId, call, firstVolume, parity } = this.#place
    const contents = this.#parts.map(({ content }) => content).filter((content) => content !== undefined)
    for (const group of parityGroups({ first: firstVolume, last: this.#nextVolume - 1 }, parity)) {
      const name = parityName(prefix, group)
      const part = { name: partName(name, process.pid), turn: parityTurn(this.#place, group.first) }
      const file = new SpillFile(part, this.#folders, this.#fileSystem)
      beingWritten.add(file.name)
      this.#parityFile = file
      const members = contents.slice(group.first - firstVolume, group.last - firstVolume + 1)
      await writeParity(members, { seriesId, call, ...group }, file)
      this.#parts.push({ directory: file.directory, part: file.name, name })
      this.#parityFile = undefined
    }
  }

  async #giveName({ directory, part, name }: Part): Promise<void> {
    const path = join(directory, name)
    if ((await this.#fileSystem.status(path)) !== undefined) {
      throw archiveError('ARCHIVE_CONFLICT', 'somebody else has written a volume of this name', {
        details: { path },
      })
    }
    await this.#fileSystem.rename(join(directory, part), path)
  }

  /** The last one goes first: while one has its name, all are there. An error does not say whether a rename happened. */
  async #takeBackNames(): Promise<void> {
    for (const { directory, part, name } of this.#parts.toReversed()) {
      const isPart = (await this.#fileSystem.status(join(directory, part))) !== undefined
      if (!isPart) await this.#fileSystem.rename(join(directory, name), join(directory, part))
    }
    await this.#syncFolders()
  }

  async #syncFolders(): Promise<void> {
    for (const directory of new Set(this.#parts.map((part) => part.directory)))
      await this.#fileSystem.syncDirectory(directory)
  }

  #forget(): void {
    for (const { part } of this.#parts) beingWritten.delete(part)
    for (const file of [this.#open?.file, this.#parityFile])
      if (file !== undefined) beingWritten.delete(file.name)
    this.#open = undefined
    this.#parityFile = undefined
  }
}

function pathOf({ directory, name }: Part): string {
  return join(directory, name)
}
