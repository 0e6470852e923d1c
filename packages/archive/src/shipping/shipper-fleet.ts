/*
 * Several archives of one log, each with a shipper of its own.
 *
 * Model. The members share nothing but the log, which they only read: each follows it, retries, confirms and fails alone. The log is
 * kept for the slowest, because each has a confirmation of its own, and that is placed for all before any archive is opened: one that
 * is down from the start is waited for like one that goes down later. How long the log waits is the home's policy (`logBytesMax`,
 * `logAgeMsMax`), not the fleet's.
 */
import { archiveError } from '../errors.ts'
import { holdLogFor } from './first-hold.ts'
import { FleetMember, type FleetTarget } from './fleet-member.ts'
import type { RunShipperOptions } from './shipper-options.ts'

/** Archives that one process ships into at most. */
export const FLEET_TARGETS_MAX = 16

/** How to ship one log into several archives. */
export interface RunShippersOptions extends Omit<RunShipperOptions, 'archive' | 'name'> {
  /** 1 to 16, with different names. */
  readonly targets: readonly FleetTarget[]
  /** An archive that could not be opened so many times has failed; default: tried for ever while its error may pass. */
  readonly openTriesMax?: number | undefined
}

/**
 * Begins to ship a log into several archives. What goes wrong with one, from its name to its fencing, ends that member alone.
 *
 * @throws ARCHIVE_OPTION_INVALID for no target, too many, or two of one name
 */
export function runShippers(options: RunShippersOptions): ShipperFleet {
  const { targets } = options
  if (targets.length < 1 || targets.length > FLEET_TARGETS_MAX) {
    throw archiveError('ARCHIVE_OPTION_INVALID', 'targets are out of bounds', {
      details: { targets: targets.length, targetsMax: FLEET_TARGETS_MAX },
    })
  }
  if (new Set(targets.map(({ name }) => name)).size < targets.length) {
    throw archiveError('ARCHIVE_OPTION_INVALID', 'two targets have one name', {
      details: { names: targets.map(({ name }) => name).join(' ') },
    })
  }
  return new ShipperFleet(options)
}

/** The running shippers of one log. */
export class ShipperFleet {
  readonly members: readonly FleetMember[]
  /** Resolves when every member has ended, well or not; `member.done` tells which. */
  readonly done: Promise<void>

  /** Use `runShippers`. */
  constructor(options: RunShippersOptions) {
    const { targets, logDirectory, identity, fileSystem } = options
    const { timeline } = identity
    const claims = targets.map((target) => {
      return { target, hold: holdLogFor({ logDirectory, name: target.name, timeline, fileSystem }) }
    })
    const held = Promise.allSettled(claims.map(({ hold }) => hold))
    this.members = claims.map(({ target, hold }) => {
      const firstHold = held.then(() => hold)
      return new FleetMember(target, options, firstHold)
    })
    this.done = Promise.allSettled(this.members.map(({ done }) => done)).then(() => undefined)
  }
}
