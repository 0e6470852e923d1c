import type { PlantedBug } from './planted-bug.ts'

const base = 'packages/recovery/src/standby/standby-base.ts'
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
    file: 'packages/recovery/src/standby/standby-archive.ts',
    edits: [{ find: 'if (blocked !== undefined) throw', replace: 'if (base.lsn < 0 && blocked) throw' }],
    caughtBy: {
      testFile: anew,
      title: 'a standby that begins anew after log went from the archive goes on with a newer backup',
    },
  },
  {
    name: 'home-ended-after-the-new-one',
    what: 'the old home is not ended by the promotion of its standby, so that both can be opened',
    file: 'packages/recovery/src/standby/promote-home.ts',
    edits: [{ find: '  await writeHomeEnd(of, ended, fileSystem)\n', replace: '' }],
    caughtBy: {
      testFile: 'packages/recovery/test/promote-home.test.ts',
      title:
        'a promotion of a standby that follows a home is refused while the home is open; then every commit is in, the old home is refused, and joins again',
    },
  },
  {
    name: 'confirms-what-is-not-flushed',
    what: 'a standby lets the home remove log that a restart of the standby still needs',
    file: 'packages/recovery/src/standby/standby-home-feed.ts',
    edits: [
      {
        find: '    await this.#state.flush()\n    await this.#confirm({ segmentNumber: segmentNumber - 1, lsn })',
        replace: '    await this.#confirm({ segmentNumber, lsn })',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/standby-home.test.ts',
      title: 'a standby of a home that is killed needs no log that the home let go',
    },
  },
  {
    name: 'old-record-not-compared',
    what: 'a standby goes on along a home that was put back, over records that differ from its own',
    file: 'packages/recovery/src/standby/standby-home-feed.ts',
    edits: [
      {
        find: 'own.committedAtUs !== before.committedAtUs',
        replace: 'own.committedAtUs > before.committedAtUs + 1e15',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/standby-home.test.ts',
      title: 'a standby of a home is not misled by a home that was put back and went on',
    },
  },
  {
    name: 'copies-kept-by-a-standby',
    what: 'a copy of a segment that was read as far as it is wanted is not let go',
    file: 'packages/recovery/src/source/log-reader.ts',
    edits: [
      {
        find: '&& part.span !== ahead?.span) await',
        replace: '&& part.span !== ahead?.span && false) await',
      },
    ],
    caughtBy: {
      testFile: 'packages/recovery/test/standby.test.ts',
      title: 'begins with a backup and holds what is archived after it, record by record as it comes',
    },
  },
]
