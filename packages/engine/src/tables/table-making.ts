// A table made of gathered operations, and written under a number that no MANIFEST names yet.
import { join } from 'node:path'
import { removeIfPresent } from '@timberline/wal'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { tableName } from '../leveldb/leveldb-files.ts'
import type { OperationWindow } from './operation-window.ts'
import { encodeTable } from './table-encoder.ts'
import type { EncodedTable } from './table-encoder.ts'

/** Bytes between two flushes of a table in the making. */
const EARLY_FLUSH_BYTES = 4 * 1024 * 1024

/** A folder of LevelDB at rest. */
export interface RestingFolder {
  readonly dataDirectory: string
  readonly fileSystem: FileSystem
}

/** Where a table is going to be. */
export interface TablePlace extends RestingFolder {
  readonly number: number
}

/** Operations that become a table. */
export interface TableJob {
  readonly window: OperationWindow
  readonly sequence: number
}

/** A table that is written, and still on its way to the device. */
export interface WrittenTable {
  readonly table: EncodedTable
  /** Resolves once its content is durable, its name is not; its file is open until this has settled. */
  readonly durable: Promise<void>
}

/** Makes a table. Its content is durable then, its name is not. */
export async function makeTable(place: TablePlace, job: TableJob): Promise<EncodedTable> {
  const { table, durable } = await writeTable(place, job)
  await durable
  return table
}

/** Writes a table, so that the next one can be made while the device takes it. The window is free then. */
export async function writeTable(
  { dataDirectory, fileSystem, number }: TablePlace,
  { window, sequence }: TableJob,
): Promise<WrittenTable> {
  const path = join(dataDirectory, tableName(number))
  // A leftover that no MANIFEST names.
  await removeIfPresent(path, fileSystem)
  const handle = await fileSystem.open(path, 'create')
  const flushing = new EarlyFlush(handle)
  try {
    const table = await writePieces(handle, encodeTable(window, sequence), flushing)
    const durable = flushLast(handle, flushing)
    // Met by whoever names the table; without this, a failure before that would count as unhandled.
    durable.catch(() => undefined)
    return { table, durable }
  } catch (error) {
    await flushing.settled().catch(() => undefined)
    await handle.close()
    throw error
  }
}

async function writePieces(
  handle: FileHandle,
  pieces: Generator<Buffer, EncodedTable>,
  flushing: EarlyFlush,
): Promise<EncodedTable> {
  let writing: Promise<void> = Promise.resolve()
  try {
    let position = 0
    for (;;) {
      // Made while the one before is written.
      const next = pieces.next()
      await writing
      if (next.done === true) return next.value
      flushing.begin(position)
      writing = handle.write(next.value, position)
      position += next.value.length
    }
  } finally {
    await writing.catch(() => undefined)
  }
}

async function flushLast(handle: FileHandle, flushing: EarlyFlush): Promise<void> {
  try {
    await flushing.settled()
    // The table's content is durable.
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Lets the device begin while there is more to come, so that it has little to do in the end. What is durable is said by the last flush alone. */
class EarlyFlush {
  readonly #handle: FileHandle
  #position = 0
  #isRunning = false
  #flushed: Promise<void> = Promise.resolve()

  constructor(handle: FileHandle) {
    this.#handle = handle
  }

  /** Everything up to here was written. */
  begin(position: number): void {
    if (this.#isRunning || position - this.#position < EARLY_FLUSH_BYTES) return
    this.#position = position
    this.#isRunning = true
    this.#flushed = this.#flush()
    // Met in the end; without this, a failure in between would count as unhandled.
    this.#flushed.catch(() => undefined)
  }

  /** Throws what a flush threw: it is not tried again. */
  settled(): Promise<void> {
    return this.#flushed
  }

  async #flush(): Promise<void> {
    await this.#handle.sync()
    // Not after a failure: what was to be written then may be lost, and another flush would not say so.
    this.#isRunning = false
  }
}
