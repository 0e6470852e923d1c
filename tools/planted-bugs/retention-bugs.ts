import type { PlantedBug } from './planted-bug.ts'

const planning = 'packages/recovery/src/retention/retention-plan.ts'
const carrying = 'packages/archive/src/retention.ts'
const fold = 'packages/archive/src/catalogue/catalogue-fold.ts'
const plan = 'packages/recovery/test/retention-plan.test.ts'
const expire = 'packages/recovery/test/expire.test.ts'
const retention = 'packages/archive/test/retention.test.ts'
const eachPromised =
  'whatever the past and the promise, retention leaves every promised state as reachable as it was, and says so itself'

/** Mistakes of retention: what it may let go, in which order it does so, and what must not come back. */
export const retentionBugs: readonly PlantedBug[] = [
  {
    name: 'base-before-the-oldest-instant-ignored',
    what: 'only backups younger than the oldest promised instant stay, so that its first states have no base',
    file: planning,
    edits: [
      {
        find: 'const first = coverage.bases.findLastIndex(({ committedAtUs }) => committedAtUs <= sinceUs)',
        replace: 'const first = coverage.bases.findIndex(({ committedAtUs }) => committedAtUs > sinceUs)',
      },
    ],
    caughtBy: { testFile: plan, title: eachPromised },
  },
  {
    name: 'base-of-exactly-the-oldest-instant-passed-over',
    what: 'a backup of just the oldest promised instant counts as too young for it',
    file: planning,
    edits: [
      {
        find: 'findLastIndex(({ committedAtUs }) => committedAtUs <= sinceUs)',
        replace: 'findLastIndex(({ committedAtUs }) => committedAtUs < sinceUs)',
      },
    ],
    caughtBy: {
      testFile: plan,
      title: 'retention lets go what lies before a backup of exactly that instant',
    },
  },
  {
    name: 'log-kept-from-one-record-too-late',
    what: 'the segment goes that ends with the first record after the oldest kept backup',
    file: planning,
    edits: [
      { find: 'stretch.throughLsn) > need.afterLsn', replace: 'stretch.throughLsn) > need.afterLsn + 1' },
    ],
    caughtBy: { testFile: plan, title: eachPromised },
  },
  {
    name: 'log-of-the-parent-forgotten',
    what: 'only the log of a timeline itself is kept, not what its path has of its ancestors',
    file: planning,
    edits: [
      {
        find: 'need.coverage.path.find(({ timeline }) => timeline === part.timeline)',
        replace: 'need.coverage.path.slice(-1).find(({ timeline }) => timeline === part.timeline)',
      },
    ],
    caughtBy: { testFile: plan, title: eachPromised },
  },
  {
    name: 'timeline-that-has-only-begun-overlooked',
    what: 'a timeline that was begun within the promise and has no log yet is promised nothing',
    file: planning,
    edits: [
      {
        find: 'if (begunAtUs > sinceUs) live.add(timeline)',
        replace: 'if (begunAtUs < 0) live.add(timeline)',
      },
    ],
    caughtBy: {
      testFile: expire,
      title: 'expire overlooks no recovery that began a timeline in the same moment',
    },
  },
  {
    name: 'left-timeline-promised-nothing',
    what: 'of a timeline that was left within the promise nothing is kept',
    file: planning,
    edits: [
      {
        find: 'if (lastCommittedAtUs > sinceUs) live.add(timeline)',
        replace: 'if (lastCommittedAtUs < 0) live.add(timeline)',
      },
    ],
    caughtBy: {
      testFile: plan,
      title: 'retention lets go nothing of a timeline that was left within the promise',
    },
  },
  {
    name: 'newest-segment-let-go',
    what: 'the newest segment goes when no promise needs it, and a diverged copy of the home ships on',
    file: planning,
    edits: [{ find: '!(newest.has(segment) || needs.some(', replace: '!(needs.some(' }],
    caughtBy: {
      testFile: plan,
      title:
        'retention lets go never the newest backup, and never the newest segment, which a shipper compares its log with',
    },
  },
  {
    name: 'promised-base-moves',
    what: 'of each period the last backup is kept and not the first, so that the choice moves with each backup',
    file: planning,
    edits: [{ find: 'young.toSorted(byEnd)', replace: 'young.toSorted(byEnd).toReversed()' }],
    caughtBy: {
      testFile: plan,
      title: 'retention lets go older backups but the first of each period, each with its own log',
    },
  },
  {
    name: 'range-over-a-gap',
    what: 'segments are let go as one range though others lie between them, whose pieces are to stay',
    file: planning,
    edits: [
      {
        find: 'last?.timeline === timeline && last.throughSegment + 1 === segmentNumber',
        replace: 'last?.timeline === timeline',
      },
    ],
    caughtBy: {
      testFile: plan,
      title: 'retention lets go no range over a gap, in which there may be pieces that stay',
    },
  },
  {
    name: 'recorded-promise-not-asked',
    what: 'a command that asks for less than the archive promises is not held against the promise',
    file: 'packages/recovery/src/retention/expire.ts',
    edits: [{ find: 'const recorded = catalogue.promise ?? promise', replace: 'const recorded = promise' }],
    caughtBy: {
      testFile: expire,
      title: 'expire keeps to the promise that the archive records, and lets go less than that only by force',
    },
  },
  {
    name: 'missing-objects-not-looked-for',
    what: 'things go although something that is to stay is gone, and what went may have been all that was left',
    file: 'packages/recovery/src/retention/expire.ts',
    edits: [{ find: 'if (missing.length > 0) {', replace: 'if (missing.length < 0) {' }],
    caughtBy: {
      testFile: expire,
      title: 'expire lets nothing go while something that is to stay is not there',
    },
  },
  {
    name: 'plan-of-before-is-entered',
    what: 'the decision is the one that was planned first, whatever the journal has gained since',
    file: 'packages/recovery/src/retention/expire.ts',
    edits: [{ find: 'judged = judge(newest, options, nowUs)', replace: 'void newest' }],
    caughtBy: {
      testFile: expire,
      title: 'expire overlooks no recovery that began a timeline in the same moment',
    },
  },
  {
    name: 'decided-on-the-state-read-before',
    what: 'a decision is asked for once, and entered on whatever the journal says by then',
    file: carrying,
    edits: [
      {
        find: `  await archive.journal.append((fold) => {
    const decision = decide(fold.catalogue(archive.identity, listed))
    return`,
        replace: `  const decision = decide((await archive.journal.refresh()).catalogue(archive.identity, listed))
  await archive.journal.append(() => {
    return`,
      },
    ],
    caughtBy: {
      testFile: expire,
      title: 'expire overlooks no recovery that began a timeline in the same moment',
    },
  },
  {
    name: 'deleted-before-it-is-decided',
    what: 'objects are deleted while the catalogue still names them, and a crash leaves a damaged archive',
    file: 'packages/recovery/src/retention/expire.ts',
    edits: [
      {
        find: '  await decideRetention(archive, (newest) => {',
        replace: `  for (const { name } of judged.plan.segments) await archive.store.delete(name)
  await decideRetention(archive, (newest) => {`,
      },
    ],
    caughtBy: {
      testFile: expire,
      title: 'expire of a process that dies anywhere leaves a whole archive, which the next run finishes',
    },
  },
  {
    name: 'finished-though-something-stayed',
    what: 'a decision counts as carried out although the store kept an object of it, which nobody deletes any more',
    file: carrying,
    edits: [{ find: 'unfinished.length > 0 && undeleted.length === 0', replace: 'unfinished.length > 0' }],
    caughtBy: {
      testFile: retention,
      title: 'what retention let go is named when the store keeps it, and tried again',
    },
  },
  {
    name: 'interrupted-run-not-finished',
    what: 'a run that decides nothing does not delete what a run that died has left',
    file: 'packages/recovery/src/retention/expire.ts',
    edits: [
      {
        find: 'return { ...judged, outcome: await finishRetention(archive) }',
        replace: `const isIdle = judged.plan.decision === undefined
  return isIdle ? judged : { ...judged, outcome: await finishRetention(archive) }`,
      },
    ],
    caughtBy: {
      testFile: expire,
      title: 'expire of a process that dies anywhere leaves a whole archive, which the next run finishes',
    },
  },
  {
    name: 'pieces-of-a-retired-timeline-stay',
    what: 'of a timeline that goes the pieces are forgotten',
    file: carrying,
    edits: [
      {
        find: 'if (piece !== undefined && fold.retired.hasSegment(timeline, piece.segmentNumber)) yield object',
        replace: 'if (piece === undefined) yield object',
      },
    ],
    caughtBy: {
      testFile: retention,
      title:
        'a timeline that retention let go keeps its place in the tree, loses segments and pieces, and is not shipped again',
    },
  },
  {
    name: 'promise-lessened-without-force',
    what: 'a promise of fewer instants takes the place of the one before without anybody insisting',
    file: carrying,
    edits: [{ find: 'promise.instantsUs >= before.instantsUs && before.bases', replace: 'before.bases' }],
    caughtBy: { testFile: retention, title: 'a promise is not lessened to fewer instants but by force' },
  },
  {
    name: 'retired-segment-shipped-again',
    what: 'a home that still has log which retention let go ships it once more',
    file: 'packages/archive/src/shipping/ship-survey.ts',
    edits: [
      {
        find: 'archived.has(number) || fold.retired.hasSegment(timeline, number)',
        replace: 'archived.has(number)',
      },
    ],
    caughtBy: {
      testFile: retention,
      title:
        'what retention let go is not shipped again from a log that still has it, and its label is not used again',
    },
  },
  {
    name: 'label-of-a-retired-backup-used-again',
    what: 'a new backup may have the label of one that was let go, whose deletion may still be under way',
    file: fold,
    edits: [
      {
        find: 'this.#backups.has(label) || this.#retired.hasBackup(label)',
        replace: 'this.#backups.has(label)',
      },
    ],
    caughtBy: {
      testFile: retention,
      title:
        'what retention let go is not shipped again from a log that still has it, and its label is not used again',
    },
  },
  {
    name: 'timeline-that-is-shipped-let-go',
    what: 'the journal takes a decision that lets the timeline of the shipper at work go',
    file: fold,
    edits: [
      {
        find: 'timelines.includes(this.owner.timeline)',
        replace: 'timelines.includes(-this.owner.timeline)',
      },
    ],
    caughtBy: {
      testFile: retention,
      title: 'what retention let go is refused when it is not there, or is being shipped',
    },
  },
]
