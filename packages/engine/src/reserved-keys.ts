import { engineError } from './errors.ts'

const PREFIX_BYTES = 16
const APPLIED_BYTES = 16

/** Keys from here on are the engine's own: refused to users and hidden from them. Sixteen 0xFF bytes. */
export const RESERVED_FLOOR: Buffer = Buffer.alloc(PREFIX_BYTES, 0xff)

/**
 * Where the LSN of the last applied record lives, written in the same LevelDB batch as the operations of that record.
 * It is the greatest key of the database, so it lies in the last block of a table.
 */
export const APPLIED_KEY: Buffer = Buffer.concat([RESERVED_FLOOR, Buffer.from('applied')])

/** How far the log has been applied: everything through `lsn`, committed at `committedAtUs`. */
export interface AppliedPosition {
  readonly lsn: number
  readonly committedAtUs: number
}

/** Nothing applied yet. */
export const NOTHING_APPLIED: AppliedPosition = Object.freeze({ lsn: 0, committedAtUs: 0 })

/**
 * The position while data is being loaded beside the log: beyond the end of every log, so that whoever finds it knows that the
 * state is not to be used.
 */
export const LOADING: AppliedPosition = Object.freeze({ lsn: Number.MAX_SAFE_INTEGER, committedAtUs: 0 })

/** Whether a key lies in the engine's own zone. */
export function isReservedKey(key: Uint8Array): boolean {
  // Asked of every key: most are told by their first byte.
  return key[0] === 0xff && Buffer.compare(key, RESERVED_FLOOR) >= 0
}

/** The value under {@link APPLIED_KEY}: u64le lsn, u64le commit time in microseconds. */
export function encodeApplied(position: AppliedPosition): Buffer {
  const value = Buffer.allocUnsafe(APPLIED_BYTES)
  value.writeBigUInt64LE(BigInt(position.lsn), 0)
  value.writeBigUInt64LE(BigInt(position.committedAtUs), 8)
  return value
}

/**
 * The position in a value found under {@link APPLIED_KEY}.
 *
 * @throws ENGINE_STATE_DAMAGED
 */
export function decodeApplied(value: Uint8Array | undefined): AppliedPosition {
  if (value === undefined) return NOTHING_APPLIED
  if (value.length === APPLIED_BYTES) {
    const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    const lsn = Number(view.readBigUInt64LE(0))
    const committedAtUs = Number(view.readBigUInt64LE(8))
    if (Number.isSafeInteger(lsn) && Number.isSafeInteger(committedAtUs)) return { lsn, committedAtUs }
  }
  throw engineError('ENGINE_STATE_DAMAGED', 'the applied position cannot be decoded', {
    details: { bytes: value.length },
  })
}
