// Catalogues made of few words: what the ledger and retention are tested on.
import type { BackupRef, Catalogue, PieceRef, SegmentRef, TimelineInfo } from '@timberline/archive'
import { time, type World } from './history-worlds.ts'

/** A place of records; commit times as in the fixtures of histories. */
export interface Place {
  readonly timeline?: number
  readonly number: number
  readonly firstLsn: number
  readonly lastLsn: number
  readonly timeAt?: (lsn: number) => number
}

export function segmentOf({ timeline = 1, number, firstLsn, lastLsn, timeAt = time }: Place): SegmentRef {
  return {
    timeline,
    segmentNumber: number,
    firstLsn,
    lastLsn,
    firstCommittedAtUs: timeAt(firstLsn),
    lastCommittedAtUs: timeAt(lastLsn),
    bytes: 1000,
    sha256: 'ab'.repeat(32),
    storedBytes: 500,
    headerChecksum: 1,
    sealChecksum: 2,
    marks: [],
    name: `segment/${timeline}/${number}`,
  }
}

export function pieceOf({ timeline = 1, number, firstLsn, lastLsn, timeAt = time }: Place): PieceRef {
  return {
    timeline,
    segmentNumber: number,
    position: 0,
    endPosition: 1000,
    firstLsn,
    lastLsn,
    lastCommittedAtUs: timeAt(lastLsn),
    epoch: 1,
    name: `piece/${timeline}/${number}`,
    storedBytes: 500,
  }
}

export function backupOf(lsn: number, more: Partial<BackupRef> = {}): BackupRef {
  const endLsn = more.endLsn ?? lsn
  return {
    label: `b${lsn}`,
    timeline: 1,
    kind: 'full',
    lsn,
    committedAtUs: time(lsn),
    beginLsn: lsn,
    endLsn,
    endCommittedAtUs: time(endLsn),
    bytes: 1000,
    name: `backup/b${lsn}/manifest.json`,
    manifestSha256: 'ab'.repeat(32),
    ...more,
  }
}

export function catalogueWith(parts: Partial<Catalogue>): Catalogue {
  return {
    identity: { format: 1, environmentId: '0'.repeat(32), createdAtUs: 0 },
    sequence: 1,
    timelines: [timelineOf(1)],
    segments: [],
    pieces: [],
    backups: [],
    deltas: [],
    declinedDeltas: [],
    marks: [],
    ...parts,
  }
}

export function timelineOf(timeline: number, fork: { parent?: number; forkLsn?: number } = {}): TimelineInfo {
  return { timeline, ...fork, begunAtUs: 0 }
}

/** Segments one after the other on one timeline, each of ten records from `fromLsn` on. */
export function segmentsOf(timeline: number, fromLsn: number, count: number): SegmentRef[] {
  return Array.from({ length: count }, (_, index) =>
    segmentOf({
      timeline,
      number: index + 1,
      firstLsn: fromLsn + index * 10,
      lastLsn: fromLsn + index * 10 + 9,
    }),
  )
}

/** A random past as an archive would hold it. */
export function catalogueOf({ branches, times, history }: World): Catalogue {
  const counts = new Map<number, number>()
  const places = history.spans
    .filter(({ origin }) => origin.type === 'segment' || origin.type === 'pieces')
    .map(({ timeline, firstLsn, lastLsn, origin }) => {
      const number = (counts.get(timeline) ?? 0) + 1
      counts.set(timeline, number)
      const timeAt = (lsn: number): number => times.get(`${timeline}:${lsn}`) ?? -1
      return { type: origin.type, timeline, number, firstLsn, lastLsn, timeAt }
    })
  const labels = new Set<string>()
  return catalogueWith({
    timelines: branches.map(({ timeline, parent, forkLsn }) =>
      timelineOf(timeline, parent === undefined || forkLsn === undefined ? {} : { parent, forkLsn }),
    ),
    segments: places.filter(({ type }) => type === 'segment').map(segmentOf),
    pieces: places.filter(({ type }) => type === 'pieces').map(pieceOf),
    backups: history.bases
      .filter(({ label }) => !labels.has(label) && labels.add(label))
      .map(({ label, timeline, lsn, committedAtUs }) =>
        backupOf(lsn, { label, timeline, committedAtUs, endCommittedAtUs: committedAtUs }),
      )
      .toSorted((a, b) => (a.label < b.label ? -1 : 1)),
  })
}
