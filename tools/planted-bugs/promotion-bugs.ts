import type { PlantedBug } from './planted-bug.ts'

const promoting = 'packages/recovery/src/standby/promote.ts'
const becoming = 'packages/recovery/src/standby/promoted-home.ts'
const promotion = 'packages/recovery/test/promote.test.ts'
const crash = 'packages/recovery/test/promotion-crash.test.ts'
const removal = '  await fileSystem.remove(join(layout.home, STANDBY_LABEL))\n'

/** Mistakes of a promotion: what is left out, who is not stopped, what a crash leaves. */
export const promotionBugs: readonly PlantedBug[] = [
  {
    name: 'promotion-without-last-replay',
    what: 'what was archived between catching up and taking over is left out of the new timeline',
    file: promoting,
    edits: [
      {
        find: '  const lsn = await applyThrough(promotion, ({ endLsn }) => endLsn)\n  return endTimeline',
        replace: '  const { lsn } = await promotion.state.applied()\n  return endTimeline',
      },
    ],
    caughtBy: { testFile: promotion, title: 'a promoted standby has also what was archived while it began' },
  },
  {
    name: 'promotion-label-removed-first',
    what: 'the folder opens as a database before its identity, checkpoint and log are there',
    file: becoming,
    edits: [
      { find: removal, replace: '' },
      { find: '  await folder.clearLine()\n', replace: `${removal}  await folder.clearLine()\n` },
    ],
    caughtBy: {
      testFile: crash,
      title: 'a promotion can die before any operation on a file and be run again',
    },
  },
  {
    name: 'promotion-forgets-its-claim',
    what: 'a promotion that is run again takes its own event for that of another, and the line goes on nowhere',
    file: promoting,
    edits: [
      {
        find: "{ phase: 'promote', ownerId }",
        replace: "{ phase: 'promote', ownerId: ownerId.replace(/./, '0') }",
      },
    ],
    caughtBy: {
      testFile: crash,
      title: 'a promotion can die before and after any request to the store and be run again',
    },
  },
  {
    name: 'promoted-home-holds-no-log',
    what: 'a promoted home lets log go that no archive has, until its first shipper runs',
    file: becoming,
    edits: [{ find: 'if (archiveName !== undefined) await', replace: 'if (archiveName === lsn) await' }],
    caughtBy: {
      testFile: promotion,
      title: 'a promoted standby is a home that begins where the archive ends, and archives on',
    },
  },
  {
    name: 'ended-timeline-not-checked',
    what: 'the old primary, coming back, is not told that its line has ended',
    file: 'packages/archive/src/shipping/reign.ts',
    edits: [
      {
        find: '  if (ended === undefined) return\n',
        replace: '  if (ended === undefined || timeline > 0) return\n',
      },
    ],
    caughtBy: {
      testFile: promotion,
      title:
        'the old primary that ships stops, and is refused by name when it comes back, whatever it wrote meanwhile',
    },
  },
  {
    name: 'take-over-adopts-nothing',
    what: 'pieces that were told to be archived do not count any more once the archive was taken over',
    file: 'packages/archive/src/shipping/succession.ts',
    edits: [
      {
        find: 'last === undefined || last.segmentNumber <= archived',
        replace: 'last === undefined || archived >= 0',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/succession.test.ts',
      title:
        'a timeline that is taken over keeps every piece that stood, and none that its old owner had under way',
    },
  },
]
