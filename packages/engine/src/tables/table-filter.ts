/**
 * The filter of a table, by which LevelDB knows without a look that a key is not in a block: the one that classic-level opens its
 * databases with, 10 bits for each key. The bits of each block are set where the block is made; here they are put together.
 *
 * @see https://github.com/google/leveldb/blob/main/doc/table_format.md
 */

/** The name by which LevelDB finds it; with another filter it would leave it alone. */
export const FILTER_NAME = 'leveldb.BuiltinBloomFilter2'

/** There is a filter for each 2 KiB of the table: that of the blocks that begin there. */
const RANGE_BITS = 11

/** Where the filters of a table's blocks lie, one behind the other. */
export class TableFilter {
  readonly #offsets: number[] = []
  #used = 0

  /**
   * A block has ended, which is longer than a range unless it is the last.
   *
   * @param used - bytes of all filters, that of this block included
   * @param position - where the next block begins
   */
  endBlock(used: number, position: number): void {
    this.#offsets.push(this.#used)
    this.#used = used
    const range = Math.floor(position / 2 ** RANGE_BITS)
    while (range > this.#offsets.length) this.#offsets.push(used)
  }

  /** The content of the filter block. @param filters - of all blocks */
  end(filters: Buffer): Buffer {
    const places = Buffer.allocUnsafe(this.#offsets.length * 4 + 5)
    let at = 0
    for (const offset of [...this.#offsets, this.#used]) at = places.writeUInt32LE(offset, at)
    places[at] = RANGE_BITS
    return Buffer.concat([filters, places])
  }
}
