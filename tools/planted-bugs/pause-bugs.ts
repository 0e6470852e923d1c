import type { PlantedBug } from './planted-bug.ts'

const quiesce = 'packages/engine/test/quiesce.test.ts'

const barrier = 'packages/engine/test/barrier.test.ts'
const oneInstant = 'is one instant of them all, again and again, under an application that never stops'

/** Mistakes in pauses: what goes on meanwhile, and who is told that one was over. */
export const pauseBugs: readonly PlantedBug[] = [
  {
    name: 'checkpoints-in-a-quiesced-home',
    what: 'checkpoints are taken, and log is removed, while commits wait',
    file: 'packages/engine/src/session/session.ts',
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
    file: 'packages/engine/src/commit/commit-pause.ts',
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
    file: 'packages/engine/src/session/session-opening.ts',
    edits: [{ find: 'this.#pause.isShut || ', replace: '' }],
    caughtBy: {
      testFile: quiesce,
      title:
        'a copy of identity, log and checkpoint is the database at the LSN that was told, under writers that never stop',
    },
  },
  {
    name: 'barrier-not-asked-again',
    what: 'marks are written once all were paused, though one of them may have gone on before the last was',
    file: 'packages/engine/src/control/barrier.ts',
    edits: [{ find: ' ?? firstRefusal(await this.#confirm())', replace: '' }],
    caughtBy: {
      testFile: barrier,
      title:
        'is written by nobody when one of them is not there, is paused already, or was resumed too early',
    },
  },
  {
    name: 'commits-before-the-mark',
    what: 'commits of a database go on before its mark has its place',
    file: 'packages/engine/src/control/barrier-member.ts',
    edits: [
      {
        find: '  const placed = engine.markNow(name)\n  const { pausedMs } = pause.resume(id)\n',
        replace: '  const { pausedMs } = pause.resume(id)\n  const placed = engine.markNow(name)\n',
      },
    ],
    caughtBy: { testFile: barrier, title: oneInstant },
  },
  {
    name: 'note-before-commits-wait',
    what: 'a database writes the note of a barrier first, and pauses its commits then',
    file: 'packages/engine/src/commit/commit-pause.ts',
    edits: [
      {
        find: "      pause.shut(() => this.#end(pause, 'expired'))\n      pause.lsn = await pause.unlessEnded(settle())\n",
        replace:
          "      pause.lsn = await pause.unlessEnded(settle())\n      pause.shut(() => this.#end(pause, 'expired'))\n",
      },
    ],
    caughtBy: { testFile: barrier, title: oneInstant },
  },
  {
    name: 'marks-in-those-that-are-ready',
    what: 'the databases that reached the point are marked, though another did not',
    file: 'packages/engine/src/control/barrier.ts',
    edits: [
      {
        find: 'if (refusal === undefined) return',
        replace: 'if (prepared.some((each) => each.status === "fulfilled")) return',
      },
    ],
    caughtBy: {
      testFile: barrier,
      title:
        'is written by nobody when one of them is not there, is paused already, or was resumed too early',
    },
  },
]
