import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeLine, DumpTally, encodeEntry } from '../src/dump-format.ts'

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))

describe('an entry', () => {
  test('is text where its bytes are text', () => {
    expect(encodeEntry({ key: Buffer.from('a'), value: Buffer.from('{"x":1}') })).toBe(
      '{"k":"a","v":"{\\"x\\":1}"}',
    )
  })

  test('is base64 where they are not', () => {
    expect(encodeEntry({ key: Buffer.from([0xff]), value: Buffer.from([0]) })).toBe(
      '{"k64":"/w==","v":"\\u0000"}',
    )
  })

  test('comes back byte for byte, in one line', () => {
    fc.assert(
      fc.property(fc.record({ key: bytes, value: bytes }), (entry) => {
        const text = encodeEntry(entry)
        expect(text).not.toContain('\n')
        expect(decodeLine(text, 2)).toEqual({ type: 'entry', entry })
      }),
    )
  })

  test('a byte order mark survives', () => {
    const entry = { key: Buffer.from('\ufeffa'), value: Buffer.from('\ufeff') }
    expect(decodeLine(encodeEntry(entry), 2)).toEqual({ type: 'entry', entry })
  })
})

test.each([
  '',
  'x',
  '[]',
  '1',
  '{"k":"a"}',
  '{"k":1,"v":"a"}',
  '{"k64":"*","v":"a"}',
  '{"timberline":"dump","format":2}',
])('the line %j is refused with its number', (text) => {
  expect(() => decodeLine(text, 7)).toThrowError(expect.objectContaining({ code: 'CLI_LOAD_FORMAT' }))
  expect(() => decodeLine(text, 7)).toThrow(/line 7/)
})

test('the digest is told from one where a boundary moved', () => {
  const one = new DumpTally()
  one.add({ key: Buffer.from('ab'), value: Buffer.from('c') })
  const other = new DumpTally()
  other.add({ key: Buffer.from('a'), value: Buffer.from('bc') })
  expect(one.end().sha256).not.toBe(other.end().sha256)
})
