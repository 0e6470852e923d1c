/** A number as LevelDB codes it: seven bits a byte, the lowest first; divided, not shifted, as its numbers go beyond 32 bits. */
export function encodeVarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** Bytes behind their length. */
export function encodeSlice(bytes: Uint8Array): Buffer {
  return Buffer.concat([encodeVarint(bytes.length), bytes])
}
