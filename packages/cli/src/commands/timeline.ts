import type { Catalogue, TimelineInfo } from '@timberline/archive'
import type { Command } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { existingArchive } from '../archive-access.ts'

/** One line of history, and what the archive holds of it. */
export interface TimelineFacts {
  readonly timeline: number
  readonly parent?: number | undefined
  readonly forkLsn?: number | undefined
  readonly begunAtUs: number
  /** A promotion ended it; absent while it goes on. */
  readonly endedAfterLsn?: number | undefined
  /** First and last record held, whether or not there are holes between; absent when nothing is held. */
  readonly firstLsn?: number | undefined
  readonly lastLsn?: number | undefined
  readonly backupCount: number
  /** The newest shipper shipped this one; whether it still runs, an archive cannot tell. */
  readonly isShippedLast: boolean
}

/** `timeline`: the tree of histories in an archive. */
export const timelineCommand: Command = async (args) => {
  const archive = await existingArchive(args.required('archive'))
  try {
    const catalogue = await archive.catalogue()
    const facts = catalogue.timelines.map((info) => factsOf(info, catalogue))
    return {
      document: { archive: archive.store.url, timelines: facts },
      lines: facts.length === 0 ? ['no timeline was ever archived here'] : treeOf(facts),
    }
  } finally {
    await archive.close()
  }
}

function factsOf(info: TimelineInfo, { segments, pieces, backups, owner }: Catalogue): TimelineFacts {
  const { timeline, parent, forkLsn, begunAtUs, ended } = info
  const held = [...segments, ...pieces].filter(
    (part) => part.timeline === timeline && part.lastLsn >= part.firstLsn,
  )
  return {
    timeline,
    parent,
    forkLsn,
    begunAtUs,
    endedAfterLsn: ended?.lsn,
    firstLsn:
      held.length === 0 ? undefined : held.reduce((least, part) => Math.min(least, part.firstLsn), Infinity),
    lastLsn: held.length === 0 ? undefined : held.reduce((most, part) => Math.max(most, part.lastLsn), 0),
    backupCount: backups.filter((backup) => backup.timeline === timeline).length,
    isShippedLast: owner?.timeline === timeline,
  }
}

/**
 * The tree as text, children below their parents, each indented once more than its parent. A parent always has a smaller number,
 * so a damaged tree ends too; one that the archive does not hold makes its children roots.
 */
export function treeOf(timelines: readonly TimelineFacts[]): readonly string[] {
  const known = new Set(timelines.map(({ timeline }) => timeline))
  const isRoot = ({ timeline, parent }: TimelineFacts): boolean =>
    parent === undefined || !known.has(parent) || parent >= timeline
  const open = timelines.filter(isRoot).map((facts) => ({ facts, depth: 0 }))
  const lines: string[] = []
  for (let next = open.shift(); next !== undefined; next = open.shift()) {
    const { facts, depth } = next
    lines.push(`${'  '.repeat(depth)}${lineOf(facts)}`)
    const children = timelines.filter((child) => child.parent === facts.timeline && !isRoot(child))
    open.unshift(...children.map((child) => ({ facts: child, depth: depth + 1 })))
  }
  return lines
}

function lineOf(facts: TimelineFacts): string {
  const { timeline, parent, forkLsn, begunAtUs, firstLsn, lastLsn, backupCount, isShippedLast } = facts
  const from =
    parent === undefined ? '' : `, left timeline ${String(parent)} after LSN ${String(forkLsn ?? 0)}`
  const held = firstLsn === undefined ? 'no log' : `log of LSN ${String(firstLsn)} to ${String(lastLsn)}`
  const backups = `${String(backupCount)} ${backupCount === 1 ? 'backup' : 'backups'}`
  const shipped = isShippedLast ? ' (shipped last)' : ''
  const ended =
    facts.endedAfterLsn === undefined ? '' : `, ended by a promotion after LSN ${String(facts.endedAfterLsn)}`
  return `timeline ${String(timeline)}${shipped}: begun ${formatInstant(begunAtUs)}${from}${ended}; ${held}, ${backups}`
}
