// What is remembered of recent commits, for whom, and for how long.
import { describe, expect, it } from 'vitest'
import type { PlacedCommit } from '../src/commit/commit-queue.ts'
import { ConflictWindow } from '../src/commit/conflict-window.ts'
import { keyText, ReadSet } from '../src/commit/read-set.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'

function commit(lsn: number, ...keys: readonly string[]): PlacedCommit {
  const operations = keys.map((key) => ({
    type: 'put' as const,
    key: Buffer.from(key),
    value: Buffer.from('v'),
  }))
  return { lsn, committedAtUs: lsn, payload: encodeTransaction({ operations }), kind: 'entry' }
}

function readOf(...keys: readonly string[]): ReadSet {
  const reads = new ReadSet()
  for (const key of keys) reads.addKey(Buffer.from(key))
  return reads
}

const key = (name: string): string => keyText(Buffer.from(name))

describe('a reader', () => {
  it('conflicts with what came behind its snapshot alone, a key or a range', () => {
    const window = new ConflictWindow()
    const reader = { lsn: 5 }
    // Of what was under way when it began, its snapshot has the first.
    window.begin(reader, 4, [commit(5, 'a'), commit(6, 'b')])
    window.placed(commit(7, 'c'))
    expect(window.conflict(reader, readOf('a'))).toBeUndefined()
    expect(window.conflict(reader, readOf('a', 'b'))).toBe(6)
    expect(window.conflict(reader, readOf('c'))).toBe(7)
    const range = new ReadSet()
    range.addRange({ from: key('b'), to: key('bz') })
    expect(window.conflict(reader, range)).toBe(6)
    const before = new ReadSet()
    before.addRange({ from: undefined, to: key('a') })
    expect(window.conflict(reader, before)).toBeUndefined()
  })

  it('conflicts with all that is not remembered by keys, unless it read nothing', () => {
    const window = new ConflictWindow()
    const reader = { lsn: 5 }
    window.begin(reader, 5, [])
    window.overwritten(6)
    expect(window.conflict(reader, readOf('z'))).toBe(6)
    expect(window.conflict(reader, new ReadSet())).toBeUndefined()
    const later = { lsn: 6 }
    window.begin(later, 6, [])
    expect(window.conflict(later, readOf('z'))).toBeUndefined()
  })
})

describe('what is remembered', () => {
  it('begins with the first reader and goes with the last one', () => {
    const window = new ConflictWindow()
    window.placed(commit(1, 'a'))
    expect(window.lastWrite(key('a'))).toBe(0)
    const [first, second] = [{ lsn: 1 }, { lsn: 2 }]
    window.begin(first, 1, [])
    window.placed(commit(2, 'a'))
    window.begin(second, 2, [])
    window.end(first)
    expect(window.lastWrite(key('a'))).toBe(2)
    expect(window.wroteAfter(1)).toBe(true)
    window.end(second)
    expect(window.lastWrite(key('a'))).toBe(0)
    expect(window.wroteAfter(1)).toBe(false)
    // Nobody is there for whom it would be remembered.
    window.placed(commit(3, 'a'))
    expect(window.lastWrite(key('a'))).toBe(0)
  })

  it('has nothing at or before what the first reader reads', () => {
    const window = new ConflictWindow()
    window.begin({ lsn: 5 }, 5, [commit(5, 'a'), commit(6, 'b')])
    expect(window.lastWrite(key('a'))).toBe(0)
    expect(window.lastWrite(key('b'))).toBe(6)
  })
})
