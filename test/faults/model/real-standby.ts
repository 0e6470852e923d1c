/**
 * A standby beside the world of real files: what it shows is a prefix of the line that it follows, and all that is archived of it; what a
 * promotion goes on with is that, too. A refusal must have its reason in the model: no backup to begin from, or data that was loaded
 * beside the log ahead of it.
 */
import type { Archive } from '@timberline/archive'
import { openStandby, promote, type Standby } from '@timberline/recovery'
import type { Counts } from './counts.ts'
import { contentAt, digestOf, isLoad, textOf } from './history-model.ts'
import * as invariants from './invariants.ts'
import type { Line, RealArchive } from './real-archive.ts'

/** So long that it looks only when asked. */
const POLL_MS = 3_600_000

export interface StandbyPlace {
  readonly archive: Archive
  readonly counts: Counts
  readonly newHome: () => string
}

/** A standby that became the home. */
export interface Promotion {
  readonly home: string
  readonly parent: Line
  readonly forkLsn: number
  readonly records: Line['records']
}

export class RealStandby {
  readonly #place: StandbyPlace
  #home: string | undefined
  #open: Standby | undefined
  /** What it showed last; from there it goes on. */
  #lsn: number | undefined

  constructor(place: StandbyPlace) {
    this.#place = place
  }

  async leave(): Promise<void> {
    await this.#open?.close()
    this.#open = undefined
  }

  async follow(lines: readonly Line[], held: RealArchive): Promise<void> {
    const { archive, counts, newHome } = this.#place
    const home = (this.#home ??= newHome())
    try {
      this.#open ??= await openStandby({ archive, home, pollMs: POLL_MS })
      const { timeline, lsn } = await this.#open.caughtUp()
      const line = lines.findLast((one) => one.timeline === timeline)
      invariants.hold(line !== undefined, 'a standby follows a line that was begun', { timeline })
      if (line === undefined) return
      const least = shippedOf(held, line)
      invariants.hold(lsn >= least, 'a standby must have all that is archived', { lsn, least })
      await this.#compare(this.#open, line)
      this.#lsn = lsn
      counts.add('standbys compared')
    } catch (error) {
      await this.#refused(error, lines, held)
    }
  }

  async promote(lines: readonly Line[], held: RealArchive): Promise<Promotion | undefined> {
    const { archive, counts } = this.#place
    const home = this.#home
    if (home === undefined || this.#lsn === undefined) return undefined
    await this.leave()
    try {
      const { parent } = await promote({ archive, home, archiveName: 'main' })
      const line = lines.findLast((one) => one.timeline === parent.timeline)
      invariants.hold(line !== undefined, 'a promotion continues a line that was begun', parent)
      if (line === undefined) return undefined
      const least = shippedOf(held, line)
      const isWhole = parent.forkLsn >= least && parent.forkLsn <= line.records.length
      invariants.hold(isWhole, 'a promotion must lose nothing that is archived', { ...parent, least })
      this.#home = undefined
      this.#lsn = undefined
      counts.add('promotions')
      return { home, parent: line, forkLsn: parent.forkLsn, records: line.records }
    } catch (error) {
      await this.#refused(error, lines, held)
      return undefined
    }
  }

  async #compare(standby: Standby, line: Line): Promise<void> {
    const digest = await standby.digest()
    const content = contentAt(line.records, digest.lsn)
    const entries = await standby.level.iterator({ keyEncoding: 'utf8', valueEncoding: 'utf8' }).all()
    const shown = new Map(entries.map(([key, value]) => [String(key), String(value)]))
    invariants.contentIsExactly('the standby', content, shown)
    const model = { lsn: digest.lsn, hex: digestOf(content) }
    invariants.digestsAgree(digest.lsn, { model, standby: digest })
  }

  async #refused(error: unknown, lines: readonly Line[], held: RealArchive): Promise<void> {
    const code = invariants.codeOf(error)
    const from = this.#lsn ?? 0
    const loads = lines.flatMap(({ records }) => records.filter((entry) => isLoad(entry) && entry.lsn > from))
    const isExpected = {
      RECOVERY_NO_BASE: lines.slice(-1).every((line) => held.offer(line).bases.length === 0),
      RECOVERY_BULK_LOAD: loads.length > 0,
      RECOVERY_STANDBY_DIVERGED: lines.length > 1,
      // What it followed was left, and retention let it go.
      RECOVERY_STANDBY_BEHIND: lines.length > 1 && this.#place.counts.of('retentions') > 0,
      RECOVERY_STANDBY_BACKUP_AHEAD: held.backups.some(({ line, endLsn }) => endLsn > shippedOf(held, line)),
    }[code]
    // Not ours to say no to: what broke an invariant.
    if (isExpected === undefined) throw error
    invariants.hold(isExpected, 'a standby is refused only with a reason', {
      code,
      from,
      loads: loads.map(textOf),
    })
    this.#place.counts.add(`standby ${code}`)
    await this.leave().catch(() => undefined)
    this.#home = undefined
    this.#lsn = undefined
  }
}

/** How far the log of a line was shipped, by whichever timeline on its path. */
function shippedOf(held: RealArchive, line: Line): number {
  return held.offer(line).shipped.reduce((far, { throughLsn }) => Math.max(far, throughLsn), 0)
}
