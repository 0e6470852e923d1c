// What the reader and the maker of LevelDB's tables share; neither needs the other for it.

/** Where a block lies in its table. */
export interface BlockHandle {
  readonly position: number
  readonly bytes: number
}

/** At the end of a table: where the two directories of its blocks lie, zeros, the magic number. */
export const FOOTER_BYTES = 48
/** Behind each block: how it is packed, and its checksum. */
export const TRAILER_BYTES = 5
/** LevelDB appends type and sequence number to every key. */
export const KEY_SUFFIX_BYTES = 8
export const MAGIC = 0xdb4775248b80fb57n
