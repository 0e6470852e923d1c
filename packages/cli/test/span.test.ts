import { expect, test } from 'vitest'
import { formatSpan, parseSpan } from '../src/span.ts'

test.each([
  ['30s', 30e6, '30 s'],
  ['90min', 5400e6, '90 min'],
  ['60min', 3600e6, '1 h'],
  ['36h', 129_600e6, '36 h'],
  ['7d', 604_800e6, '1 w'],
  ['8w', 4_838_400e6, '8 w'],
])('%s is %d microseconds, told as %s', (text, us, told) => {
  expect(parseSpan(text)).toBe(us)
  expect(formatSpan(us)).toBe(told)
})

test.each(['', '7', 'd', '0d', '-1d', '1.5d', '7days', '7m', '99999999999d', '999999999w'])(
  '%j is no length of time',
  (text) => {
    expect(() => parseSpan(text)).toThrow(expect.objectContaining({ code: 'CLI_USAGE' }))
  },
)
