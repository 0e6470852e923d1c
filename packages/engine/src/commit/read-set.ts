/** A key as a string with one character a byte: JavaScript compares such strings just as LevelDB compares keys. */
export type KeyText = string

/** @see KeyText */
export function keyText(key: Uint8Array): KeyText {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

/** Keys from `from` to `to`, both included; `undefined` is no bound. */
export interface KeyRange {
  from: KeyText | undefined
  to: KeyText | undefined
}

/** What a transaction has read: single keys, and ranges that others must not have written into. */
export class ReadSet {
  readonly #keys = new Set<KeyText>()
  readonly #ranges: KeyRange[] = []

  get isEmpty(): boolean {
    return this.#keys.size === 0 && this.#ranges.length === 0
  }

  get keys(): ReadonlySet<KeyText> {
    return this.#keys
  }

  addKey(key: Uint8Array): void {
    this.#keys.add(keyText(key))
  }

  /** The range may still grow, by its reader's changing it. */
  addRange(range: KeyRange): void {
    this.#ranges.push(range)
  }

  includes(key: KeyText): boolean {
    return this.#keys.has(key) || this.#ranges.some((range) => isWithin(range, key))
  }

  get hasRanges(): boolean {
    return this.#ranges.length > 0
  }
}

function isWithin({ from, to }: KeyRange, key: KeyText): boolean {
  return (from === undefined || key >= from) && (to === undefined || key <= to)
}
