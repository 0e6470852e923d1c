// A lender of memory that spoils what it lent as soon as the next chunk is asked for, so that whoever kept a part of it is found out.
import type { ChunkMemory } from '../../src/index.ts'

/** All that a reader yields, each chunk copied and its memory, where it was lent, overwritten before the next is asked for. */
export async function collectSpoiling(
  read: (memory: ChunkMemory) => AsyncIterable<Uint8Array>,
  bytes: number,
): Promise<{ content: Buffer; spoilt: number }> {
  const lent = new Map<ArrayBufferLike, Buffer>()
  const take = (bytesMax: number): Buffer => {
    const buffer = Buffer.allocUnsafeSlow(Math.min(bytes, bytesMax))
    lent.set(buffer.buffer, buffer)
    return buffer
  }
  const copies: Buffer[] = []
  let spoilt = 0
  for await (const chunk of read({ take })) {
    copies.push(Buffer.from(chunk))
    const whole = lent.get(chunk.buffer)
    if (whole === undefined) continue
    whole.fill(0xdb)
    spoilt++
  }
  return { content: Buffer.concat(copies), spoilt }
}
