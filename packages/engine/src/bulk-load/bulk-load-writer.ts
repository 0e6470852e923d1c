import type { Change, Encoded, NativeBatch, NativeLevel } from '../level/native-level.ts'
import { LOADING } from '../reserved-keys.ts'

/** The keys that a load has touched lie between these, both included. */
export interface KeyRange {
  readonly least: Buffer
  readonly greatest: Buffer
}

/** Larger batches are no faster, and hold up readers that wait for LevelDB's lock. */
const BATCH_BYTES = 1024 * 1024
const BATCH_ENTRIES = 8192

/** Puts a load into the state: one batch is written while the next one is filled, so memory stays within two. */
export class LoadWriter {
  entries = 0
  /** Of keys and values. */
  bytes = 0
  #filling: NativeBatch
  #other: NativeBatch
  #fillingBytes = 0
  #fillingEntries = 0
  #writing: Promise<void> = Promise.resolve()
  #least: Buffer | undefined
  #greatest: Buffer | undefined
  /** Their first bytes as numbers: most keys are told to lie between them without a look at the rest. */
  #leastHead = 0
  #greatestHead = 0

  constructor(native: Pick<NativeLevel, 'batch'>) {
    this.#filling = native.batch()
    this.#other = native.batch()
  }

  get isFull(): boolean {
    return this.#fillingBytes >= BATCH_BYTES || this.#fillingEntries >= BATCH_ENTRIES
  }

  /** What an undo has to look at; `undefined` when nothing was added. */
  get range(): KeyRange | undefined {
    if (this.#least === undefined || this.#greatest === undefined) return undefined
    return { least: this.#least, greatest: this.#greatest }
  }

  /** Takes a change; the caller may use its memory again at once. */
  add(change: Change): void {
    this.#widen(change.key)
    this.#filling.add(change)
    const bytes = change.key.length + (change.value?.length ?? 0)
    this.entries += 1
    this.bytes += bytes
    this.#fillingBytes += bytes
    this.#fillingEntries += 1
  }

  /** Begins to write what was added, once the batch before is in. */
  async flush(): Promise<void> {
    await this.#writing
    if (this.#fillingEntries === 0) return
    this.#writing = this.#filling.write(LOADING)
    // Awaited by the next flush or the end; without this, a failure in between would count as unhandled.
    this.#writing.catch(() => undefined)
    const filled = this.#filling
    this.#filling = this.#other
    this.#other = filled
    this.#fillingBytes = 0
    this.#fillingEntries = 0
  }

  /** Writes what is left. */
  async end(): Promise<void> {
    await this.flush()
    await this.#writing
  }

  /** Resolves once nothing is being written, whatever came of it. */
  async settled(): Promise<void> {
    await this.#writing.catch(() => undefined)
  }

  #widen(key: Encoded): void {
    const head = headOf(key)
    const isBetween = head !== undefined && head > this.#leastHead && head < this.#greatestHead
    if (isBetween && this.#least !== undefined) return
    const bytes = Buffer.from(key)
    if (this.#least === undefined || Buffer.compare(bytes, this.#least) < 0) {
      this.#least = bytes
      this.#leastHead = headOf(bytes) ?? 0
    }
    if (this.#greatest === undefined || Buffer.compare(bytes, this.#greatest) > 0) {
      this.#greatest = bytes
      this.#greatestHead = headOf(bytes) ?? 0
    }
  }
}

const HEAD_BYTES = 6
const ASCII_MAX = 0x7f

/** The first bytes of a key as a number, shorter keys as if zeros followed; `undefined` for text that is not what its units are. */
function headOf(key: Encoded): number | undefined {
  let head = 0
  for (let index = 0; index < HEAD_BYTES; index += 1) {
    const unit =
      typeof key === 'string' ? (index < key.length ? key.charCodeAt(index) : 0) : (key[index] ?? 0)
    if (typeof key === 'string' && unit > ASCII_MAX) return undefined
    head = head * 256 + unit
  }
  return head
}
