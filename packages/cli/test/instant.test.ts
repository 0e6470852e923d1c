import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatInstant, formatPoint, parseBerkeleyInstant, parseInstant } from '../src/instant.ts'

const atUs = Date.UTC(2026, 10, 24, 18, 30, 0) * 1000

describe('an ISO 8601 time', () => {
  test.each([
    ['2026-11-24T18:30:00Z', 0],
    ['2026-11-24T18:30Z', 0],
    ['2026-11-24 18:30:00z', 0],
    ['2026-11-24T18:30:00.000001Z', 1],
    ['2026-11-24T18:30:00.5Z', 500_000],
    ['2026-11-24T18:30:00.123456Z', 123_456],
    ['2026-11-24T20:30:00+02:00', 0],
    ['2026-11-24T13:00:00-0530', 0],
  ])('%s is understood to the microsecond', (text, us) => {
    expect(parseInstant(text)).toBe(atUs + us)
  })

  test.each(['2026-11-24T18:30:00', '2026-11-24 18:30'])('%s is refused for its missing zone', (text) => {
    expect(() => parseInstant(text)).toThrowError(expect.objectContaining({ code: 'CLI_USAGE' }))
    expect(() => parseInstant(text)).toThrow(/zone/)
  })

  test.each([
    'notatime',
    '',
    '2026-11-24',
    '2026-02-31T00:00:00Z',
    '2026-11-24T24:00:00Z',
    '2026-11-24T18:61:00Z',
    '2026-11-24T18:30:60Z',
    '2026-13-01T00:00Z',
    '2026-11-24T18:30:00.1234567Z',
    '2026-11-24T18:30:00+25:00',
    '1764009000',
  ])('%s is refused, never moved to another instant', (text) => {
    expect(() => parseInstant(text)).toThrowError(expect.objectContaining({ code: 'CLI_USAGE' }))
  })

  test('what is printed can be typed in again', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_800_000_000 }), (us) => {
        expect(parseInstant(formatInstant(us))).toBe(us)
      }),
    )
  })
})

describe('Berkeley DB’s form', () => {
  const now = (): Date => new Date('2026-06-01T00:00:00Z')

  test.each([
    ['202611241830', atUs],
    ['202611241830.07', atUs + 7_000_000],
    ['2611241830', atUs],
    ['11241830', atUs],
    ['199911241830', Date.UTC(1999, 10, 24, 18, 30) * 1000],
    ['9911241830', Date.UTC(1999, 10, 24, 18, 30) * 1000],
  ])('%s is read as UTC', (text, us) => {
    expect(parseBerkeleyInstant(text, now)).toBe(us)
  })

  test('ISO 8601 is understood too', () => {
    expect(parseBerkeleyInstant('2026-11-24T18:30:00Z')).toBe(atUs)
  })

  test.each(['notatime', '1124183', '202602311200', '202611242430'])(
    '%s is refused, where db_recover takes it for a year',
    (text) => {
      expect(() => parseBerkeleyInstant(text, now)).toThrowError(
        expect.objectContaining({ code: 'CLI_USAGE' }),
      )
    },
  )
})

test('a place in the log is told with its instant, the empty log without one', () => {
  expect(formatPoint(7, atUs)).toBe('LSN 7, 2026-11-24T18:30:00.000000Z')
  expect(formatPoint(0, 0)).toBe('LSN 0, nothing committed yet')
})
