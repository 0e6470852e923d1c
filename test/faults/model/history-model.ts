/**
 * The model: what the log must say, record by record. A line of history is a list of records; the state after any of them is
 * worked out from the list alone, so is the outcome of any recovery target.
 */
import { createHash } from 'node:crypto'
import { isBulkLoadMark } from '@timberline/engine'
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

/** Consecutive LSNs, both ends included. */
export interface Range {
  readonly fromLsn: number
  readonly throughLsn: number
}

/** What a history offers to recovery. */
export interface Offer {
  /** The records up to the last one that the source knows of, from LSN 1. */
  readonly records: readonly Entry[]
  /** LSNs of the backups that a recovery can start from, ascending. */
  readonly bases: readonly number[]
  /** What of the log can be read; default: all of it. */
  readonly ranges?: readonly Range[]
}

/** Works out from the definition of the targets where a recovery ends; the product's planner is held against it. */
export function endingOf(target: Target, offer: Offer): Ending {
  const { records, bases } = offer
  switch (target.type) {
    case 'latest':
      return bases.length === 0 ? NO_BASE : endingThrough(records.length, offer)
    case 'lsn':
      return endingThrough(target.edge === 'through' ? target.lsn : target.lsn - 1, offer)
    case 'mark': {
      const [mark, second] = records.filter(
        // The engine's own marks are nobody's targets.
        (entry) => entry.kind === 'mark' && entry.name === target.name && !isLoad(entry),
      )
      if (mark === undefined) return { codes: ['RECOVERY_MARK_UNKNOWN'] }
      if (second !== undefined) return { codes: ['RECOVERY_MARK_AMBIGUOUS'] }
      return endingThrough(target.edge === 'through' ? mark.lsn : mark.lsn - 1, offer)
    }
    case 'time':
      return timeEnding(target, offer)
  }
}

/** Whether the state at an LSN can be had. */
export function canReach(lsn: number, offer: Offer): boolean {
  return 'lsn' in endingThrough(lsn, offer)
}

const NO_BASE: Ending = { codes: ['RECOVERY_NO_BASE'] }

function endingThrough(lsn: number, offer: Offer): Ending {
  const base = offer.bases.findLast((candidate) => candidate <= lsn)
  if (base === undefined) return NO_BASE
  const reach = reachFrom(base, offer)
  return lsn <= reach ? { lsn } : beyond(reach, offer)
}

function timeEnding({ atUs, edge }: Target & { type: 'time' }, offer: Offer): Ending {
  const { records, bases } = offer
  const timeOf = (lsn: number): number => records[lsn - 1]?.committedAtUs ?? 0
  const isKept = (lsn: number): boolean => (edge === 'through' ? timeOf(lsn) <= atUs : timeOf(lsn) < atUs)
  const base = bases.findLast(isKept)
  if (base === undefined) return NO_BASE
  if (timeOf(base) === atUs) return { lsn: base }
  const reach = reachFrom(base, offer)
  const load = records[reach]
  const isAtLoad = load !== undefined && isLoad(load)
  // Data that came in at that time is a part of the state, and no replay brings it.
  if (isAtLoad && isKept(load.lsn)) return beyond(reach, offer)
  const read = records.slice(base, reach + (isAtLoad ? 1 : 0))
  // Only a record at that time or later proves that no commit before it is missing.
  const isProved = read.some(({ committedAtUs }) => committedAtUs >= atUs)
  return isProved ? { lsn: base + read.filter(({ lsn }) => isKept(lsn)).length } : beyond(reach, offer)
}

/** How far the log can be read from a backup on. */
function reachFrom(base: number, { records, ranges }: Offer): number {
  const load = records.find((entry) => entry.lsn > base && isLoad(entry))
  const limit = load === undefined ? records.length : load.lsn - 1
  if (ranges === undefined) return limit
  let reach = base
  for (;;) {
    const next = ranges.find(({ fromLsn, throughLsn }) => fromLsn <= reach + 1 && reach < throughLsn)
    if (next === undefined || reach >= limit) return Math.min(reach, limit)
    reach = next.throughLsn
  }
}

/** Whether data was loaded beside the log here: no replay leads past it. */
export function isLoad({ kind, name }: Entry): boolean {
  return kind === 'mark' && name !== undefined && isBulkLoadMark({ name })
}

/** Past what can be read: behind a load, at the end of the history, or, where only parts of the log are held, in a hole of it. */
function beyond(reach: number, { records, ranges }: Offer): Ending {
  const next = records[reach]
  if (next !== undefined && isLoad(next)) return { codes: ['RECOVERY_BULK_LOAD'] }
  const codes = ['RECOVERY_TARGET_AFTER_END']
  return { codes: ranges === undefined ? codes : [...codes, 'RECOVERY_LOG_GAP'] }
}

function short(value: string): string {
  return value.length > 12 ? `${value.slice(0, 9)}…` : value
}
