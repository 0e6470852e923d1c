import { describe, expect, test } from 'vitest'
import { Arguments, type OptionValue } from '../src/arguments.ts'
import type { PrintedRecord } from '../src/log-record.ts'
import { parseMetaCondition, selectionOf, selectRecord } from '../src/log-selection.ts'

const record: PrintedRecord = {
  lsn: 7,
  committedAtUs: 1000,
  content: {
    kind: 'entry',
    meta: { actor: 'import=7', request: { id: 5 } },
    operations: [
      { type: 'put', key: Buffer.from('FR/1'), value: Buffer.from('x') },
      { type: 'del', key: Buffer.from('DE/1') },
    ],
  },
}
const mark: PrintedRecord = { lsn: 8, committedAtUs: 2000, content: { kind: 'mark', name: 'release' } }

function select(
  options: Readonly<Record<string, OptionValue>>,
  of: PrintedRecord = record,
): PrintedRecord | undefined {
  return selectRecord(of, selectionOf(new Arguments(new Map(Object.entries(options)))))
}

describe('printlog shows', () => {
  test('everything when nothing is asked', () => {
    expect(select({})).toBe(record)
    expect(select({}, mark)).toBe(mark)
  })

  test('a range of LSNs, both ends included', () => {
    expect(select({ begin: 7, end: 7 })).toBe(record)
    expect(select({ begin: 8 })).toBeUndefined()
    expect(select({ end: 6 })).toBeUndefined()
  })

  test('a span of time, the end excluded', () => {
    expect(select({ since: 1000, until: 1001 })).toBe(record)
    expect(select({ since: 1001 })).toBeUndefined()
    expect(select({ until: 1000 })).toBeUndefined()
  })

  test('of a transaction only the operations with the key', () => {
    expect(select({ key: 'FR/' })?.content).toMatchObject({ operations: [{ type: 'put' }] })
    expect(select({ key: '0x4445' })?.content).toMatchObject({ operations: [{ type: 'del' }] })
    expect(select({ key: 'GB/' })).toBeUndefined()
    expect(select({ key: 'FR/' }, mark)).toBeUndefined()
  })

  test('transactions by their metadata', () => {
    expect(select({ meta: ['actor=import=7'] })).toBe(record)
    expect(select({ meta: ['request.id=5', 'actor'] })).toBe(record)
    expect(select({ meta: ['request={"id":5}'] })).toBe(record)
    expect(select({ meta: ['actor=other'] })).toBeUndefined()
    expect(select({ meta: ['absent'] })).toBeUndefined()
    expect(select({ meta: ['constructor'] })).toBeUndefined()
  })

  test('one kind of record', () => {
    expect(select({ kind: 'mark' })).toBeUndefined()
    expect(select({ kind: 'mark' }, mark)).toBe(mark)
    expect(select({ kind: 'entry' })).toBe(record)
  })
})

test('a condition is a path and, after the first =, a value', () => {
  expect(parseMetaCondition('a.b=c=d')).toEqual({ path: ['a', 'b'], value: 'c=d' })
  expect(parseMetaCondition('a')).toEqual({ path: ['a'], value: undefined })
})
