/**
 * Takes a load back while the database is open: the state is walked beside the snapshot of before, in the range of keys that
 * were loaded, and where they differ the snapshot is put back. What the load left in LevelDB goes with the last batch, by which
 * the applied position is again what it was: until then an open rebuilds.
 */
import type { AbstractSnapshot } from 'abstract-level'
import type { KeyRange } from './bulk-load-writer.ts'
import type { NativeBatch, NativeClassic, PrivateIterator } from '../level/native-level.ts'
import { LOADING } from '../reserved-keys.ts'

const ENTRIES_AT_A_TIME = 1000
const BATCH_BYTES = 1024 * 1024

/** Puts back what the snapshot shows. */
export async function undoLoad(
  native: NativeClassic,
  snapshot: AbstractSnapshot,
  range: KeyRange,
): Promise<void> {
  const before = new Cursor(native.entries(range, snapshot))
  const now = new Cursor(native.entries(range))
  const batch = native.batch()
  try {
    await walk(before, now, new PutBack(batch))
    await batch.write(native.appliedAt(snapshot))
  } finally {
    await before.close()
    await now.close()
  }
}

async function walk(before: Cursor, now: Cursor, target: PutBack): Promise<void> {
  for (;;) {
    const [old, present] = [await before.peek(), await now.peek()]
    if (old === undefined && present === undefined) return
    const order = compare(old?.key, present?.key)
    if (order > 0 && present !== undefined) target.add(present.key, undefined)
    else if (old !== undefined && (present === undefined || order < 0 || !old.value.equals(present.value))) {
      target.add(old.key, old.value)
    }
    if (order <= 0) before.skip()
    if (order >= 0) now.skip()
    if (target.isFull) await target.flush()
  }
}

/** An end lies behind every key. */
function compare(a: Buffer | undefined, b: Buffer | undefined): number {
  if (a === undefined) return 1
  return b === undefined ? -1 : Buffer.compare(a, b)
}

class PutBack {
  readonly #batch: NativeBatch
  #bytes = 0

  constructor(batch: NativeBatch) {
    this.#batch = batch
  }

  get isFull(): boolean {
    return this.#bytes >= BATCH_BYTES
  }

  add(key: Buffer, value: Buffer | undefined): void {
    this.#batch.add({ key, value })
    this.#bytes += key.length + (value?.length ?? 0)
  }

  async flush(): Promise<void> {
    this.#bytes = 0
    await this.#batch.write(LOADING)
  }
}

interface Entry {
  readonly key: Buffer
  readonly value: Buffer
}

class Cursor {
  readonly #iterator: PrivateIterator
  #entries: readonly Entry[] = []
  #at = 0
  #isEnded = false

  constructor(iterator: PrivateIterator) {
    this.#iterator = iterator
  }

  async peek(): Promise<Entry | undefined> {
    if (this.#at === this.#entries.length && !this.#isEnded) {
      const read = await this.#iterator._nextv(ENTRIES_AT_A_TIME, {})
      this.#entries = read.map(([key, value]) => ({ key: asBuffer(key), value: asBuffer(value ?? '') }))
      this.#at = 0
      this.#isEnded = read.length === 0
    }
    return this.#entries[this.#at]
  }

  skip(): void {
    this.#at += 1
  }

  close(): Promise<void> {
    return this.#iterator._close()
  }
}

function asBuffer(data: string | Uint8Array): Buffer {
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}
