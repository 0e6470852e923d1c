// Which events cannot come next, each by its name: an archive that took one would promise what it does not have.
import { expect, it } from 'vitest'
import { CatalogueFold } from '../src/catalogue/catalogue-fold.ts'
import type { BackupRef, CatalogueEvent, RetentionDecision, SegmentRef } from '../src/index.ts'
import { segment } from './support/segment-ref.ts'

function backup(label: string, references: readonly string[] = []): BackupRef {
  const lsns = { lsn: 1, committedAtUs: 1, beginLsn: 2, endLsn: 3, endCommittedAtUs: 3 }
  const object = { bytes: 1, name: `backup/${label}`, manifestSha256: '' }
  return { label, timeline: 1, kind: 'full', references, ...lsns, ...object }
}

const begun = (timeline: number): CatalogueEvent => ({ type: 'timeline.begun', timeline })
const claimed = (epoch: number, timeline = 1): CatalogueEvent => ({
  type: 'owner.claimed',
  epoch,
  ownerId: '0'.repeat(31) + String(epoch),
  description: 'a shipper',
  timeline,
})
const adopted = (epoch: number): CatalogueEvent => ({
  type: 'owner.adopted',
  epoch,
  segmentNumber: 1,
  endPosition: 0,
})
const archived = (ref: SegmentRef, epoch = 1): CatalogueEvent => ({
  type: 'segment.archived',
  epoch,
  segment: ref,
})
const added = (ref: BackupRef): CatalogueEvent => ({ type: 'backup.added', backup: ref })
const ended = (timeline: number, successor: number, epoch = 1): CatalogueEvent => ({
  type: 'timeline.ended',
  epoch,
  timeline,
  lsn: 20,
  successor,
})
const letGo = (part: Partial<RetentionDecision>): CatalogueEvent => ({
  type: 'retention.decided',
  decision: { backups: [], segments: [], timelines: [], ...part },
})
const first = { timeline: 1, fromSegment: 1, throughSegment: 1 }

/** Three timelines, of which the third is let go; two segments and three backups, of which the first ones are let go. */
const HISTORY: readonly CatalogueEvent[] = [
  begun(1),
  begun(2),
  begun(3),
  claimed(1),
  archived(segment(1)),
  archived(segment(2)),
  added(backup('old')),
  added(backup('base')),
  added(backup('leans', ['base'])),
  letGo({ backups: ['old'], segments: [first], timelines: [3] }),
]

function folded(events: readonly CatalogueEvent[]): CatalogueFold {
  const fold = new CatalogueFold()
  for (const event of events) {
    const sequence = fold.sequence + 1
    fold.apply({ format: 1, sequence, environmentId: '', writerId: '', atUs: 0, event })
  }
  return fold
}

it.each<readonly [problem: string, event: CatalogueEvent]>([
  ['a timeline began twice', begun(2)],
  ['an owner ended the timeline of another', ended(2, 4)],
  ['a timeline began twice', ended(1, 3)],
  ['an owner that lost the archive went on', ended(1, 4, 2)],
  ['a claim on an unknown timeline', claimed(2, 4)],
  ['a claim on a timeline that retention let go', claimed(2, 3)],
  ['an owner took no new epoch', claimed(1)],
  ['an owner took no new epoch', claimed(3)],
  ['an owner that lost the archive went on', adopted(2)],
  ['an owner that lost the archive went on', archived(segment(3), 2)],
  ['a segment of an unknown timeline', archived(segment(3, { timeline: 4 }))],
  ['a segment came back that retention let go', archived(segment(1))],
  ['a segment has two contents', archived(segment(2, { sha256: 'cd'.repeat(32) }))],
  ['a backup was added twice', added(backup('base'))],
  ['a backup was added twice', added(backup('old'))],
  ['a backup names objects of one that retention let go', added(backup('new', ['base', 'old']))],
  ['retention let an unknown backup go', letGo({ backups: ['old'] })],
  ['retention let a backup go whose objects another one names', letGo({ backups: ['base'] })],
  ['retention let an unknown timeline go', letGo({ timelines: [4] })],
  ['retention let the timeline go that is shipped', letGo({ timelines: [1] })],
  ['retention let a segment go that is not archived', letGo({ segments: [first] })],
  ['retention finished what is still to come', { type: 'retention.finished', throughSequence: 11 }],
])('%s: %o', (problem, event) => {
  expect(folded(HISTORY).problem(event)).toContain(problem)
  expect(() => folded([...HISTORY, event])).toThrow(problem)
})

it('a claim on a timeline that has ended', () => {
  expect(folded([...HISTORY, ended(1, 4)]).problem(claimed(2, 1))).toBe(
    'a claim on a timeline that has ended',
  )
})

it.each<readonly [event: CatalogueEvent]>([
  [begun(4)],
  [ended(1, 4)],
  [claimed(2, 2)],
  [archived(segment(2))],
  [archived(segment(3))],
  [added(backup('new', ['base']))],
  [letGo({ backups: ['base', 'leans'], segments: [{ timeline: 1, fromSegment: 2, throughSegment: 2 }] })],
  [letGo({ timelines: [2] })],
  [{ type: 'retention.finished', throughSequence: 10 }],
])('what contradicts nothing can come: %o', (event) => {
  expect(folded(HISTORY).problem(event)).toBeUndefined()
  expect(folded([...HISTORY, event]).sequence).toBe(HISTORY.length + 1)
})
