import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  controlCall,
  homeLayout,
  homeOwner,
  newestCheckpoint,
  readBackupDue,
  readHomeEnd,
  readHomeIdentity,
} from '@timberline/engine'
import {
  listSegments,
  liveHolds,
  readConfirmations,
  segmentName,
  systemCode,
  TimberlineError,
} from '@timberline/wal'
import type { Command } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { columns, formatBytes, formatCount, formatMs } from '../quantity.ts'
import { removableSegments } from './archive-list.ts'
import { type HeldFor, heldFor } from './log-held.ts'
import { limitRows } from './log-limit-rows.ts'
import { pausedRows } from './paused-rows.ts'
import { standbyFacts } from './standby-facts.ts'

/** `timberline stat` */
export const statCommand: Command = async (args) => {
  const standby = await standbyFacts(args.required('home'))
  if (standby !== undefined) return standby
  const facts = await factsOf(args.required('home'))
  return { document: facts, lines: linesOf(facts) }
}

/** All that the files of a home tell, beside its owner or without one. */
type HomeFacts = Awaited<ReturnType<typeof factsOf>>

async function factsOf(home: string) {
  const identity = await readHomeIdentity(home)
  const layout = homeLayout(home)
  const [owner, checkpoint, segments, confirmations, holds, removable] = await Promise.all([
    homeOwner(home),
    newestCheckpoint(home),
    listSegments(layout.logDirectory),
    readConfirmations(layout.logDirectory),
    liveHolds(layout.logDirectory),
    removableSegments(home),
  ])
  const last = segments.at(-1)
  const tables = new Set(checkpoint?.tables.map(({ name }) => name))
  const heldLog = {
    directory: layout.logDirectory,
    timeline: identity.timeline,
    segments,
    neededFrom: checkpoint?.segmentNumber ?? 0,
    nowMs: Date.now(),
  }
  return {
    home,
    ...identity,
    createdAt: formatInstant(identity.createdAtUs),
    owner: owner ?? null,
    /** Where a promotion ended the timeline, and what goes on; `null` while the home goes on itself. */
    ended: (await readHomeEnd(home)) ?? null,
    log: {
      segments: segments.length,
      firstSegment: segments[0]?.header.segmentNumber ?? null,
      activeSegment: last?.header.segmentNumber ?? null,
      firstLsn: segments[0]?.firstLsn ?? null,
      lastLsn: last?.lastLsn ?? null,
      lastCommittedAtUs: last?.lastCommittedAtUs ?? null,
      bytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
      removable: removable.names,
      restKeptBy: removable.keptBy,
    },
    checkpoint:
      checkpoint === undefined
        ? null
        : {
            lsn: checkpoint.lsn,
            createdAtUs: checkpoint.createdAtUs,
            segmentNumber: checkpoint.segmentNumber,
            tables: checkpoint.tables.length,
            bytes: checkpoint.tables.reduce((sum, { bytes }) => sum + bytes, 0),
            recordsSince: (last?.lastLsn ?? checkpoint.lsn) - checkpoint.lsn,
          },
    data: {
      bytes: await folderBytes(layout.dataDirectory),
      /** Tables that only the checkpoint still needs. */
      heldBytes: await folderBytes(layout.tablesDirectory, (name, links) => links < 2 && tables.has(name)),
    },
    archives: await Promise.all(confirmations.map((confirmation) => heldFor(heldLog, confirmation))),
    holds,
    backupDue: (await readBackupDue(home)) ?? null,
    live: owner === undefined ? null : await askOwner(home),
  }
}

