import type { PlantedBug } from './planted-bug.ts'

const quiesce = 'packages/engine/test/quiesce.test.ts'

/** Mistakes in pauses: what goes on meanwhile, and who is told that one was over. */
export const pauseBugs: readonly PlantedBug[] = [
  {
    name: 'checkpoints-in-a-quiesced-home',
    what: 'checkpoints are taken, and log is removed, while commits wait',
    file: 'packages/engine/src/session.ts',
    edits: [{ find: '        rest: () => keeper.rest(),\n', replace: '' }],
    caughtBy: {
      testFile: quiesce,
      title:
        'nothing of log and checkpoints changes, whatever is asked for; reads go on; all of it is done afterwards',
    },
  },
  {
    name: 'expired-pause-resumed-quietly',
    what: 'who resumes a pause that had ended by itself is told that all is well',
    file: 'packages/engine/src/commit-pause.ts',
    edits: [
      {
        find: '      throw endedError(last)\n',
        replace: '      return { id: last.id, lsn: 0, pausedMs: 0 }\n',
      },
    ],
    caughtBy: {
      testFile: quiesce,
      title: 'ends by itself after its maximum length, and whoever resumes is told',
    },
  },
  {
    name: 'quiesced-lsn-told-too-early',
    what: 'a quiesced home tells its LSN before commits wait',
    file: 'packages/engine/src/session-opening.ts',
    edits: [{ find: 'this.#pause.isShut || ', replace: '' }],
    caughtBy: {
      testFile: quiesce,
      title:
        'a copy of identity, log and checkpoint is the database at the LSN that was told, under writers that never stop',
    },
  },
]
