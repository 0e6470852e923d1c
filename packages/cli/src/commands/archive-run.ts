import { runShipper, type ShipperEvent } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import type { Arguments } from '../arguments.ts'
import type { Command, Surroundings } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatBytes, formatMs } from '../quantity.ts'
import { watchShippers, type WatchOptions } from '../watch/shipper-watch.ts'
import { archiveFor, archiveNameOf, holdLogFor } from './archive-access.ts'

/** `timberline archive run` */
export const archiveRunCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  if (identity.archiving === false) {
    throw cliError('CLI_ARCHIVING_OFF', 'this home was recovered and does not archive yet', {
      details: { home },
    })
  }
  const { archive, isNew } = await archiveFor(args.required('archive'), identity)
  if (isNew) surroundings.warn(`created an archive at ${archive.store.url}`)
  const name = archiveNameOf(args)
  await holdLogFor(name, home, identity)
  const stop = new AbortController()
  const end = (): void => stop.abort()
  surroundings.signal.addEventListener('abort', end, { once: true })
  if (surroundings.signal.aborted) end()
  const shipper = runShipper({
    logDirectory: homeLayout(home).logDirectory,
    archive,
    name,
    identity,
    intervalMs: args.number('interval-ms') ?? 1000,
    signal: stop.signal,
  })
  let storedBytes = 0
  const subscription = shipper.events$.subscribe((event) => {
    if ('storedBytes' in event) storedBytes += event.storedBytes
    tellEvent(event, surroundings)
  })
  const watch = await watchShippers(new Map([[name, shipper]]), watchOptions(args, surroundings)).catch(
    async (error: unknown) => {
      end()
      await shipper.done.catch(() => undefined)
      throw error
    },
  )
  if (watch.url !== undefined) surroundings.tell(`metrics at ${watch.url}`)
  try {
    if (args.flag('once')) await Promise.race([shipper.flushWhole().finally(end), shipper.done])
    await shipper.done
  } finally {
    subscription.unsubscribe()
    await watch.close()
    surroundings.signal.removeEventListener('abort', end)
    await archive.close()
  }
  const { shippedLsn, archivedSegment, lagTransactions } = shipper.status()
  return {
    document: { archive: archive.store.url, shippedLsn, archivedSegment, lagTransactions, storedBytes },
    lines: [`archived through LSN ${String(shippedLsn)}, ${formatBytes(storedBytes)} stored by this run`],
  }
}

function watchOptions(args: Arguments, { warn }: Surroundings): WatchOptions {
  return {
    alarmSeconds: args.number('alarm-seconds') ?? 60,
    port: args.number('metrics-port'),
    file: args.text('metrics-file'),
    onChange: args.text('on-change'),
    warn,
  }
}

function tellEvent(event: ShipperEvent, { tell, warn }: Surroundings): void {
  switch (event.type) {
    case 'ship.began':
      return tell(`shipping timeline ${String(event.timeline)} from LSN ${String(event.lsn)}`)
    case 'piece.shipped':
      return tell(
        `shipped through LSN ${String(event.lsn)}: ${formatBytes(event.storedBytes)} in ${formatMs(event.durationMs)}`,
      )
    case 'segment.uploading':
      return tell(`uploading segment ${String(event.segmentNumber)}`)
    case 'segment.archived':
      return tell(
        `archived segment ${String(event.segmentNumber)}: ${formatBytes(event.bytes)} in ${formatBytes(event.storedBytes)}, ${formatMs(event.durationMs)}`,
      )
    case 'pieces.merged':
      return tell(`merged ${String(event.count)} pieces of segment ${String(event.segmentNumber)} into one`)
    case 'pieces.removed':
      return tell(`removed ${String(event.count)} pieces of segment ${String(event.segmentNumber)}`)
    case 'log.lost':
      return warn(
        `segments ${String(event.fromSegment)} to ${String(event.throughSegment)} are lost: instants in them cannot be recovered`,
      )
    case 'ship.retried':
      return warn(`${event.error.code} ${event.error.message}; trying again in ${formatMs(event.delayMs)}`)
    case 'ship.ended':
      return tell('shipping ended')
  }
}
