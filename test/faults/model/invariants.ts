/**
 * What must hold at every step of every history, each under its own name. A broken one throws its sentence with the facts, which
 * fast-check prints beside the shrunk history.
 */
import { TimberlineError } from '@timberline/wal'
import { type Content, type Ending, type Entry, isPrefix, listed, textOf } from './history-model.ts'

/** A promise that was broken, in one sentence. */
export class BrokenInvariant extends Error {
  constructor(sentence: string, facts: Readonly<Record<string, unknown>>) {
    const lines = Object.entries(facts).map(([name, value]) => `  ${name}: ${plain(value)}`)
    super([sentence, ...lines].join('\n'))
    this.name = 'BrokenInvariant'
  }
}

/** Every acknowledged transaction survives what its acknowledgement promised; what comes back is a beginning of the log. */
export function acknowledgedSurvives(
  before: readonly Entry[],
  found: readonly Entry[],
  acknowledgedLsn: number,
): void {
  hold(isPrefix(found, before), 'after a crash the log must be a beginning of what it was', {
    ...firstDifference(before, found),
  })
  hold(found.length >= acknowledgedLsn, 'an acknowledged transaction must survive', {
    acknowledgedLsn,
    survivedLsn: found.length,
  })
}

/** LSNs have no gap, commit times strictly increase, and both are the ones that the model foretold. */
export function logIsAsForetold(expected: readonly Entry[], found: readonly Entry[]): void {
  increases(found)
  const sentence = 'the log must hold exactly the transactions that were called, in their order'
  hold(isPrefix(found, expected) && found.length === expected.length, sentence, {
    ...firstDifference(expected, found),
  })
}

/** LSNs count up by one, and commit times strictly increase, whatever the clock does. */
export function increases(records: readonly Entry[]): void {
  for (const [index, entry] of records.entries()) {
    hold(entry.lsn === index + 1, 'LSNs must have no gap', { index, entry: textOf(entry) })
    const before = records[index - 1]
    hold(
      before === undefined || before.committedAtUs < entry.committedAtUs,
      'commit times must strictly increase',
      {
        before: textOf(before),
        entry: textOf(entry),
      },
    )
  }
}

/** Nothing is half there: content is that of whole transactions, all of them up to one LSN and none after it. */
export function contentIsExactly(
  where: string,
  expected: Content,
  found: Content | ReadonlyMap<string, string>,
): void {
  hold(
    listed(expected).join() === listed(found).join(),
    `${where} must hold exactly the model’s transactions`,
    {
      expected: listed(expected),
      found: listed(found),
    },
  )
}

/** Every transaction within a reported recovery point is in the archive, for good. */
export function reportedIsArchived(reported: readonly Entry[], archived: readonly Entry[]): void {
  hold(isPrefix(reported, archived), 'what a recovery point covers must be in the archive', {
    reportedLsn: reported.length,
    archivedLsn: archived.length,
    ...firstDifference(reported, archived),
  })
}

/** The archive holds a beginning of one line of history that a log has held, never a mixture of two. */
export function archiveIsOneLine(archived: readonly Entry[], lines: readonly (readonly Entry[])[]): void {
  increases(archived)
  hold(
    lines.some((line) => isPrefix(archived, line)),
    'an archive must hold the beginning of one history',
    {
      archived: archived.map(textOf),
      lines: lines.map((line) => line.map(textOf)),
    },
  )
}

/** Of two archivers at most one succeeds: reports of recovery points never contradict each other. */
export function reportsAgree(earlier: readonly Entry[], later: readonly Entry[]): void {
  const agree = isPrefix(earlier, later) || isPrefix(later, earlier)
  hold(agree, 'two archivers must never both succeed with different histories', {
    ...firstDifference(earlier, later),
  })
}

/** A shipper that another one has succeeded archives nothing more. */
export function onlyNewestArchives(facts: { readonly epoch: number; readonly newestEpoch: number }): void {
  hold(facts.epoch >= facts.newestEpoch, 'of two archivers the older must not archive anything more', facts)
}

/** What the home was told by an archive stands in the archive. */
export function confirmedIsArchived(confirmedLsn: number, archivedLsn: number): void {
  hold(confirmedLsn <= archivedLsn, 'a confirmation must be true', { confirmedLsn, archivedLsn })
}

/** A recovery ends exactly where the model says, or is refused by the name that the model gives. */
export function endsAs(
  target: string,
  expected: Ending,
  found: { readonly lsn: number } | { readonly code: string },
): void {
  const agrees =
    'lsn' in expected
      ? 'lsn' in found && found.lsn === expected.lsn
      : 'code' in found && expected.codes.includes(found.code)
  hold(agrees, 'a recovery must end exactly at its target, or be refused by name', {
    target,
    expected,
    found,
  })
}

/** Primary, restore and backup have one digest at one LSN. */
export function digestsAgree(
  lsn: number,
  digests: Readonly<Record<string, { readonly lsn: number; readonly hex: string }>>,
): void {
  const all = Object.values(digests)
  const agree = all.every((digest) => digest.lsn === lsn && digest.hex === all[0]?.hex)
  hold(agree, 'primary, restore and backup must have one digest at one LSN', { lsn, ...digests })
}

/** A fault surfaces as a typed error or is survived; without a fault, nothing fails. */
export function failsTyped(error: unknown, doing: string, hasFaulted: boolean): void {
  const facts = { doing, error: chainOf(error) }
  hold(hasFaulted, 'without a fault nothing may fail', facts)
  hold(isTyped(error), 'a fault must surface as a typed error', facts)
}

/** Throws the sentence when the condition does not hold. */
export function hold(condition: boolean, sentence: string, facts: Readonly<Record<string, unknown>>): void {
  if (!condition) throw new BrokenInvariant(sentence, facts)
}

/** The stable code of an error, looked for below the errors of abstract-level. */
export function codeOf(error: unknown): string {
  if (error instanceof TimberlineError) return error.code
  if (error instanceof Error && error.cause !== undefined && rawCode(error).startsWith('LEVEL_'))
    return codeOf(error.cause)
  return error instanceof Error ? rawCode(error) : String(error)
}

function isTyped(error: unknown): boolean {
  if (error instanceof TimberlineError) return true
  return error instanceof Error && rawCode(error).startsWith('LEVEL_') && isTyped(error.cause)
}

function chainOf(error: unknown): string {
  const parts: string[] = []
  for (
    let each = error;
    each !== undefined && parts.length < 6;
    each = each instanceof Error ? each.cause : undefined
  ) {
    parts.push(each instanceof Error ? `${rawCode(each)} ${each.message}` : JSON.stringify(each))
  }
  return parts.join(' ← ')
}

function rawCode(error: Error): string {
  return 'code' in error ? String(error.code) : error.name
}

function firstDifference(a: readonly Entry[], b: readonly Entry[]): Record<string, string> {
  const at = a.findIndex((entry, index) => textOf(entry) !== textOf(b[index]))
  const index = at < 0 ? a.length : at
  return { expected: textOf(a[index]), found: textOf(b[index]) }
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? 'undefined')
}
