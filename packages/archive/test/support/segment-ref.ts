import type { SegmentRef } from '../../src/index.ts'

/** Segment n of timeline 1, as an archive enters it; it holds records 10 n - 9 to 10 n. */
export function segment(segmentNumber: number, more: Partial<SegmentRef> = {}): SegmentRef {
  return {
    timeline: 1,
    segmentNumber,
    firstLsn: segmentNumber * 10 - 9,
    lastLsn: segmentNumber * 10,
    firstCommittedAtUs: segmentNumber * 1000,
    lastCommittedAtUs: segmentNumber * 1000 + 9,
    bytes: 5000,
    sha256: 'ab'.repeat(32),
    storedBytes: 1000,
    headerChecksum: 1,
    sealChecksum: 2,
    marks: [],
    name: `segment/00000001/${segmentNumber}`,
    ...more,
  }
}
