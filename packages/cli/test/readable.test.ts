import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { columns, formatBytes, formatCount, formatMs } from '../src/quantity.ts'
import { binaryField, formatBinary, jsonText, printableText } from '../src/readable.ts'

describe('bytes', () => {
  test.each([
    ['text', Buffer.from('FR/2988507'), '"FR/2988507"'],
    ['text beyond ASCII', Buffer.from('Zürich 北京 🏔'), '"Zürich 北京 🏔"'],
    ['quotes', Buffer.from('{"a":1}'), '"{\\"a\\":1}"'],
    ['nothing', Buffer.alloc(0), '""'],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0x00]), '0xff00'],
    ['control characters', Buffer.from('a\nb'), '0x610a62'],
    ['an escape sequence for a terminal', Buffer.from('\u001b[2J'), '0x1b5b324a'],
    ['direction overrides', Buffer.from('a\u202eb'), '0x61e280ae62'],
  ])('%s', (_, bytes, shown) => {
    expect(formatBinary(bytes)).toBe(shown)
  })

  test('long ones are cut, and say how long they are', () => {
    expect(formatBinary(Buffer.from('abcdefgh'), 3)).toBe('"abc"… (8 bytes)')
    expect(formatBinary(Buffer.from([255, 254, 253, 252]), 2)).toBe('0xfffe… (4 bytes)')
  })

  test('any bytes come out as one printable line', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(printableText(Buffer.from(formatBinary(bytes, 16)))).toBeDefined()
      }),
    )
  })

  test('in JSON the name tells which form it is', () => {
    expect(binaryField('key', Buffer.from('a'))).toEqual({ key: 'a' })
    expect(binaryField('key', Buffer.from([0xff]))).toEqual({ keyHex: 'ff' })
  })
})

test('metadata of any shape becomes JSON', () => {
  const meta = { actor: 'x', id: 5n, raw: Buffer.from([1, 255]), map: new Map([['a', 1]]), none: undefined }
  expect(JSON.parse(jsonText(meta))).toEqual({ actor: 'x', id: '5', raw: { hex: '01ff' }, map: { a: 1 } })
  expect(jsonText(undefined)).toBe('null')
})

describe('quantities', () => {
  test.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [999_960, '1.0 MB'],
    [12_345_678, '12.3 MB'],
    [5e12, '5.0 TB'],
    [5e15, '5000.0 TB'],
  ])('%d bytes', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text)
  })

  test.each([
    [3.4, '3 ms'],
    [1000, '1.0 s'],
    [59_940, '59.9 s'],
    [125_000, '2 min 05 s'],
    [3_725_000, '1 h 02 min'],
  ])('%d ms', (ms, text) => {
    expect(formatMs(ms)).toBe(text)
  })

  test('counts', () => {
    expect([0, 999, 1000, 1234567].map(formatCount)).toEqual(['0', '999', '1,000', '1,234,567'])
  })

  test('columns set figures to the right', () => {
    expect(
      columns([
        ['segment', 'bytes'],
        ['log.1', '5'],
        ['log.12', '1,000'],
      ]),
    ).toEqual(['segment  bytes', 'log.1        5', 'log.12   1,000'])
  })
})
