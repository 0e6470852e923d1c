// That commits of a home are paused, as its owner tells it.
import { formatInstant } from '../instant.ts'

/** Rows for `stat`; none while commits go on, or when the home is closed. */
export function pausedRows(live: unknown): readonly (readonly string[])[] {
  const { paused, waitingCount } = fieldsOf(live)
  const { purpose, lsn, sinceUs, untilUs } = fieldsOf(paused)
  if (typeof sinceUs !== 'number' || typeof untilUs !== 'number') return []
  const what = purpose === 'barrier' ? 'for a mark over several databases' : 'quiesced'
  const reached = typeof lsn === 'number' ? ` at LSN ${String(lsn)}` : ''
  const span = `since ${formatInstant(sinceUs)}, until ${formatInstant(untilUs)} at the latest`
  return [['PAUSED', `${what}${reached} ${span}; ${String(waitingCount)} commits wait`]]
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
