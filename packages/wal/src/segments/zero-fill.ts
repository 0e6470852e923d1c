import type { FileHandle, FileSystem } from '../files/file-system.ts'

/** The most that are flushed in one go. */
const ZEROS: Buffer = Buffer.alloc(1024 * 1024)
/** Flushed in one go while frames are small: a commit that meets that flush does not wait for long. */
const PIECE_BYTES = 256 * 1024
/** Each piece costs the device two flushes or more; where frames are large, so many of them share that. */
const FRAMES_A_PIECE = 64
/** Filling costs a few flushes, and each frame costs one: with so many left it is done in time. */
const YOUNG_FRAMES = 100

/** What is filled ahead, and how far. */
export interface ZeroFillOptions {
  readonly path: string
  readonly fileSystem: FileSystem
  /** Zeros written in one go; 0 is never. */
  readonly stepBytes: number
  /** The file is not filled beyond this. */
  readonly bytesMax: number
  /** Up to here the file is written already. */
  readonly filled: number
}

/**
 * Writes zeros ahead of the frames, in the background. A commit into written space changes no metadata and so costs one device
 * flush instead of two. It writes only beyond `filled`, and whoever wants to write there waits for it first.
 *
 * Through a handle of its own: a failed sync is reported once per handle, and must not be taken from the commits' sync. Whoever
 * synced must still ask for `syncFailure` before it promises anything: not every system reports to all handles.
 */
export class ZeroFill {
  readonly #options: ZeroFillOptions
  #filled: number
  #running: Promise<void> | undefined
  #begun = false
  #stopped = false
  #syncFailure: { readonly cause: unknown } | undefined

  constructor(options: ZeroFillOptions) {
    this.#options = options
    this.#filled = options.filled
  }

  /** Whether a frame may be written up to `end` now. */
  isClear(end: number): boolean {
    return this.#running === undefined || end <= this.#filled
  }

  /** A failed sync of these zeros may have dropped frames from the system's memory, too. */
  get syncFailure(): { readonly cause: unknown } | undefined {
    return this.#syncFailure
  }

  /** Frames reach to `position`: zeros must begin behind it. */
  passed(position: number): void {
    if (position > this.#filled) this.#filled = position
  }

  /**
   * Begins to fill when less than half a step of written space is left. A young segment has less from the beginning; there it waits
   * until only so many frames like the last one fit, because the first zeros of a segment meet the checkpoint that made it at
   * the device. Writers of large groups need them at once.
   */
  keepAhead(position: number, frameBytes: number): void {
    const { stepBytes, bytesMax } = this.#options
    if (stepBytes === 0 || this.#stopped || this.#running !== undefined) return
    const reserve = this.#begun ? stepBytes / 2 : Math.min(stepBytes / 2, YOUNG_FRAMES * frameBytes)
    if (this.#filled - position >= reserve || this.#filled >= bytesMax) return
    this.#begun = true
    const end = Math.min(this.#filled + stepBytes, bytesMax)
    this.#running = this.#fill(this.#filled, { end, pieceBytes: pieceBytesFor(frameBytes) }).finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when no zeros are on their way. */
  async settle(): Promise<void> {
    await this.#running
  }

  /** Fills no more; resolves when no zeros are on their way. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #fill(begin: number, { end, pieceBytes }: { end: number; pieceBytes: number }): Promise<void> {
    let handle: FileHandle | undefined
    try {
      handle = await this.#options.fileSystem.open(this.#options.path, 'write')
      for (let at = begin; at < end && !this.#stopped; at += pieceBytes) {
        await handle.write(ZEROS.subarray(0, Math.min(pieceBytes, end - at)), at)
        // Promises nothing to anybody: it only keeps these zeros out of the next commit's flush.
        await handle.sync().catch((cause: unknown) => {
          this.#syncFailure = { cause }
          throw cause
        })
        this.#filled = Math.min(at + pieceBytes, end)
      }
    } catch {
      // A full device stops the filling and nothing else: the next commit that needs room reports it.
      this.#stopped = true
    } finally {
      await handle?.close().catch(() => {
        this.#stopped = true
      })
    }
  }
}

function pieceBytesFor(frameBytes: number): number {
  return Math.min(ZEROS.length, Math.ceil((FRAMES_A_PIECE * frameBytes) / PIECE_BYTES) * PIECE_BYTES)
}
