import { archiveStatus, type ArchiveStatus, type BackupRef, type SegmentStatus } from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { segmentName } from '@timberline/wal'
import type { Command } from '../command.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns, formatBytes, formatCount } from '../quantity.ts'
import { existingArchive } from '../archive-access.ts'

/** More segments than these are summed up, oldest first; `--json` has all. */
const shownMax = 40

/** `timberline archive status` */
export const archiveStatusCommand: Command = async (args) => {
  const home = args.required('home')
  const { environmentId, timeline } = await readHomeIdentity(home)
  const archive = await existingArchive(args.required('archive'), environmentId)
  const status = await archiveStatus({ archive, logDirectory: homeLayout(home).logDirectory, timeline })
  const { backups, timelines } = await archive.catalogue()
  const lost = status.segments.filter(({ state }) => state === 'lost')
  return {
    document: { archive: archive.store.url, ...status, backups, timelines },
    lines: [...segmentLines(status.segments), '', ...summaryLines(status, backups)],
    // A hole is a finding: instants in it cannot be recovered from this archive.
    exitCode: lost.length > 0 || status.holes.length > 0 ? 1 : 0,
  }
}

function segmentLines(segments: readonly SegmentStatus[]): readonly string[] {
  const hidden = segments.length > shownMax ? segments.slice(0, -shownMax) : []
  // What is amiss is never summed up.
  const shown = segments.filter((segment, at) => at >= hidden.length || segment.state !== 'archived')
  const summed = segments.length - shown.length
  return [
    ...(summed === 0 ? [] : [`${formatCount(summed)} older segments are archived`]),
    ...columns([
      ['segment', 'state', 'first LSN', 'last LSN', 'size', 'in the home', 'pieces through LSN'],
      ...shown.map(({ segmentNumber, state, firstLsn, lastLsn, bytes, isLocal, piecedLsn }) => [
        segmentName(segmentNumber),
        state,
        orDash(firstLsn),
        orDash(lastLsn),
        bytes === undefined ? '-' : formatBytes(bytes),
        isLocal ? 'yes' : 'no',
        orDash(piecedLsn),
      ]),
    ]),
  ]
}

function summaryLines(status: ArchiveStatus, backups: readonly BackupRef[]): readonly string[] {
  const { lag, holes, owner, timeline, localLsn, archivedLsn } = status
  const newest = backups.at(-1)
  return columns([
    ['timeline', String(timeline)],
    ['log ends at', `LSN ${String(localLsn)}`],
    ['archived through', `LSN ${String(archivedLsn)}`],
    [
      'lag',
      `${formatCount(lag.transactions)} transactions, ${formatBytes(lag.bytes)}, ${lag.seconds.toFixed(1)} s`,
    ],
    [
      'shipper',
      owner === undefined
        ? 'none ever'
        : `${owner.description}, epoch ${String(owner.epoch)}, since ${formatInstant(owner.claimedAtUs)}`,
    ],
    [
      'backups',
      newest === undefined
        ? 'none: the log alone recovers nothing; run `timberline hotbackup -h HOME -a ARCHIVE`'
        : `${String(backups.length)}, the newest ${newest.label} through ${formatPoint(newest.endLsn, newest.endCommittedAtUs)}`,
    ],
    ...holes.map(({ fromLsn, throughLsn }) => [
      'HOLE',
      `LSN ${String(fromLsn)} to ${String(throughLsn)} are in neither log nor archive`,
    ]),
  ])
}

function orDash(value: number | undefined): string {
  return value === undefined ? '-' : String(value)
}
