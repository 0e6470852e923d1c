import { decodeNote, decodeTransaction, isBulkLoadMark, type Note } from '@timberline/engine'
import type { LogRecord } from '@timberline/wal'
import { formatInstant } from './instant.ts'
import { binaryField, formatBinary, jsonText } from './readable.ts'

/** One operation of a transaction, as printed. */
export interface PrintedOperation {
  readonly type: 'put' | 'del'
  readonly key: Buffer
  readonly value?: Buffer | undefined
}

/** A log record with its payload understood. */
export interface PrintedRecord {
  readonly lsn: number
  readonly committedAtUs: number
  readonly content:
    | { readonly kind: 'entry'; readonly operations: readonly PrintedOperation[]; readonly meta?: unknown }
    | { readonly kind: 'mark'; readonly name: string }
    | { readonly kind: 'note'; readonly note: Note }
    /** Payload of another program that uses the same log. */
    | { readonly kind: 'payload'; readonly payload: Buffer }
}

/** Understands a record's payload; one that is no transaction is shown as bytes. */
export function readRecord({ lsn, committedAtUs, kind, payload }: LogRecord): PrintedRecord {
  switch (kind) {
    case 'mark':
      return { lsn, committedAtUs, content: { kind, name: payload.toString('utf8') } }
    case 'note':
      return { lsn, committedAtUs, content: { kind, note: decodeNote(payload) } }
    case 'entry':
      return { lsn, committedAtUs, content: entryContent(payload) }
  }
}

function entryContent(payload: Buffer): PrintedRecord['content'] {
  try {
    const { operations, meta } = decodeTransaction(payload)
    return { kind: 'entry', operations, ...(meta === undefined ? {} : { meta }) }
  } catch {
    // The frame's checksum held, so these bytes are what was appended; only their meaning is another.
    return { kind: 'payload', payload }
  }
}

/** The record for people, in the shape of db_printlog: a head, then indented fields. */
export function recordLines(
  { lsn, committedAtUs, content }: PrintedRecord,
  bytesMax: number,
): readonly string[] {
  const head = `[${String(lsn)}] ${formatInstant(committedAtUs)}`
  switch (content.kind) {
    case 'mark':
      return isBulkLoadMark(content)
        ? [`${head} bulk load: data was put in beside the log`]
        : [`${head} mark ${JSON.stringify(content.name)}`]
    case 'note':
      return [`${head} note ${jsonText(content.note)}`]
    case 'payload':
      return [`${head} payload ${formatBinary(content.payload, bytesMax)}`]
    case 'entry':
      return [
        `${head} transaction, ${plural(content.operations.length, 'operation')}`,
        ...(content.meta === undefined ? [] : [`\tmeta: ${jsonText(content.meta)}`]),
        ...content.operations.map((operation) => `\t${operationText(operation, bytesMax)}`),
      ]
  }
}

/** The record for machines, never shortened. */
export function recordDocument({ lsn, committedAtUs, content }: PrintedRecord): unknown {
  const head = { lsn, committedAt: formatInstant(committedAtUs), committedAtUs, kind: content.kind }
  switch (content.kind) {
    case 'mark':
      return { ...head, name: content.name }
    case 'note':
      return { ...head, note: content.note }
    case 'payload':
      return { ...head, ...binaryField('payload', content.payload) }
    case 'entry':
      return {
        ...head,
        ...(content.meta === undefined ? {} : { meta: content.meta }),
        operations: content.operations.map(({ type, key, value }) => ({
          type,
          ...binaryField('key', key),
          ...(value === undefined ? {} : binaryField('value', value)),
        })),
      }
  }
}

function operationText({ type, key, value }: PrintedOperation, bytesMax: number): string {
  const shown = value === undefined ? '' : ` = ${formatBinary(value, bytesMax)}`
  return `${type}: ${formatBinary(key, bytesMax)}${shown}`
}

function plural(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? '' : 's'}`
}
