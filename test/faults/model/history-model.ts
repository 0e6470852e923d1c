/**
 * The model: what the log must say, record by record. A line of history is a list of records; the state after any of them is
 * worked out from the list alone, so is the outcome of any recovery target.
 */
import { createHash } from 'node:crypto'
import type { Target } from '@timberline/recovery'

export type Change = readonly [key: string, value: string | undefined]

/** One transaction, or one named restore point. */
export interface Entry {
  readonly lsn: number
  readonly committedAtUs: number
  readonly kind: 'entry' | 'mark' | 'note'
  /** What it wrote; `undefined` deletes. */
  readonly changes: readonly Change[]
  /** Of a mark. */
  readonly name?: string
  /** Which call wrote it: two records with the same changes are still two. */
  readonly id: number
}

export type Content = ReadonlyMap<string, string>

/** The content after the first `lsn` records. */
export function contentAt(records: readonly Entry[], lsn: number): Content {
  const content = new Map<string, string>()
  for (const { changes } of records.slice(0, lsn)) {
    for (const [key, value] of changes) {
      if (value === undefined) content.delete(key)
      else content.set(key, value)
    }
  }
  return content
}

/** In key order, as a database lists it. */
export function listed(content: Content): string[] {
  return [...content].map(([key, value]) => `${key}=${value}`).toSorted()
}

/** The digest of a content, from its definition alone. */
export function digestOf(content: Content): string {
  const hash = createHash('sha256')
  for (const [key, value] of [...content].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const head = Buffer.alloc(8)
    head.writeUInt32LE(Buffer.byteLength(key), 0)
    head.writeUInt32LE(Buffer.byteLength(value), 4)
    hash.update(head).update(key).update(value)
  }
  return hash.digest('hex')
}

/** A record in one line, to compare and to print. */
export function textOf(entry: Entry | undefined): string {
  if (entry === undefined) return 'nothing'
  const { lsn, kind, name, id, changes, committedAtUs } = entry
  const what = changes.map(([key, value]) => (value === undefined ? `-${key}` : `${key}=${short(value)}`))
  return `${lsn} ${kind} ${name ?? what.join(' ')} #${id} at ${committedAtUs}`
}

/** Whether the records of `part` are the first ones of `whole`. */
export function isPrefix(part: readonly Entry[], whole: readonly Entry[]): boolean {
  return part.length <= whole.length && part.every((entry, index) => textOf(entry) === textOf(whole[index]))
}

/** How a recovery must end: at this LSN, or refused with one of these codes. */
export type Ending = { readonly lsn: number } | { readonly codes: readonly string[] }

/** What a history offers to recovery. */
export interface Offer {
  /** The records that the source holds, from LSN 1. */
  readonly records: readonly Entry[]
  /** LSNs of the backups that a recovery can start from, the oldest first. */
  readonly bases: readonly number[]
}

/** Works out from the definition of the targets where a recovery ends; the product's planner is held against it. */
export function endingOf(target: Target, { records, bases }: Offer): Ending {
  // Without any backup every place in the history lies before the oldest one.
  const oldest = bases[0] ?? Infinity
  switch (target.type) {
    case 'latest':
      return oldest === Infinity ? { codes: ['RECOVERY_NO_BASE'] } : { lsn: records.length }
    case 'lsn': {
      const lsn = target.edge === 'through' ? target.lsn : target.lsn - 1
      return lsn < oldest ? { codes: ['RECOVERY_NO_BASE'] } : within(lsn, records.length)
    }
    case 'mark': {
      const lsns = records.filter(({ kind, name }) => kind === 'mark' && name === target.name)
      const [mark, second] = lsns
      if (mark === undefined) return { codes: ['RECOVERY_MARK_UNKNOWN'] }
      if (second !== undefined) return { codes: ['RECOVERY_MARK_AMBIGUOUS'] }
      const lsn = target.edge === 'through' ? mark.lsn : mark.lsn - 1
      return lsn < oldest ? { codes: ['RECOVERY_NO_BASE'] } : { lsn }
    }
    case 'time':
      return timeEnding(target, { records, bases })
  }
}

function timeEnding({ atUs, edge }: Target & { type: 'time' }, { records, bases }: Offer): Ending {
  const isKept = ({ committedAtUs }: Entry): boolean =>
    edge === 'through' ? committedAtUs <= atUs : committedAtUs < atUs
  const [oldest] = bases
  const base = records[(oldest ?? 0) - 1]
  if (oldest === undefined) return { codes: ['RECOVERY_NO_BASE'] }
  if (base !== undefined && !isKept(base)) return { codes: ['RECOVERY_NO_BASE'] }
  const lsn = records.filter(isKept).length
  // Only a record at that time or later proves that no commit before it is missing.
  const isProved = records.some(({ committedAtUs }) => committedAtUs >= atUs)
  return isProved ? { lsn } : { codes: ['RECOVERY_TARGET_AFTER_END'] }
}

function within(lsn: number, end: number): Ending {
  return lsn > end ? { codes: ['RECOVERY_TARGET_AFTER_END'] } : { lsn }
}

function short(value: string): string {
  return value.length > 12 ? `${value.slice(0, 9)}…` : value
}
