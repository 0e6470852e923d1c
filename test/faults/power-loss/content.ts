/** What a database holds, as the tests think of it. */
import { createHash } from 'node:crypto'

export type Content = ReadonlyMap<string, string>

/** A change of one key; `undefined` deletes it. */
export type Change = readonly [key: string, value: string | undefined]

export function changed(content: Content, changes: readonly Change[]): Content {
  const next = new Map(content)
  for (const [key, value] of changes) {
    if (value === undefined) next.delete(key)
    else next.set(key, value)
  }
  return next
}

/** The entries in the order of their bytes. */
export function sorted(content: Content): readonly (readonly [string, string])[] {
  return [...content].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** The digest of a state, computed from its definition alone. */
export function digestOf(content: Content): string {
  const hash = createHash('sha256')
  for (const [key, value] of sorted(content)) {
    const [keyBytes, valueBytes] = [Buffer.from(key), Buffer.from(value)]
    const head = Buffer.alloc(8)
    head.writeUInt32LE(keyBytes.length, 0)
    head.writeUInt32LE(valueBytes.length, 4)
    hash.update(head).update(keyBytes).update(valueBytes)
  }
  return hash.digest('hex')
}
