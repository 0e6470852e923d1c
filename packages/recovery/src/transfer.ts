// Bytes into files, verified while they are written: nothing is read twice and nothing unverified is ever used.
import { createHash } from 'node:crypto'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { type RecoveryErrorCode, recoveryError } from './errors.ts'
import { LentBuffers } from './lent-buffers.ts'

/** What the bytes must turn out to be. */
export interface ExpectedContent {
  /** How the content is named in errors. */
  readonly name: string
  readonly bytes: number
  readonly sha256: string
  /** The error when they are not. */
  readonly code: RecoveryErrorCode
  /** Whether a file may go on behind them, which is none of its reader's business. Default: false. */
  readonly mayGoOn?: boolean
}

/** How a transfer runs. */
export interface TransferOptions {
  readonly fileSystem: FileSystem
  readonly signal?: AbortSignal | undefined
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** Verify and hard-link instead of copying, where the source is given up for the result. */
  readonly link?: boolean | undefined
  /** What is written is read and removed again, and so need not survive power loss. */
  readonly isTemporary?: boolean | undefined
}

/** How many files are transferred at once: enough to overlap reading, hashing and writing, few enough to bound memory. */
export const transfersMax = 6

/** A few for the whole process, for what is only looked at: each read is a hop to another thread, so few are made. */
const readBuffers = new LentBuffers({ bytes: 1024 * 1024, freeMax: transfersMax })

/** As many for what is written as it was read: the kernel takes so much at once into whatever memory it finds. */
export const writtenBuffers: LentBuffers = new LentBuffers({ bytes: 256 * 1024, freeMax: transfersMax })

/** Bytes to be written, and what they must be. */
export interface VerifiedContent {
  /** Each needs to hold only until the next is asked for. */
  readonly chunks: AsyncIterable<Uint8Array>
  readonly expected: ExpectedContent
  /** The chunks end in an error unless they hash to what is expected, so that hashing them again proves nothing. Default: false. */
  readonly isHashed?: boolean
}

/**
 * Writes a new file from chunks, durably unless it is temporary, and refuses content other than expected.
 *
 * @throws the code in `expected`
 */
export async function writeVerified(
  path: string,
  content: VerifiedContent,
  options: TransferOptions,
): Promise<void> {
  const { expected } = content
  const hash = content.isHashed === true ? undefined : createHash('sha256')
  const handle = await options.fileSystem.open(path, 'create')
  try {
    let position = 0
    for await (const chunk of content.chunks) {
      throwIfAborted(options.signal)
      // More than promised is already wrong; stop before it fills the disk.
      if (position + chunk.length > expected.bytes) refuse(expected, position + chunk.length)
      const written = handle.write(chunk, position)
      // Beside the writing, which another thread does.
      hash?.update(chunk)
      await written
      position += chunk.length
      options.onBytes?.(chunk.length)
    }
    const isOther = hash !== undefined && hash.digest('hex') !== expected.sha256
    if (position !== expected.bytes || isOther) refuse(expected, position)
  } finally {
    await handle.close()
  }
  // From here on the restored content survives power loss; its name does once the folder is synced.
  if (options.isTemporary !== true) await flush(path, options.fileSystem)
}

/**
 * Writes a new file from another one, durably, and refuses content other than expected. Where the system copies, the copy is read back for
 * it while the disk flushes: that takes half the time of writing what was read.
 *
 * @throws the code in `expected`
 */
export async function copyVerified(
  from: string,
  to: string,
  { expected, options }: { readonly expected: ExpectedContent; readonly options: TransferOptions },
): Promise<void> {
  const { fileSystem, signal } = options
  if (fileSystem.copyFile === undefined) {
    const chunks = readChunks(from, expected.bytes, fileSystem)
    return writeVerified(to, { chunks, expected }, options)
  }
  throwIfAborted(signal)
  // Another length is already wrong; a longer one must not fill the disk.
  const bytes = (await fileSystem.status(from))?.bytes ?? 0
  if (bytes !== expected.bytes) refuse(expected, bytes)
  await fileSystem.copyFile(from, to)
  const outcomes = await Promise.allSettled([verifyFile(to, expected, options), flush(to, fileSystem)])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** By a handle of its own, closed at once: where flushes are owed, it is due from now on, and nobody waits for it. */
async function flush(path: string, fileSystem: FileSystem): Promise<void> {
  const handle = await fileSystem.open(path, 'read')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The content of a file in chunks, each of which holds until the next is asked for; ends early when the file does. */
export async function* readChunks(
  path: string,
  bytes: number,
  fileSystem: FileSystem,
): AsyncGenerator<Uint8Array> {
  const handle = await fileSystem.open(path, 'read')
  const buffer = readBuffers.take(bytes)
  try {
    for (let position = 0; position < bytes;) {
      const chunk = buffer.subarray(0, bytes - position)
      const read = await handle.read(chunk, position)
      if (read === 0) return
      yield chunk.subarray(0, read)
      position += read
    }
    yield* anythingBehind(handle, bytes)
  } finally {
    readBuffers.giveBack(buffer)
    await handle.close()
  }
}

/** Reads a file that stays where it is, and refuses content other than expected. */
export async function verifyFile(
  path: string,
  expected: ExpectedContent,
  options: TransferOptions,
): Promise<void> {
  const hash = createHash('sha256')
  let position = 0
  for await (const chunk of readChunks(path, expected.bytes, options.fileSystem)) {
    throwIfAborted(options.signal)
    if (position === expected.bytes && expected.mayGoOn === true) break
    hash.update(chunk)
    position += chunk.length
    options.onBytes?.(chunk.length)
  }
  if (position !== expected.bytes || hash.digest('hex') !== expected.sha256) refuse(expected, position)
}

/** Runs `work` over all items, at most `transfersMax` at a time; after the first failure no further item is begun. */
export async function transferAll<Item>(
  items: readonly Item[],
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  const failures: unknown[] = []
  const lane = async (): Promise<void> => {
    for (const item of queue) {
      if (failures.length > 0) return
      try {
        await work(item)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: transfersMax }, lane))
  if (failures.length > 0) throw failures[0]
}

/**
 * Throws when the caller asked to stop.
 *
 * @throws RECOVERY_ABORTED
 */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return
  throw recoveryError('RECOVERY_ABORTED', 'the recovery was stopped', { cause: signal.reason })
}

/** One byte more than promised is enough to know that the content is another one. */
async function* anythingBehind(handle: FileHandle, position: number): AsyncGenerator<Uint8Array> {
  const chunk = Buffer.alloc(1)
  if ((await handle.read(chunk, position)) > 0) yield chunk
}

/** Refuses content that is not what was recorded. */
export function refuse(expected: ExpectedContent, bytes: number): never {
  throw recoveryError(expected.code, 'the content is not what was recorded', {
    details: { name: expected.name, bytes, expectedBytes: expected.bytes, expectedSha256: expected.sha256 },
  })
}
