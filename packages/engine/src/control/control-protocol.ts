/**
 * One JSON object a line, in both directions, over a Unix socket in the home. A convenience: backups and recoveries work
 * without it.
 */
import * as v from 'valibot'
import { BARRIER_MEMBERS_MAX } from './barrier-member.ts'
import { PAUSE_MS_MAX } from '../commit/commit-pause.ts'
import { engineError } from '../errors.ts'

/** What the owner of a home can be asked. */
export type ControlRequest =
  | { readonly type: 'status' }
  /** Take a checkpoint; `digest` records the digest of its state. */
  | { readonly type: 'checkpoint'; readonly digest?: boolean; readonly hashed?: boolean }
  /** Seal the active segment and begin the next. */
  | { readonly type: 'switch' }
  /** Meter what commits wait, from now on until this connection ends. */
  | { readonly type: 'meter' }
  /** What was metered for this connection so far. */
  | { readonly type: 'metered' }
  /** The digest of the present state. */
  | { readonly type: 'digest' }
  /** Keep log segments until released, or until the process `pid` ends. */
  | { readonly type: 'hold'; readonly purpose: string; readonly pid: number }
  | { readonly type: 'release'; readonly id: string }
  /** Let commits wait; `connected` ends it with this connection. */
  | { readonly type: 'quiesce'; readonly maxMs?: number; readonly connected?: boolean }
  /** Let commits go on. */
  | { readonly type: 'resume'; readonly id?: string }
  /** Write a named restore point. */
  | { readonly type: 'mark'; readonly name: string }
  /** Pause for a mark over several databases, and write its note; ended with this connection. */
  | {
      readonly type: 'prepare'
      readonly barrier: string
      readonly name: string
      readonly members: readonly string[]
      readonly maxMs: number
    }
  /** Whether that pause goes on. */
  | { readonly type: 'held'; readonly barrier: string }
  /** Write the mark of a barrier that is prepared, and let commits go on. */
  | { readonly type: 'commit'; readonly barrier: string; readonly name: string }
  /** To a standby: let go of the folder, for a promotion. */
  | { readonly type: 'leave' }

/** A reply on the wire. */
export type ControlReply =
  | { readonly ok: true; readonly result: unknown }
  | {
      readonly ok: false
      readonly error: {
        readonly code: string
        readonly kind: string
        readonly message: string
        readonly hint: string
      }
    }

/** The longest request, in bytes. */
export const REQUEST_BYTES_MAX: number = 16 * 1024
/** The longest reply, in bytes. */
export const REPLY_BYTES_MAX: number = 4 * 1024 * 1024

const idSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,200}$/))
const nameSchema = v.pipe(v.string(), v.minLength(1), v.maxLength(1024))
const maxMsSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(PAUSE_MS_MAX))

const requestSchema = v.variant('type', [
  v.strictObject({ type: v.literal('status') }),
  v.strictObject({
    type: v.literal('checkpoint'),
    digest: v.exactOptional(v.boolean()),
    hashed: v.exactOptional(v.boolean()),
  }),
  v.strictObject({ type: v.literal('switch') }),
  v.strictObject({ type: v.literal('meter') }),
  v.strictObject({ type: v.literal('metered') }),
  v.strictObject({ type: v.literal('digest') }),
  v.strictObject({
    type: v.literal('hold'),
    purpose: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
    pid: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  }),
  v.strictObject({ type: v.literal('release'), id: idSchema }),
  v.strictObject({
    type: v.literal('quiesce'),
    maxMs: v.exactOptional(maxMsSchema),
    connected: v.exactOptional(v.boolean()),
  }),
  v.strictObject({ type: v.literal('resume'), id: v.exactOptional(idSchema) }),
  v.strictObject({ type: v.literal('mark'), name: nameSchema }),
  v.strictObject({
    type: v.literal('prepare'),
    barrier: idSchema,
    name: nameSchema,
    members: v.pipe(v.array(nameSchema), v.minLength(1), v.maxLength(BARRIER_MEMBERS_MAX)),
    maxMs: maxMsSchema,
  }),
  v.strictObject({ type: v.literal('held'), barrier: idSchema }),
  v.strictObject({ type: v.literal('commit'), barrier: idSchema, name: nameSchema }),
  v.strictObject({ type: v.literal('leave') }),
])

const replySchema = v.variant('ok', [
  v.object({ ok: v.literal(true), result: v.unknown() }),
  v.object({
    ok: v.literal(false),
    error: v.object({ code: v.string(), kind: v.string(), message: v.string(), hint: v.string() }),
  }),
])

/**
 * The request in a line.
 *
 * @throws ENGINE_CONTROL_REQUEST
 */
export function decodeRequest(line: string): ControlRequest {
  try {
    return v.parse(requestSchema, JSON.parse(line))
  } catch (cause) {
    throw engineError('ENGINE_CONTROL_REQUEST', 'the request cannot be understood', { cause })
  }
}

/**
 * The reply in a line.
 *
 * @throws ENGINE_CONTROL_FAILED
 */
export function decodeReply(line: string): ControlReply {
  try {
    return v.parse(replySchema, JSON.parse(line))
  } catch (cause) {
    throw engineError('ENGINE_CONTROL_FAILED', 'the reply cannot be understood', { cause })
  }
}

/** Cuts a byte stream into lines; refuses a line longer than the limit before keeping it. */
export class LineSplitter {
  readonly #bytesMax: number
  #pending: Buffer[] = []
  #pendingBytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * The lines that are whole now.
   *
   * @throws ENGINE_CONTROL_REQUEST when a line is too long
   */
  push(chunk: Buffer): string[] {
    const lines: string[] = []
    let from = 0
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      this.#keep(chunk.subarray(from, end))
      lines.push(Buffer.concat(this.#pending).toString('utf8'))
      this.#pending = []
      this.#pendingBytes = 0
      from = end + 1
    }
    this.#keep(chunk.subarray(from))
    return lines
  }

  #keep(part: Buffer): void {
    this.#pendingBytes += part.length
    if (this.#pendingBytes > this.#bytesMax) {
      throw engineError('ENGINE_CONTROL_REQUEST', 'a line is too long', {
        details: { bytesMax: this.#bytesMax },
      })
    }
    if (part.length > 0) this.#pending.push(part)
  }
}
