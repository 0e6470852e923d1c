// Ships a log until stopped, into one archive or several. What goes wrong with one is told at once, and the others go on.
import {
  type Archive,
  type ArchiveStore,
  countingStore,
  type FleetMember,
  openStore,
  runShippers,
  type ShipperEvent,
} from '@timberline/archive'
import { type HomeIdentity, homeLayout, readHomeIdentity } from '@timberline/engine'
import { nodeFileSystem, promptFileSystem, type TimberlineError } from '@timberline/wal'
import { archiveTargets } from '../archive-targets.ts'
import type { Arguments } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { asTimberlineError, cliError } from '../errors.ts'
import { exitCodeOf } from '../exit-code.ts'
import { describeFailure, failureDocument } from '../failure.ts'
import { formatBytes, formatMs } from '../quantity.ts'
import { BackupDueLook } from '../watch/backup-due-look.ts'
import type { ArchiveFacts } from '../watch/shipper-metrics.ts'
import { watchShippers, type WatchOptions } from '../watch/shipper-watch.ts'
import type { Watchable } from '../watch/watched-shipper.ts'
import { archiveIn } from '../archive-access.ts'
import { switchEvery } from './log-switch.ts'

/** What became of one archive. */
interface Shipped {
  readonly member: FleetMember
  readonly storedBytes: number
  readonly error: TimberlineError | undefined
}

/** `timberline archive run` */
export const archiveRunCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  if (identity.archiving === false) {
    throw cliError('CLI_ARCHIVING_OFF', 'this home was recovered and does not archive yet', {
      details: { home },
    })
  }
  const targets = archiveTargets(args)
  // A folder that hangs must hold up no other archive.
  const isAlone = targets.length === 1
  const addresses = new Map(targets.map(({ name, url }) => [name, url]))
  const due = new BackupDueLook(home)
  await due.look()
  const facts = new Map<string, () => ArchiveFacts>()
  const stop = new AbortController()
  const end = (): void => stop.abort()
  surroundings.signal.addEventListener('abort', end, { once: true })
  if (surroundings.signal.aborted) end()
  const isOnce = args.flag('once')
  const fleet = runShippers({
    logDirectory: homeLayout(home).logDirectory,
    identity,
    targets: targets.map(({ name, url }) => ({
      name,
      open: async () => {
        const store = countingStore(openStore(url, isAlone ? promptFileSystem : nodeFileSystem))
        const archive = await openTarget(store, identity, surroundings)
        addresses.set(name, store.url)
        const { fold } = archive.journal
        facts.set(name, () => ({
          counts: store.counts,
          provedAtUs: fold.proof?.provedAtUs,
          isBackupDue: due.isDue,
        }))
        return archive
      },
    })),
    intervalMs: args.number('interval-ms') ?? 1000,
    fileSystem: promptFileSystem,
    signal: stop.signal,
    // Who runs once wants to hear that the archive is away, and has a try of its own in mind.
    ...(isOnce ? { openTriesMax: 1 } : {}),
  })
  const seconds = args.number('switch-every')
  const switching =
    seconds === undefined || isOnce
      ? Promise.resolve()
      : switchEvery(home, seconds, { ...surroundings, signal: stop.signal })
  const voyages = fleet.members.map((member) => watchOver({ member, isOnce, isAlone }, surroundings))
  try {
    const watch = await watchShippers(
      new Map(fleet.members.map((member) => [member.name, watchable(member, facts)])),
      watchOptions(args, surroundings),
    )
    if (watch.url !== undefined) surroundings.tell(`metrics at ${watch.url}`)
    try {
      return outcomeOf(await Promise.all(voyages), addresses)
    } finally {
      await watch.close()
    }
  } finally {
    end()
    await fleet.done
    await switching
    surroundings.signal.removeEventListener('abort', end)
  }
}

function watchable(member: FleetMember, facts: ReadonlyMap<string, () => ArchiveFacts>): Watchable {
  const { name, events$ } = member
  return { events$, status: () => member.status(), archive: () => facts.get(name)?.() }
}

async function openTarget(
  store: ArchiveStore,
  identity: HomeIdentity,
  { warn }: Pick<Surroundings, 'warn'>,
): Promise<Archive> {
  const { archive, isNew } = await archiveIn(store, identity)
  if (isNew) warn(`created an archive at ${archive.store.url}`)
  return archive
}

/** Tells what one archive's shipper does, and resolves when that has ended. */
async function watchOver(
  run: Omit<Shipped, 'storedBytes' | 'error'> & { readonly isOnce: boolean; readonly isAlone: boolean },
  { tell, warn }: Surroundings,
): Promise<Shipped> {
  const { member, isOnce, isAlone } = run
  const named = (line: string): string => (isAlone ? line : `${member.name}: ${line}`)
  let storedBytes = 0
  member.events$.subscribe((event) => {
    if ('storedBytes' in event) storedBytes += event.storedBytes
    tellEvent(event, { tell: (line) => tell(named(line)), warn: (line) => warn(named(line)) })
  })
  try {
    if (isOnce) await Promise.race([member.flushWhole().finally(() => member.stop()), member.done])
    await member.done
    return { member, storedBytes, error: undefined }
  } catch (thrown) {
    const error = asTimberlineError(thrown)
    // Of one archive alone it ends the command, which tells it then.
    if (!isAlone) for (const line of describeFailure(error)) warn(named(line.replace('timberline: ', '')))
    return { member, storedBytes, error }
  }
}

function outcomeOf(all: readonly Shipped[], addresses: ReadonlyMap<string, string>): Outcome {
  const errors = all.flatMap(({ error }) => (error === undefined ? [] : [error]))
  const [first] = errors
  if (first !== undefined && errors.length === all.length) throw first
  const documents = all.map((shipped) => documentOf(shipped, addresses.get(shipped.member.name)))
  const lines = all.map((shipped) => (all.length === 1 ? '' : `${shipped.member.name}: `) + lineOf(shipped))
  return {
    document: documents.length === 1 ? documents[0] : { archives: documents },
    lines,
    ...(first === undefined ? {} : { exitCode: exitCodeOf(first) }),
  }
}

function documentOf({ member, storedBytes, error }: Shipped, archive: string | undefined) {
  const { shippedLsn, archivedSegment, lagTransactions } = member.status()
  return {
    name: member.name,
    archive,
    shippedLsn,
    archivedSegment,
    lagTransactions,
    storedBytes,
    ...(error === undefined ? {} : failureDocument(error)),
  }
}

function lineOf({ member, storedBytes, error }: Shipped): string {
  if (error !== undefined) return `failed with ${error.code}`
  const { shippedLsn } = member.status()
  return `archived through LSN ${String(shippedLsn)}, ${formatBytes(storedBytes)} stored by this run`
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

function tellEvent(event: ShipperEvent, { tell, warn }: Pick<Surroundings, 'tell' | 'warn'>): void {
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
