/**
 * What each figure is meant to be, beside what it was and what would bound it. A ratio alone does not say whether it is good: a goal that lies
 * beyond what disk and processors allow cannot be reached, and one that they do not bound can be raised.
 */
import { median, table } from './statistics.ts'

/** One line of the table of goals. Ratios, unless `what` names a unit. */
export interface Goal {
  readonly what: string
  /** Whose figure is one. */
  readonly against: string
  /** One for each round. */
  readonly ratios: readonly number[]
  readonly atLeast?: number
  readonly atMost?: number
  readonly limit: Limit
}

/** What the ratio would be if ours took nothing of its own. */
export interface Limit {
  /** One for each round, measured beside ours; none where nothing was measured. */
  readonly ratios: readonly number[]
  readonly why: string
}

export function limit(why: string, ratios: readonly number[] = []): Limit {
  return { why, ratios }
}

export function goalTable(goals: readonly Goal[]): string {
  return table(HEAD, goals.map(cells))
}

/** The same in Markdown, to be put into a document as it is. */
export function goalMarkdown(goals: readonly Goal[]): string {
  const line = (words: readonly string[]): string => `| ${words.join(' | ')} |`
  return [line(HEAD), line(HEAD.map(() => '---')), ...goals.map((goal) => line(cells(goal)))].join('\n')
}

const HEAD = ['what', 'against', 'median', 'rounds', 'goal', 'reached', 'limit', 'what bounds it']

function cells(goal: Goal): readonly string[] {
  const { what, against, ratios, atLeast, atMost } = goal
  const middle = median(ratios)
  const isReached = atLeast === undefined ? middle <= (atMost ?? Infinity) : middle >= atLeast
  const wanted = atLeast === undefined ? `at most ${String(atMost)}` : `at least ${String(atLeast)}`
  return [
    what,
    against,
    figure(middle),
    `${figure(Math.min(...ratios))} to ${figure(Math.max(...ratios))}`,
    wanted,
    isReached ? 'yes' : 'no',
    goal.limit.ratios.length === 0 ? '' : figure(median(goal.limit.ratios)),
    goal.limit.why,
  ]
}

function figure(ratio: number): string {
  return ratio >= 100 ? ratio.toFixed(0) : ratio.toPrecision(3)
}
