// The last part of every promotion: it concerns the folder of the standby alone, whose label stands to the last, so that the same call
// finishes what a crash left.
import { join } from 'node:path'
import { holdLogFor, type TimelineEnd } from '@timberline/archive'
import { type HomeIdentity, STANDBY_LABEL, type StandbyState, writeHomeIdentity } from '@timberline/engine'
import { writeFirstRecord } from '../restore/first-record.ts'
import type { StandbyFolder } from './standby-place.ts'

/** The line that a promotion has begun. */
export interface PromotedLine {
  readonly folder: StandbyFolder
  /** At the last record of the timeline before. */
  readonly state: StandbyState
  /** The timeline that is continued. */
  readonly timeline: number
  readonly ended: Pick<TimelineEnd, 'successor' | 'endedAtUs'>
  /** Of the first segment: above all that were used. */
  readonly segmentNumber: number
  /** What the home calls the archive that goes on with it; absent where it archives only when told. */
  readonly archiveName: string | undefined
}

/** The folder as a home; it opens as one from the moment that its label is gone. */
export async function becomeHome(line: PromotedLine): Promise<void> {
  const { folder, state, timeline, ended, segmentNumber, archiveName } = line
  const { layout, fileSystem, spoolDirectory } = folder
  const { environmentId } = folder.label
  const { lsn, committedAtUs } = await state.applied()
  const parent = { timeline, forkLsn: lsn }
  await folder.clearLine()
  const identity: HomeIdentity = {
    format: 1,
    environmentId,
    timeline: ended.successor,
    createdAtUs: ended.endedAtUs,
    ...(archiveName === undefined ? { archiving: false } : {}),
    parent,
    // Such a home's first record is not the beginning of its content.
    ...(lsn === 0 ? { adoptedAtUs: ended.endedAtUs } : {}),
  }
  await writeHomeIdentity(layout.home, identity, fileSystem)
  await state.checkpoint({
    layout,
    identity,
    segmentAfter: () => Promise.resolve(segmentNumber),
    previous: undefined,
    fileSystem,
  })
  const first = { environmentId, timeline: ended.successor, parent, committedAtUs, segmentNumber }
  await writeFirstRecord(layout, first, fileSystem)
  const { logDirectory } = layout
  // The application may run for long before a shipper does: without it, log that no archive has would go at the first checkpoint.
  const claim = { logDirectory, timeline: ended.successor, fileSystem }
  if (archiveName !== undefined) await holdLogFor({ ...claim, name: archiveName })
  await fileSystem.removeTree(spoolDirectory)
  await fileSystem.syncDirectory(layout.home)
  // All of the home is durable from here on.
  await fileSystem.remove(join(layout.home, STANDBY_LABEL))
  await fileSystem.syncDirectory(layout.home)
}
