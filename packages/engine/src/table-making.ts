// A table made of gathered operations, and written under a number that no MANIFEST names yet.
import { join } from 'node:path'
import { removeIfPresent } from '@timberline/wal'
import type { FileHandle, FileSystem } from '@timberline/wal'
import { tableName } from './leveldb-files.ts'
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

/** Makes a table. Its content is durable then, its name is not. */
export function makeTable(place: TablePlace, { window, sequence }: TableJob): Promise<EncodedTable> {
  return writeTable(place, encodeTable(window, sequence))
}

/** Writes a table under a number that no MANIFEST names yet. Its content is durable then, its name is not. */
async function writeTable(
  { dataDirectory, fileSystem, number }: TablePlace,
  pieces: Generator<Buffer, EncodedTable>,
): Promise<EncodedTable> {
  const path = join(dataDirectory, tableName(number))
  // A leftover that no MANIFEST names.
  await removeIfPresent(path, fileSystem)
  const handle = await fileSystem.open(path, 'create')
  const flushing = new EarlyFlush(handle)
  let writing: Promise<void> = Promise.resolve()
  try {
    let position = 0
    for (;;) {
      // Made while the one before is written.
      const next = pieces.next()
      await writing
      if (next.done === true) {
        await flushing.settled()
        // The table's content is durable.
        await handle.sync()
        return next.value
      }
      flushing.begin(position)
      writing = handle.write(next.value, position)
      position += next.value.length
    }
  } finally {
    await Promise.allSettled([writing, flushing.settled()])
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
