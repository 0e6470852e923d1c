// How near a log is to its limits, as its owner tells it. Only the owner knows them: they are options of the program that writes.
import { formatBytes, formatMs } from '../quantity.ts'

/** Rows for `stat`; none when the home is closed, or its owner is of another release. */
export function limitRows(live: unknown): readonly (readonly string[])[] {
  const { logBytes, logLimits, stalled, fillingFor } = fieldsOf(live)
  const { logBytesMax, logAgeMsMax, logFullPolicy } = fieldsOf(logLimits)
  if (typeof logBytes !== 'number' || typeof logBytesMax !== 'number') return []
  const limits = [
    ...(logBytesMax > 0
      ? [`${String(Math.round((logBytes / logBytesMax) * 100))} % of ${formatBytes(logBytesMax)}`]
      : []),
    ...(typeof logAgeMsMax === 'number' && logAgeMsMax > 0 ? [`${formatMs(logAgeMsMax)} of waiting`] : []),
  ]
  if (limits.length === 0)
    return [['log limit', 'none: the log waits for its archives as long as there is room']]
  const names = Array.isArray(fillingFor) ? fillingFor.join(', ') : ''
  return [
    ['log limit', `${limits.join(', ')}; at the limit: ${String(logFullPolicy)}`],
    ...(names === '' ? [] : [['FILLING', `the log comes near its limit because of ${names}`]]),
    ...(stalled === true ? [['STALLED', 'commits wait until the archives confirm']] : []),
  ]
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
