import type { Outcome } from './command.ts'
import { columns } from './quantity.ts'

/** Something that a verification found amiss. */
export interface Finding {
  readonly code: string
  /** What it is about: a file, an object, a table. */
  readonly name: string
  readonly message: string
}

/** The outcome of a verification: exit code 1 when anything was found. */
export function findingsOutcome(what: string, findings: readonly Finding[], facts: object = {}): Outcome {
  const isWhole = findings.length === 0
  return {
    document: { verified: what, whole: isWhole, findings, ...facts },
    lines: isWhole
      ? [`${what}: whole`]
      : [
          ...columns(findings.map(({ code, name, message }) => [code, name, message])),
          `${what}: ${String(findings.length)} found`,
        ],
    exitCode: isWhole ? 0 : 1,
  }
}
