/**
 * What the archive of the real world holds by the model: the log that was shipped of each line, and the backups with the log in
 * them, less what retention let go. From that alone follows which states of a line can be had.
 */
import type { RetentionPlan } from '@timberline/recovery'
import { canReach, type Entry, type Offer, type Range } from './history-model.ts'

/** A timeline with the records of its path from the first one on, its ancestors' included. */
export interface Line {
  readonly timeline: number
  readonly parent: Line | undefined
  /** Where it left its parent. */
  readonly forkLsn: number
  records: readonly Entry[]
}

/** A backup in the archive. */
export interface HeldBackup {
  readonly label: string
  readonly line: Line
  /** Where a recovery from it begins. */
  readonly baseLsn: number
  readonly endLsn: number
}

/** What can be had of a line. */
export interface LineOffer extends Offer {
  /** What of the path was shipped; the rest of the ranges is in backups. */
  readonly shipped: readonly Range[]
  readonly ranges: readonly Range[]
}

export class RealArchive {
  /** By timeline; what was let go is not among it any more. */
  readonly #shipped: ReadonlyMap<number, readonly Range[]>
  readonly #shippedThrough = new Map<Line, number>()
  readonly backups: readonly HeldBackup[]

  constructor(
    shipped: ReadonlyMap<number, readonly Range[]> = new Map(),
    backups: readonly HeldBackup[] = [],
  ) {
    this.#shipped = shipped
    this.backups = backups
  }

  /** The log of a line is archived through this LSN. */
  ship(line: Line, throughLsn: number): RealArchive {
    const before = this.#shippedThrough.get(line) ?? line.forkLsn
    if (throughLsn <= before) return this
    const own = [...(this.#shipped.get(line.timeline) ?? []), { fromLsn: before + 1, throughLsn }]
    return this.#with(new Map(this.#shipped).set(line.timeline, own), this.backups, [line, throughLsn])
  }

  add(backup: HeldBackup): RealArchive {
    return this.#with(this.#shipped, [...this.backups, backup])
  }

  /** What is left when a plan was carried out. */
  without({ backups, segments, pieces }: RetentionPlan): RealArchive {
    const shipped = new Map(this.#shipped)
    for (const { timeline, firstLsn, lastLsn } of [...segments, ...pieces]) {
      if (lastLsn >= firstLsn) shipped.set(timeline, less(shipped.get(timeline) ?? [], firstLsn, lastLsn))
    }
    const gone = new Set(backups.map(({ label }) => label))
    return this.#with(
      shipped,
      this.backups.filter(({ label }) => !gone.has(label)),
    )
  }

  /** What of a line was shipped and not let go, and what backups hold of it. */
  offer(line: Line): LineOffer {
    const ends = pathOf(line)
    const shipped = [...ends].flatMap(([each, endLsn]) =>
      clipped(this.#shipped.get(each.timeline) ?? [], endLsn),
    )
    const own = this.backups.filter(({ line: of, baseLsn }) => baseLsn <= (ends.get(of) ?? -1))
    const inBackups = own.map(({ line: of, baseLsn, endLsn }) => ({
      fromLsn: baseLsn + 1,
      throughLsn: Math.min(endLsn, ends.get(of) ?? 0),
    }))
    const ranges = [...shipped, ...inBackups]
    const throughLsn = ranges.reduce((lsn, range) => Math.max(lsn, range.throughLsn), 0)
    return {
      records: line.records.slice(0, throughLsn),
      bases: own.map(({ baseLsn }) => baseLsn).toSorted((a, b) => a - b),
      ranges,
      shipped,
    }
  }

  /** The last record of the line itself that is or was in the archive; 0 when none was. */
  lastLsn(line: Line): number {
    const inBackups = this.backups.filter((backup) => backup.line === line).map(({ endLsn }) => endLsn)
    const lastLsn = Math.max(0, this.#shippedThrough.get(line) ?? 0, ...inBackups)
    return lastLsn > line.forkLsn ? lastLsn : 0
  }

  #with(
    shipped: ReadonlyMap<number, readonly Range[]>,
    backups: readonly HeldBackup[],
    reached?: readonly [Line, number],
  ): RealArchive {
    const next = new RealArchive(shipped, backups)
    for (const [line, lsn] of this.#shippedThrough) next.#shippedThrough.set(line, lsn)
    if (reached !== undefined) next.#shippedThrough.set(...reached)
    return next
  }
}

/** Which states of a line can be had, by LSN; the first is the empty one. */
export function reachable(line: Line, archive: RealArchive): readonly boolean[] {
  const offer = archive.offer(line)
  return Array.from({ length: line.records.length + 1 }, (_, lsn) => canReach(lsn, offer))
}

/** The lines through which one goes, each with the last record that belongs to the path. */
function pathOf(line: Line): ReadonlyMap<Line, number> {
  const ends = new Map<Line, number>([[line, Infinity]])
  let endLsn = Infinity
  for (let at = line; at.parent !== undefined; at = at.parent) {
    endLsn = Math.min(endLsn, at.forkLsn)
    ends.set(at.parent, endLsn)
  }
  return ends
}

/** The parts of ranges through an LSN. */
function clipped(ranges: readonly Range[], lsn: number): readonly Range[] {
  return ranges
    .map(({ fromLsn, throughLsn }) => ({ fromLsn, throughLsn: Math.min(throughLsn, lsn) }))
    .filter(({ fromLsn, throughLsn }) => fromLsn <= throughLsn)
}

/** The parts of ranges outside of one. */
function less(ranges: readonly Range[], firstLsn: number, lastLsn: number): readonly Range[] {
  return ranges
    .flatMap(({ fromLsn, throughLsn }) => [
      { fromLsn, throughLsn: Math.min(throughLsn, firstLsn - 1) },
      { fromLsn: Math.max(fromLsn, lastLsn + 1), throughLsn },
    ])
    .filter(({ fromLsn, throughLsn }) => fromLsn <= throughLsn)
}
