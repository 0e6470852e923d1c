// The portable text of a state: JSON lines. A head, one line an entry in key order, and a closing line that counts them and
// carries their digest, so that a dump that was cut off or edited is told from a whole one. README.md describes it.
import { createHash, type Hash } from 'node:crypto'
import { cliError } from './errors.ts'

/** The first line. */
export interface DumpHead {
  readonly timberline: 'dump'
  readonly format: 1
  readonly environmentId: string
  readonly timeline: number
  /** The state is the one after this transaction. */
  readonly lsn: number
}

/** The last line. */
export interface DumpEnd {
  readonly end: true
  readonly entries: number
  /** sha256 over u32le key length, u32le value length, key, value of all entries: the state digest. */
  readonly sha256: string
}

/** One entry. */
export interface DumpEntry {
  readonly key: Buffer
  readonly value: Buffer
}

/** What a line of a dump says. */
export type DumpLine =
  | { readonly type: 'head'; readonly head: DumpHead }
  | { readonly type: 'entry'; readonly entry: DumpEntry }
  | { readonly type: 'end'; readonly end: DumpEnd }

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The line of an entry, without its line end: `k` and `v` as text where they are UTF-8, else `k64` and `v64`. */
export function encodeEntry({ key, value }: DumpEntry): string {
  return JSON.stringify({ ...field('k', key), ...field('v', value) })
}

/**
 * Understands one line.
 *
 * @throws CLI_LOAD_FORMAT
 */
export function decodeLine(text: string, lineNumber: number): DumpLine {
  const value = parseObject(text, lineNumber)
  if (value['timberline'] === 'dump') {
    const { format, environmentId, timeline, lsn } = value
    if (format !== 1) throw refusal(lineNumber, 'its format is not known')
    if (typeof environmentId !== 'string' || !isCount(timeline) || !isCount(lsn))
      throw refusal(lineNumber, 'the head lacks environment, timeline or LSN')
    return { type: 'head', head: { timberline: 'dump', format, environmentId, timeline, lsn } }
  }
  if (value['end'] === true) {
    const { entries, sha256 } = value
    if (!isCount(entries) || typeof sha256 !== 'string')
      throw refusal(lineNumber, 'the closing line lacks count or digest')
    return { type: 'end', end: { end: true, entries, sha256 } }
  }
  return {
    type: 'entry',
    entry: { key: bytesOf(value, 'k', lineNumber), value: bytesOf(value, 'v', lineNumber) },
  }
}

/** Counts and digests entries as they pass. */
export class DumpTally {
  entries = 0
  bytes = 0
  readonly #hash: Hash = createHash('sha256')

  add({ key, value }: DumpEntry): void {
    const lengths = Buffer.allocUnsafe(8)
    lengths.writeUInt32LE(key.length, 0)
    lengths.writeUInt32LE(value.length, 4)
    this.#hash.update(lengths).update(key).update(value)
    this.entries++
    this.bytes += key.length + value.length
  }

  /** The closing line; call once. */
  end(): DumpEnd {
    return { end: true, entries: this.entries, sha256: this.#hash.digest('hex') }
  }
}

function field(name: 'k' | 'v', bytes: Buffer): Readonly<Record<string, string>> {
  try {
    return { [name]: strictUtf8.decode(bytes) }
  } catch {
    // Not UTF-8: the decoder says so only by throwing.
    return { [`${name}64`]: bytes.toString('base64') }
  }
}

function bytesOf(value: Readonly<Record<string, unknown>>, name: 'k' | 'v', lineNumber: number): Buffer {
  const text = value[name]
  if (typeof text === 'string') return Buffer.from(text, 'utf8')
  const base64 = value[`${name}64`]
  if (typeof base64 === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(base64))
    return Buffer.from(base64, 'base64')
  throw refusal(lineNumber, `neither ${name} nor ${name}64`)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function parseObject(text: string, lineNumber: number): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>
  } catch (cause) {
    throw refusal(lineNumber, 'not JSON', cause)
  }
  throw refusal(lineNumber, 'not an object')
}

function refusal(lineNumber: number, why: string, cause?: unknown): Error {
  return cliError('CLI_LOAD_FORMAT', `line ${String(lineNumber)} is not of a dump, ${why}`, { cause })
}
