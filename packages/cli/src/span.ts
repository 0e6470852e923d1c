// Lengths of time as people say them when they talk of keeping things: 7d, 8w, 36h.
import { cliError } from './errors.ts'

const unitsUs = { s: 1_000_000, min: 60_000_000, h: 3_600_000_000, d: 86_400_000_000, w: 604_800_000_000 }

type Unit = keyof typeof unitsUs

/** Microseconds of `7d`, `8w`, `36h`, `90min`, `30s`; a year is 52w. @throws CLI_USAGE */
export function parseSpan(text: string): number {
  const [, count = '', unit = ''] = /^(\d{1,9})(s|min|h|d|w)$/.exec(text.trim()) ?? []
  const us = Number(count) * (isUnit(unit) ? unitsUs[unit] : Number.NaN)
  if (count !== '' && us > 0 && Number.isSafeInteger(us)) return us
  throw cliError('CLI_USAGE', `'${text}' is not a length of time; write 7d, 8w, 36h, 90min or 30s`)
}

/** `7 d`, `8 w`, `36 h`: in the largest unit that measures it without a rest, below it in seconds. */
export function formatSpan(us: number): string {
  const units = Object.entries(unitsUs).toReversed()
  const [unit, size] = units.find(([, each]) => us > 0 && us % each === 0) ?? ['s', unitsUs.s]
  return `${String(us / size)} ${unit}`
}

function isUnit(unit: string): unit is Unit {
  return unit in unitsUs
}
