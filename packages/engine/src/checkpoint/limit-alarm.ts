/*
 * When to announce that the log comes near a limit, and from when on the policy may act.
 *
 * Told at four fifths of a limit, once for each archive, until the log is below three fifths again: a log that hovers at the limit
 * would otherwise announce with each segment. The policy acts on what was announced at an earlier look only; at the limit in time, a
 * fifth of it earlier, because a home that was closed for long opens with everything beyond it, and the archive may need no more
 * than a while to catch up.
 */
import type { Excess, LogReach } from './log-limit.ts'

/** The part of a limit at which it is announced, and below which the next time counts as new. */
export const FILLING_SHARE = 0.8
const CALM_SHARE = 0.6

/** Remembers what was announced. Times are of a clock that never goes back, in milliseconds. */
export class LimitAlarm {
  readonly #logAgeMsMax: number
  readonly #announcedAtMs = new Map<string, number>()

  constructor({ logAgeMsMax }: { readonly logAgeMsMax: number }) {
    this.#logAgeMsMax = logAgeMsMax
  }

  /** The archives that were announced, until the log is well below its limits again. */
  get announced(): readonly string[] {
    return [...this.#announcedAtMs.keys()]
  }

  /** Of the limits that are exceeded, those whose archives were announced long enough ago. */
  due({ excesses }: LogReach, nowMs: number): readonly Excess[] {
    return excesses.filter(({ limit, archives }) => {
      const noticeMs = limit === 'age' ? this.#logAgeMsMax * (1 - FILLING_SHARE) : 0
      return archives.every((name) => nowMs - (this.#announcedAtMs.get(name) ?? nowMs + 1) >= noticeMs)
    })
  }

  /** The archives to announce now: all that hold the log back when one of them is new, else none. */
  announce({ share, archives, excesses }: LogReach, nowMs: number): readonly string[] {
    if (share < CALM_SHARE) this.#announcedAtMs.clear()
    if (share <= FILLING_SHARE) return []
    const names = [...new Set([...archives, ...excesses.flatMap((excess) => excess.archives)])]
    const fresh = names.filter((name) => !this.#announcedAtMs.has(name))
    for (const name of fresh) this.#announcedAtMs.set(name, nowMs)
    return fresh.length === 0 ? [] : names
  }
}
