/** Unsigned 64-bit integers as plain numbers: BigInt would cost an allocation in the commit path. */

const TWO_POW_32 = 0x1_0000_0000

/** Reads an unsigned 64-bit integer; a value above `Number.MAX_SAFE_INTEGER` is for the caller to refuse. */
export function readU64(source: Buffer, position: number): number {
  return readU32(source, position) + readU32(source, position + 4) * TWO_POW_32
}

/** By single bytes, which the compiler inlines, as it does not `readUInt32LE`. Within bounds by the caller. */
export function readU32(source: Buffer, position: number): number {
  return (
    (byteAt(source, position) |
      (byteAt(source, position + 1) << 8) |
      (byteAt(source, position + 2) << 16) |
      (byteAt(source, position + 3) << 24)) >>>
    0
  )
}

function byteAt(source: Buffer, position: number): number {
  return source[position] as number
}

/** Writes a safe integer as an unsigned 64-bit number. */
export function writeU64(target: Uint8Array, value: number, position: number): void {
  writeU32(target, value >>> 0, position)
  writeU32(target, Math.floor(value / TWO_POW_32), position + 4)
}

/** By single bytes, which the compiler inlines; `writeUInt32LE` checks its range on each call. */
export function writeU32(target: Uint8Array, value: number, position: number): void {
  target[position] = value
  target[position + 1] = value >>> 8
  target[position + 2] = value >>> 16
  target[position + 3] = value >>> 24
}
