// Keys, values and metadata for the eye and for JSON: text where the bytes are printable text, hexadecimal where not.

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
// Control characters, unassigned code points, lone surrogates, private use; the space is fine, other separators are not.
const unprintable = /[\p{C}\p{Zl}\p{Zp}]/u

/** The text that the bytes are, if all of it can be printed. */
export function printableText(bytes: Uint8Array): string | undefined {
  try {
    const text = strictUtf8.decode(bytes)
    return unprintable.test(text) ? undefined : text
  } catch {
    // The decoder has no other way to say that the bytes are not UTF-8.
    return undefined
  }
}

/** `"text"` or `0x00ff`; cut after `bytesMax` with the full length behind it. */
export function formatBinary(bytes: Uint8Array, bytesMax: number = Infinity): string {
  const text = printableText(bytes)
  const isCut = bytes.byteLength > bytesMax
  const shown =
    text === undefined
      ? hex(isCut ? bytes.subarray(0, bytesMax) : bytes)
      : JSON.stringify(isCut ? cutText(text, bytesMax) : text)
  return isCut ? `${shown}… (${String(bytes.byteLength)} bytes)` : shown
}

/** The pair of a JSON object that carries bytes: `{ key: "a" }`, or `{ keyHex: "00ff" }` when they are not text. */
export function binaryField(name: string, bytes: Uint8Array): Readonly<Record<string, string>> {
  const text = printableText(bytes)
  return text === undefined ? { [`${name}Hex`]: Buffer.from(bytes).toString('hex') } : { [name]: text }
}

/** JSON of whatever metadata holds: bytes as `{ hex }`, big integers as text, what JSON has no word for as null. */
export function jsonText(value: unknown, indent?: number): string {
  const replacer = function (this: unknown, key: string, replaced: unknown): unknown {
    // Buffers have a toJSON of their own, which ran already: ask the holder for the original.
    const original: unknown = typeof this === 'object' && this !== null ? Reflect.get(this, key) : replaced
    if (original instanceof Uint8Array) return { hex: Buffer.from(original).toString('hex') }
    if (typeof original === 'bigint') return String(original)
    if (original instanceof Map) return Object.fromEntries(original)
    if (original instanceof Set) return [...original]
    return replaced
  }
  return JSON.stringify(value, replacer, indent) ?? 'null'
}

function cutText(text: string, bytesMax: number): string {
  // At most bytesMax characters; never half of a surrogate pair.
  const cut = text.slice(0, bytesMax)
  return /[\uD800-\uDBFF]$/.test(cut) ? cut.slice(0, -1) : cut
}

function hex(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')}`
}
