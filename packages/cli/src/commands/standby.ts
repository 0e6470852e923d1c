// Follows an archive or a home until stopped. Whoever looks at the output sees how far the standby is; what goes wrong and may pass is told too.
import { openStandby, type Standby, type StandbyEvent, type StandbyStatus } from '@timberline/recovery'
import type { Arguments } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { asTimberlineError } from '../errors.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns, formatCount, formatMs } from '../quantity.ts'
import { readableArchiveIfAny } from '../archive-access.ts'

/** `timberline standby` */
export const standbyCommand: Command = async (args, surroundings) => {
  const archive = await readableArchiveIfAny(args)
  const of = args.text('of')
  try {
    const timeline = args.number('timeline')
    const follower = new Follower(args, surroundings)
    const standby = await openStandby({
      ...(archive === undefined ? {} : { archive }),
      ...(of === undefined ? {} : { of }),
      home: args.required('home'),
      rejoin: args.flag('rejoin'),
      anew: args.flag('anew'),
      pollMs: args.number('interval-ms') ?? 1000,
      ...(timeline === undefined ? {} : { timeline }),
      signal: surroundings.signal,
      onEvent: (event) => follower.tell(event),
    })
    return await follower.follow(standby)
  } finally {
    await archive?.close()
  }
}

/** Tells what a standby does, and ends with it. */
class Follower {
  readonly #isOnce: boolean
  readonly #followed: string
  readonly #surroundings: Surroundings
  #standby: Standby | undefined
  readonly #away: Promise<never>
  #isAway: (error: unknown) => void = () => undefined

  constructor(args: Arguments, surroundings: Surroundings) {
    this.#isOnce = args.flag('once')
    this.#followed = args.has('of') ? 'home' : 'archive'
    this.#surroundings = surroundings
    this.#away = new Promise<never>((_, reject) => (this.#isAway = reject))
    this.#away.catch(() => undefined)
  }

  async follow(standby: Standby): Promise<Outcome> {
    this.#standby = standby
    try {
      // Who runs once wants to hear that the archive is away, and has a try of its own in mind.
      if (this.#isOnce) await Promise.race([standby.caughtUp(), this.#away])
      else await standby.done
      const status = standby.status()
      return { document: documentOf(status), lines: linesOf(status, this.#followed) }
    } finally {
      await standby.close()
    }
  }

  tell(event: StandbyEvent): void {
    const { tell, warn, write, json } = this.#surroundings
    switch (event.type) {
      case 'standby.began':
        return tell(
          `${event.isNew ? 'restored a base' : 'going on'} at LSN ${String(event.lsn)} of timeline ${String(event.timeline)}`,
        )
      case 'standby.applied': {
        const status = this.#standby?.status()
        // With --json standard output is the one document at the end.
        if (!json && !this.#isOnce && status !== undefined) void write(`${stepText(status, event.records)}\n`)
        return undefined
      }
      case 'standby.left':
        return tell('a promotion asked for the folder; letting go')
      case 'standby.retried': {
        const error = asTimberlineError(event.error)
        if (error.kind !== 'gap') this.#isAway(event.error)
        return warn(`${error.code} ${error.message}; looking again`)
      }
    }
  }
}

function stepText(status: StandbyStatus, records: number): string {
  const { lsn, committedAtUs, lagMs } = status
  return `${formatPoint(lsn, committedAtUs)}, ${formatCount(records)} new, lag ${formatMs(lagMs)}`
}

function documentOf(status: StandbyStatus): unknown {
  const { committedAtUs, asOfUs } = status
  return { ...status, committedAt: formatInstant(committedAtUs), asOf: formatInstant(asOfUs) }
}

function linesOf(status: StandbyStatus, followed: string): readonly string[] {
  const { home, timeline, lsn, committedAtUs, knownLsn, asOfUs, aside } = status
  return columns([
    ['standby', `${home}, timeline ${String(timeline)}`],
    ['state after', formatPoint(lsn, committedAtUs)],
    [
      followed,
      knownLsn > lsn ? `tells of LSN ${String(knownLsn)}` : `all of it as of ${formatInstant(asOfUs)}`,
    ],
    ...(aside === undefined ? [] : [['home before', `kept in ${aside}`]]),
  ])
}
