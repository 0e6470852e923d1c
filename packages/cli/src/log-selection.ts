import type { Arguments } from './arguments.ts'
import type { PrintedRecord } from './log-record.ts'
import { jsonText } from './readable.ts'

/** Which records printlog shows. */
export interface Selection {
  readonly beginLsn: number
  readonly endLsn: number
  /** Committed at this time or later. */
  readonly sinceUs: number
  /** Committed before this time. */
  readonly untilUs: number
  readonly keyPrefix: Buffer | undefined
  readonly meta: readonly MetaCondition[]
  readonly kind: string | undefined
  readonly limit: number
}

/** A path into the metadata, and what must be found there; without a value, anything. */
export interface MetaCondition {
  readonly path: readonly string[]
  readonly value: string | undefined
}

/** The selection that the options of printlog ask for. */
export function selectionOf(args: Arguments): Selection {
  const key = args.text('key')
  return {
    beginLsn: args.number('begin') ?? 1,
    endLsn: args.number('end') ?? Number.MAX_SAFE_INTEGER,
    sinceUs: args.number('since') ?? 0,
    untilUs: args.number('until') ?? Infinity,
    keyPrefix: key === undefined ? undefined : keyBytes(key),
    meta: args.list('meta').map(parseMetaCondition),
    kind: args.text('kind'),
    limit: args.number('limit') ?? Infinity,
  }
}

/** `actor=import-7`, `request.id=5`, or `actor` alone. */
export function parseMetaCondition(text: string): MetaCondition {
  const at = text.indexOf('=')
  const path = (at < 0 ? text : text.slice(0, at)).split('.')
  return { path, value: at < 0 ? undefined : text.slice(at + 1) }
}

/** The record as it is to be shown, or `undefined`; of a transaction found by key, only the operations that match. */
export function selectRecord(record: PrintedRecord, selection: Selection): PrintedRecord | undefined {
  const { lsn, committedAtUs, content } = record
  if (lsn < selection.beginLsn || lsn > selection.endLsn) return undefined
  if (committedAtUs < selection.sinceUs || committedAtUs >= selection.untilUs) return undefined
  const kind = content.kind === 'payload' ? 'entry' : content.kind
  if (selection.kind !== undefined && selection.kind !== kind) return undefined
  const { keyPrefix, meta } = selection
  if (keyPrefix === undefined && meta.length === 0) return record
  if (content.kind !== 'entry' || !meta.every((condition) => holds(condition, content.meta))) return undefined
  if (keyPrefix === undefined) return record
  const operations = content.operations.filter(({ key }) =>
    key.subarray(0, keyPrefix.length).equals(keyPrefix),
  )
  return operations.length === 0 ? undefined : { ...record, content: { ...content, operations } }
}

function holds({ path, value }: MetaCondition, meta: unknown): boolean {
  let found = meta
  for (const part of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, part)) return false
    found = Reflect.get(found, part) as unknown
  }
  return value === undefined || (typeof found === 'string' ? found : jsonText(found)) === value
}

function keyBytes(text: string): Buffer {
  return text.startsWith('0x') ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text, 'utf8')
}
