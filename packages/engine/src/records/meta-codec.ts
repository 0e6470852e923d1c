// Meta is anything that MessagePack can say in plain values; see FORMAT.md, "Meta". The only file that names msgpackr.
import { Packr, Unpackr } from 'msgpackr'
import { engineError } from '../errors.ts'

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true })
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true })

/** Deeper nesting than this is refused, so that no stack overflows. */
const DEPTH_MAX = 64
const TIMESTAMP = -1

/**
 * Plain values, dates and bytes as MessagePack.
 *
 * @throws ENGINE_META_INVALID
 */
export function encodeMeta(meta: unknown): Buffer {
  // msgpackr would make an empty object of much that it does not know; what cannot come back must not go in.
  if (!isPlainValue(meta)) {
    throw engineError('ENGINE_META_INVALID', 'the meta holds more than plain values, dates and bytes', {
      details: { depthMax: DEPTH_MAX },
    })
  }
  try {
    return packr.encode(meta)
  } catch (cause) {
    throw engineError('ENGINE_META_INVALID', 'the meta cannot be encoded', { cause })
  }
}

function isPlainValue(meta: unknown): boolean {
  const open: { value: unknown; depth: number }[] = [{ value: meta, depth: 0 }]
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    const { value, depth } = item
    if (isSimple(value)) continue
    if (depth === DEPTH_MAX || !isContainer(value)) return false
    for (const inner of Object.values(value)) open.push({ value: inner, depth: depth + 1 })
  }
  return true
}

function isSimple(value: unknown): boolean {
  if (value === null || value instanceof Date || value instanceof Uint8Array) return true
  return ['undefined', 'boolean', 'number', 'bigint', 'string'].includes(typeof value)
}

function isContainer(value: unknown): value is object {
  if (Array.isArray(value)) return true
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/**
 * The value in a transaction's meta.
 *
 * @throws ENGINE_RECORD_DAMAGED
 */
export function decodeMeta(bytes: Uint8Array): unknown {
  // msgpackr believes lengths and runs extensions; it gets to see only what has been walked through.
  if (!isPlain(bytes)) throw engineError('ENGINE_RECORD_DAMAGED', 'the meta is not plain MessagePack')
  try {
    const value: unknown = unpackr.decode(bytes)
    return value
  } catch (cause) {
    throw engineError('ENGINE_RECORD_DAMAGED', 'the meta cannot be decoded', { cause })
  }
}

/** How a value that begins with a byte goes on: bytes to skip, or how many values follow inside it. */
interface Shape {
  readonly skip: number
  readonly items: number
}

/** Whether the bytes are exactly one value, made of nothing but what every MessagePack library knows. */
function isPlain(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const open: number[] = []
  let left = 1
  let at = 0
  while (left > 0) {
    const shape = at < bytes.length ? shapeAt(view, at) : undefined
    if (shape === undefined || shape.skip + shape.items > bytes.length - at) return false
    at += shape.skip
    left -= 1
    if (shape.items > 0) {
      if (open.length >= DEPTH_MAX) return false
      open.push(left)
      left = shape.items
    }
    while (left === 0 && open.length > 0) left = open.pop() ?? 0
  }
  return at === bytes.length
}

const FIXED: Readonly<Record<number, number>> = {
  0xc0: 1,
  0xc2: 1,
  0xc3: 1,
  0xca: 5,
  0xcb: 9,
  0xcc: 2,
  0xcd: 3,
  0xce: 5,
  0xcf: 9,
  0xd0: 2,
  0xd1: 3,
  0xd2: 5,
  0xd3: 9,
}
/** Heads that are followed by a length: its width in bytes. */
const COUNTED: Readonly<Record<number, 1 | 2 | 4>> = { 0xc4: 1, 0xc5: 2, 0xc6: 4, 0xd9: 1, 0xda: 2, 0xdb: 4 }
const ARRAYS: Readonly<Record<number, 2 | 4>> = { 0xdc: 2, 0xdd: 4 }
const MAPS: Readonly<Record<number, 2 | 4>> = { 0xde: 2, 0xdf: 4 }

function shapeAt(view: DataView, at: number): Shape | undefined {
  const head = view.getUint8(at)
  if (head < 0x80 || head >= 0xe0) return { skip: 1, items: 0 }
  if (head < 0x90) return { skip: 1, items: (head & 0x0f) * 2 }
  if (head < 0xa0) return { skip: 1, items: head & 0x0f }
  if (head < 0xc0) return { skip: 1 + (head & 0x1f), items: 0 }
  const fixed = FIXED[head]
  if (fixed !== undefined) return { skip: fixed, items: 0 }
  const width = COUNTED[head] ?? ARRAYS[head] ?? MAPS[head]
  if (width === undefined) return timestampAt(view, at)
  if (view.byteLength - at - 1 < width) return undefined
  const count =
    width === 1 ? view.getUint8(at + 1) : width === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1)
  if (head in COUNTED) return { skip: 1 + width + count, items: 0 }
  return { skip: 1 + width, items: head in MAPS ? count * 2 : count }
}

/** fixext 4, fixext 8 and ext 8 of the one extension that MessagePack itself defines. */
function timestampAt(view: DataView, at: number): Shape | undefined {
  const head = view.getUint8(at)
  const typeAt = head === 0xc7 ? at + 2 : at + 1
  if (typeAt >= view.byteLength || view.getInt8(typeAt) !== TIMESTAMP) return undefined
  if (head === 0xd6) return { skip: 6, items: 0 }
  if (head === 0xd7) return { skip: 10, items: 0 }
  return head === 0xc7 && view.getUint8(at + 1) === 12 ? { skip: 15, items: 0 } : undefined
}
