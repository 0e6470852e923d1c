import {
  type BarrierReport,
  controlCall,
  homeParticipant,
  markTogether,
  readHomeIdentity,
  TimberLevel,
} from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import type { Command, Outcome } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { columns, formatMs } from '../quantity.ts'

/** `timberline mark` */
export const markCommand: Command = async (args, surroundings) => {
  const [name = ''] = args.operands
  const homes = args.list('home')
  for (const home of homes) await readHomeIdentity(home)
  const opened = await openClosed(homes)
  try {
    surroundings.signal.throwIfAborted()
    const [home] = homes
    if (home !== undefined && homes.length === 1) return await markOne(name, home)
    const seconds = args.number('max-seconds')
    const maxMs = seconds === undefined ? {} : { maxMs: Math.max(1, Math.round(seconds * 1000)) }
    return outcomeOf(await markTogether(name, homes.map(homeParticipant), maxMs))
  } finally {
    for (const db of opened) await db.close()
  }
}

/** A home that nobody has open is opened here, so that its log can be written to; the others are their owners'. */
async function openClosed(homes: readonly string[]): Promise<readonly TimberLevel[]> {
  const opened: TimberLevel[] = []
  try {
    for (const home of homes) {
      if (await isRunning(home)) continue
      const db = new TimberLevel(home, { createIfMissing: false })
      await db.open()
      opened.push(db)
    }
    return opened
  } catch (error) {
    for (const db of opened) await db.close()
    throw error
  }
}

async function isRunning(home: string): Promise<boolean> {
  try {
    await controlCall(home, { type: 'status' })
    return true
  } catch (error) {
    if (error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING') return false
    throw error
  }
}

/** No pause is needed. */
async function markOne(name: string, home: string): Promise<Outcome> {
  const place = (await controlCall(home, { type: 'mark', name })) as { lsn: number; committedAtUs: number }
  return {
    document: { name, marks: [{ participant: home, ...place }] },
    lines: [
      `mark ${JSON.stringify(name)} at LSN ${String(place.lsn)}, ${formatInstant(place.committedAtUs)}`,
    ],
  }
}

function outcomeOf(report: BarrierReport): Outcome {
  const { name, marks, skewUs, pausedMs } = report
  return {
    document: report,
    lines: [
      `mark ${JSON.stringify(name)} in ${String(marks.length)} databases, within ${String(skewUs)} µs; commits waited for ${formatMs(pausedMs)} at most`,
      ...columns(
        marks.map(({ participant, lsn, committedAtUs }) => [
          participant,
          `LSN ${String(lsn)}, ${formatInstant(committedAtUs)}`,
        ]),
      ),
    ],
  }
}
