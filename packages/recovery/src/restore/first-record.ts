// The log that a new timeline begins with.
import { encodeNote, type HomeLayout } from '@timberline/engine'
import { type FileSystem, type Lsn, openLog } from '@timberline/wal'

/** A new timeline, as its home's log must begin. */
export interface NewLine {
  readonly environmentId: string
  readonly timeline: number
  readonly parent: { readonly timeline: number; readonly forkLsn: Lsn }
  /** Of the last record before the fork. */
  readonly committedAtUs: number
  readonly segmentNumber: number
}

/**
 * The new timeline's log. Its first record says where the timeline left its parent; it also carries the commit time over, so
 * that times go on increasing when the clock of this machine is behind that of the one which was lost.
 */
export async function writeFirstRecord(
  { logDirectory }: HomeLayout,
  line: NewLine,
  fileSystem: FileSystem,
): Promise<void> {
  const { environmentId, timeline, parent, committedAtUs, segmentNumber } = line
  const log = await openLog({
    directory: logDirectory,
    identity: { environmentId, timeline },
    fileSystem,
    nextLsn: parent.forkLsn + 1,
    nextSegmentNumber: segmentNumber,
    afterCommittedAtUs: committedAtUs,
    preallocateBytes: 0,
  })
  const note = encodeNote({ type: 'timeline', timeline, parent: parent.timeline, forkLsn: parent.forkLsn })
  await log.commit(note, { kind: 'note' })
  await log.close()
}