function linesOf(facts: HomeFacts): readonly string[] {
  const { log, checkpoint, data, owner } = facts
  const timeline = `${String(facts.timeline)}${facts.parent === undefined ? '' : `, from ${String(facts.parent.timeline)} after LSN ${String(facts.parent.forkLsn)}`}`
  return columns([
    ['home', facts.home],
    ['environment', facts.environmentId],
    ['timeline', timeline],
    ...endedRows(facts),
    ['created', facts.createdAt],
    ['open in', owner === null ? 'no process' : `process ${String(owner.pid)}`],
    [
      'log',
      `${formatCount(log.segments)} segments, ${formatBytes(log.bytes)}, LSN ${String(log.firstLsn)} to ${String(log.lastLsn)}`,
    ],
    [
      'last commit',
      log.lastCommittedAtUs === null || log.lastCommittedAtUs === 0
        ? 'none in the log'
        : formatInstant(log.lastCommittedAtUs),
    ],
    [
      'removable',
      log.removable.length === 0 ? `nothing, because of ${log.restKeptBy}` : log.removable.join(', '),
    ],
    [
      'checkpoint',
      checkpoint === null
        ? 'none'
        : `LSN ${String(checkpoint.lsn)}, ${formatInstant(checkpoint.createdAtUs)}, ${String(checkpoint.tables)} tables, ${formatBytes(checkpoint.bytes)}; ${formatCount(checkpoint.recordsSince)} records since`,
    ],
    ['data', `${formatBytes(data.bytes)}; ${formatBytes(data.heldBytes)} more held by the checkpoint alone`],
    ['archiving', archivingText(facts)],
    ...(facts.backupDue === null ? [] : [['backup due', `in full, because of ${facts.backupDue.reason}`]]),
    ...pausedRows(facts.live),
    ...limitRows(facts.live),
    ...facts.archives.map((archive) => [`archive ${archive.name}`, archiveText(archive)]),
    ...facts.holds.map(({ purpose, pid, fromSegment }) => [
      'held by',
      `${purpose}, process ${String(pid)}, from segment ${String(fromSegment)}`,
    ]),
  ])
}

function endedRows({ home, ended }: HomeFacts): readonly (readonly [string, string])[] {
  if (ended === null) return []
  const { lsn, endedAtUs, successor, home: next } = ended
  return [
    [
      'ended',
      `after LSN ${String(lsn)}, ${formatInstant(endedAtUs)}: timeline ${String(successor)} goes on in ${next}`,
    ],
    ['next', `timberline standby -h ${home} --of ${next} --rejoin makes it the standby of that one`],
  ]
}

function archivingText({ ended, archiving }: HomeFacts): string {
  if (ended !== null) return 'ended with the timeline'
  return archiving === false ? 'off since recovery; `timberline archive init` turns it on' : 'allowed'
}

function archiveText(archive: HeldFor): string {
  const { segmentNumber, lsn, heldSegments, heldBytes, lackingRecords, oldestLackingSeconds } = archive
  return [
    `has ${segmentNumber === 0 ? 'no whole segment' : `everything through ${segmentName(segmentNumber)}`}, LSN ${String(lsn)}`,
    ...(heldSegments === 0
      ? []
      : [`${formatCount(heldSegments)} segments, ${formatBytes(heldBytes)}, are held for it`]),
    ...(lackingRecords === 0
      ? []
      : [
          `it lacks ${formatCount(lackingRecords)} records, the oldest ${formatMs(oldestLackingSeconds * 1000)} old`,
        ]),
  ].join('; ')
}

/** The owner's own word, where it gives one: what its files do not tell, such as queues. */
async function askOwner(home: string): Promise<unknown> {
  try {
    return await controlCall(home, { type: 'status' }, { timeoutMs: 5000 })
  } catch (error) {
    if (error instanceof TimberlineError) return { unanswered: error.code }
    throw error
  }
}

async function folderBytes(
  directory: string,
  counts: (name: string, links: number) => boolean = () => true,
): Promise<number> {
  let bytes = 0
  for (const name of await readdir(directory).catch(whenMissing([]))) {
    // LevelDB may remove a file between the listing and the question.
    const status = await stat(join(directory, name)).catch(whenMissing(undefined))
    if (status?.isFile() === true && counts(name, status.nlink)) bytes += status.size
  }
  return bytes
}

function whenMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (systemCode(error) === 'ENOENT') return value
    throw error
  }
}
