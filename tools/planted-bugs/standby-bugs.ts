import type { PlantedBug } from './planted-bug.ts'

const base = 'packages/recovery/src/standby-base.ts'
const anew = 'packages/recovery/test/standby-anew.test.ts'

/** Mistakes of a standby: what is given up too early, what is taken for the whole. */
export const standbyBugs: readonly PlantedBug[] = [
  {
    name: 'anew-gives-up-the-old-first',
    what: 'a standby that begins anew removes its state before the new base is there',
    file: base,
    edits: [
      {
        find: '  await fileSystem.makeDirectory(spoolDirectory)\n',
        replace:
          '  await fileSystem.removeTree(folder.layout.dataDirectory)\n  await fileSystem.makeDirectory(spoolDirectory)\n',
      },
    ],
    caughtBy: {
      testFile: anew,
      title: 'a standby that begins anew keeps what it has while the new base cannot be had',
    },
  },
  {
    name: 'anew-for-nothing',
    what: 'a standby that begins anew takes a base that leads no further than what it gives up',
    file: base,
    edits: [{ find: '  if (blocked !== undefined) throw', replace: '  if (base.lsn < 0 && blocked) throw' }],
    caughtBy: {
      testFile: anew,
      title: 'a standby that begins anew after log went from the archive goes on with a newer backup',
    },
  },
]
