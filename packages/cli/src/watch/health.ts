/**
 * `late`: the archive lacks commits older than the alarm allows, for whatever reason, also when nothing failed; `failed`: shipping
 * ended with an error and does not go on by itself.
 */
export type Health = 'ok' | 'late' | 'failed'

/** What health is judged by: lag, because the absence of failures proves nothing of a shipper that does nothing. */
export interface Signs {
  /** Age of the oldest commit that the archive lacks. */
  readonly secondsBehind: number
  readonly alarmSeconds: number
  readonly hasFailed: boolean
}

/** The verdict on one archive. */
export function judge({ secondsBehind, alarmSeconds, hasFailed }: Signs): Health {
  if (hasFailed) return 'failed'
  return secondsBehind > alarmSeconds ? 'late' : 'ok'
}
