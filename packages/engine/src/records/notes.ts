import * as v from 'valibot'

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const text = v.pipe(v.string(), v.maxLength(1024))
const noteSchema = v.variant('type', [
  v.object({ type: v.literal('checkpoint'), lsn: count, segmentNumber: count, tables: count }),
  v.object({ type: v.literal('barrier'), id: text, name: text, members: v.array(text) }),
  v.object({ type: v.literal('timeline'), timeline: count, parent: count, forkLsn: count }),
])

/** The engine's own bookkeeping in the log, decoded from a record of kind `note`. Notes change no state. */
export type Note =
  /** A checkpoint at `lsn` appeared; `segmentNumber` is the first segment needed to go on from it. */
  | {
      readonly type: 'checkpoint'
      readonly lsn: number
      readonly segmentNumber: number
      readonly tables: number
    }
  /**
   * A mark over several databases was being made here. Its point was reached by all `members` only if a mark of that name
   * stands behind this note, in this log or in another member's.
   */
  | {
      readonly type: 'barrier'
      readonly id: string
      readonly name: string
      readonly members: readonly string[]
    }
  /** The first record of a timeline that left `parent` behind `forkLsn`: a recovery or a promotion was here. */
  | {
      readonly type: 'timeline'
      readonly timeline: number
      readonly parent: number
      readonly forkLsn: number
    }
  /** Written by a later version. */
  | { readonly type: 'unknown' }

/** UTF-8 JSON. */
export function encodeNote(note: Note): Buffer {
  return Buffer.from(JSON.stringify(note))
}

/** The note in a payload; one that this version does not know is `unknown`, never an error: notes change no state. */
export function decodeNote(payload: Uint8Array): Note {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(payload).toString('utf8'))
  } catch {
    return { type: 'unknown' }
  }
  const parsed = v.safeParse(noteSchema, value)
  return parsed.success ? parsed.output : { type: 'unknown' }
}
