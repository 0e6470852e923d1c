import type { TimberlineError } from '@timberline/wal'

const causesMax = 8

/** An error as the user sees it: `timberline: CODE message`, then the next step. */
export function describeFailure(error: TimberlineError, debug: boolean = false): readonly string[] {
  const lines = [`timberline: ${error.code} ${error.message}`]
  // A cause without a code of its own (the system's ENOSPC, say) is what the user can act on.
  const causes = causesOf(error)
  if (!debug && causes[0] !== undefined && !error.message.includes(causes[0].message)) {
    lines.push(`timberline: because ${causes[0].message}`)
  }
  if (error.hint !== '') lines.push(`timberline: next: ${error.hint}`)
  if (debug) {
    lines.push(error.stack ?? '')
    for (const cause of causes) lines.push(`caused by ${cause.stack ?? cause.message}`)
  }
  return lines
}

/** The same for machines. */
export function failureDocument(error: TimberlineError): { readonly error: unknown } {
  const { code, kind, message, hint, details } = error
  return {
    error: { code, kind, message, hint, details, causes: causesOf(error).map((cause) => cause.message) },
  }
}

function causesOf(error: Error): readonly Error[] {
  const causes: Error[] = []
  let cause: unknown = error.cause
  while (cause instanceof Error && causes.length < causesMax) {
    causes.push(cause)
    cause = cause.cause
  }
  return causes
}
