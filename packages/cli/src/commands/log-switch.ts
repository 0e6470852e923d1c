// Sealing the active segment of a log, on demand and by time.
import { setTimeout as sleep } from 'node:timers/promises'
import { controlCall, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { segmentName, type SegmentSummary, TimberlineError } from '@timberline/wal'
import type { Command, Surroundings } from '../command.ts'
import { asTimberlineError } from '../errors.ts'

/** `timberline switch` */
export const switchCommand: Command = async (args) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const sealed = (await askOwner(home)) ?? (await switchClosedHome(home))
  const { segmentNumber, lastLsn } = sealed
  const name = segmentName(segmentNumber)
  return {
    document: { home, ...sealed },
    lines: [
      sealed.isSealed
        ? `sealed ${name}, through LSN ${String(lastLsn)}`
        : `${name} has no records yet: nothing to seal, the log before it is sealed through LSN ${String(lastLsn)}`,
    ],
  }
}

/**
 * Asks the owner of a home every so often to seal the active segment; one without records stays. Resolves when aborted. What goes
 * wrong is told, and tried again: shipping does not hang on it.
 */
export async function switchEvery(
  home: string,
  seconds: number,
  { signal, tell, warn }: Pick<Surroundings, 'signal' | 'tell' | 'warn'>,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(seconds * 1000, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) return
    try {
      const sealed = await askOwner(home)
      if (sealed?.isSealed === true) tell(`sealed segment ${String(sealed.segmentNumber)}`)
    } catch (error) {
      const { code, message } = asTimberlineError(error)
      warn(`${code} ${message}; the log was not switched`)
    }
  }
}

interface Switched {
  readonly segmentNumber: number
  readonly lastLsn: number
  readonly isSealed: boolean
}

/** `undefined` when nobody has the home open: then nothing is being written either. */
async function askOwner(home: string): Promise<Switched | undefined> {
  try {
    const { header, lastLsn, sealed } = (await controlCall(home, { type: 'switch' })) as SegmentSummary
    return { segmentNumber: header.segmentNumber, lastLsn, isSealed: sealed }
  } catch (error) {
    if (error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING') return undefined
    throw error
  }
}

async function switchClosedHome(home: string): Promise<Switched> {
  const db = new TimberLevel(home, { createIfMissing: false })
  await db.open()
  try {
    const before = (await db.homeStatus()).activeSegment
    const { segmentNumber, lastLsn } = await db.switchSegment()
    return { segmentNumber, lastLsn, isSealed: (await db.homeStatus()).activeSegment > before }
  } finally {
    await db.close()
  }
}
