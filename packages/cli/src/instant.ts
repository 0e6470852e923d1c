// Times on the command line and in its output. Commit times have microseconds, which Date has not, so the fraction is
// carried beside it; a time without a zone is refused, because the machine that recovers is seldom the one that wrote.
import { cliError } from './errors.ts'

const iso = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?(Z|[+-]\d{2}:?\d{2})?$/i
const berkeley = /^(?:(\d{2})?(\d{2}))?(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{2}))?$/

/**
 * Microseconds since the epoch of an ISO 8601 time with its zone: `2026-11-24T18:30:00.000001Z`.
 *
 * @throws CLI_USAGE
 */
export function parseInstant(text: string): number {
  const match = iso.exec(text.trim())
  if (match === null) {
    throw cliError(
      'CLI_USAGE',
      `'${text}' is not a time; write 2026-11-24T18:30:00Z, to the microsecond if you like`,
    )
  }
  const [, year, month, day, hour, minute, second = '00', fraction = '', zone] = match
  if (zone === undefined) {
    throw cliError('CLI_USAGE', `'${text}' has no zone; add Z for UTC, or an offset like +02:00`)
  }
  const seconds = utcSeconds([year, month, day, hour, minute, second], text)
  return (seconds - offsetSeconds(zone, text)) * 1_000_000 + Number(fraction.padEnd(6, '0'))
}

/**
 * Berkeley DB's `[[CC]YY]MMDDhhmm[.SS]`, read as UTC, or an ISO 8601 time with its zone.
 *
 * @throws CLI_USAGE
 */
export function parseBerkeleyInstant(text: string, now: () => Date = () => new Date()): number {
  const match = berkeley.exec(text)
  if (match === null) return parseInstant(text)
  const [, century, year, month, day, hour, minute, second = '00'] = match
  const fullYear =
    year === undefined
      ? String(now().getUTCFullYear())
      : `${century ?? (Number(year) < 69 ? '20' : '19')}${year}`
  return utcSeconds([fullYear, month, day, hour, minute, second], text) * 1_000_000
}

/** ISO 8601 in UTC with all six digits of the microsecond. */
export function formatInstant(atUs: number): string {
  const ms = Math.floor(atUs / 1000)
  return new Date(ms).toISOString().replace('Z', `${String(atUs - ms * 1000).padStart(3, '0')}Z`)
}

/** A place in the log in words; a state without a commit has no instant. */
export function formatPoint(lsn: number, committedAtUs: number): string {
  return `LSN ${String(lsn)}, ${committedAtUs === 0 ? 'nothing committed yet' : formatInstant(committedAtUs)}`
}

function utcSeconds(parts: readonly (string | undefined)[], text: string): number {
  const [year = NaN, month = NaN, day = NaN, hour = NaN, minute = NaN, second = NaN] = parts.map(Number)
  const date = new Date(0)
  // Date.UTC would take the years below 100 for those of the twentieth century.
  date.setUTCFullYear(year, month - 1, day)
  date.setUTCHours(hour, minute, second)
  // Date carries 31 February over into March; a recovery target must not be moved in silence.
  const isKept = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCHours() === hour
  if (!isKept || minute > 59 || second > 59) throw cliError('CLI_USAGE', `'${text}' is not on the calendar`)
  return date.getTime() / 1000
}

function offsetSeconds(zone: string, text: string): number {
  if (zone.toUpperCase() === 'Z') return 0
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})$/.exec(zone) ?? []
  const seconds = Number(hours) * 3600 + Number(minutes) * 60
  if (Number(hours) > 14 || Number(minutes) > 59) throw cliError('CLI_USAGE', `'${text}' has no such zone`)
  return sign === '-' ? -seconds : seconds
}
