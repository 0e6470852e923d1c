// FORMAT.md#checked-json
import { createHash } from 'node:crypto'

const TAIL = /^,\n {2}"sha256": "([0-9a-f]{64})"\n\}\n$/
const TAIL_BYTES = 83

/** Either a value whose checksum held, or what is wrong. */
export type CheckedJson =
  | { readonly type: 'whole'; readonly value: unknown }
  | { readonly type: 'damaged'; readonly reason: string }

/** A JSON object as text whose last member is the sha256 of all the text before it. */
export function encodeCheckedJson(value: Readonly<Record<string, unknown>>): Buffer {
  const text = JSON.stringify(value, undefined, 2)
  const body = text.slice(0, text.lastIndexOf('\n}'))
  return Buffer.from(`${body},\n  "sha256": "${sha256Of(Buffer.from(body))}"\n}\n`)
}

/** The value without its checksum, or what is wrong with the bytes; never throws. */
export function decodeCheckedJson(content: Uint8Array): CheckedJson {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  const body = bytes.subarray(0, Math.max(0, bytes.length - TAIL_BYTES))
  const expected = TAIL.exec(bytes.toString('latin1', body.length))?.[1]
  if (expected === undefined) return { type: 'damaged', reason: 'its end is not a checksum' }
  if (sha256Of(body) !== expected) return { type: 'damaged', reason: 'it does not match its checksum' }
  try {
    return { type: 'whole', value: JSON.parse(`${body.toString('utf8')}\n}`) }
  } catch (error) {
    return { type: 'damaged', reason: error instanceof Error ? error.message : 'it is not JSON' }
  }
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
