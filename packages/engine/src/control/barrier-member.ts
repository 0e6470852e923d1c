/**
 * One database's part in a mark over several, inside the process that has it open. Prepared: commits wait, and a note of the barrier
 * is durable. Committed: the mark stands behind that note with no commit between, and commits go on. Protocol and proof: barrier.ts.
 */
import { refuseOwnMark } from '../records/bulk-load-mark.ts'
import type { CheckpointKeeper } from '../checkpoint/checkpoint-keeper.ts'
import type { CommitPause } from '../commit/commit-pause.ts'
import type { Engine } from '../commit/engine.ts'
import { engineError } from '../errors.ts'
import { encodeNote } from '../records/notes.ts'

/** Where a record of a barrier stands in a database's log. */
export interface BarrierPlace {
  readonly lsn: number
  readonly committedAtUs: number
}

/** A mark that is durable. */
export interface BarrierMark extends BarrierPlace {
  /** For how long commits waited, in milliseconds. */
  readonly pausedMs: number
}

/** A mark over several databases. */
export interface Barrier {
  /** Random; names this attempt. */
  readonly id: string
  /** The mark's name, 1 to 1,024 bytes of UTF-8. */
  readonly name: string
  /** All that take part, from 1 to {@link BARRIER_MEMBERS_MAX}. */
  readonly members: readonly string[]
  /** Commits of a database wait for so many milliseconds at most. */
  readonly maxMs: number
}

/** More databases than this are not marked together. */
export const BARRIER_MEMBERS_MAX = 64
/** The longest name of a mark, in bytes. */
export const MARK_NAME_BYTES_MAX = 1024

/** What a member works on. */
export interface BarrierMemberParts {
  readonly engine: Pick<Engine, 'note' | 'markNow'>
  readonly keeper: Pick<CheckpointKeeper, 'rest'>
  readonly pause: CommitPause
}

/** Pauses commits and writes the note; the signal ends the pause. */
export async function prepareMark(
  { engine, keeper, pause }: BarrierMemberParts,
  barrier: Barrier,
  signal?: AbortSignal,
): Promise<BarrierPlace> {
  const { id, name, members, maxMs } = barrier
  // Refused before the note: a mark that cannot be written must not look like one that was lost.
  refuseMarkName(name)
  let committedAtUs = 0
  const { lsn = 0 } = await pause.begin({
    purpose: 'barrier',
    id,
    maxMs,
    signal,
    // A bulk load, too, takes its turn among the checkpoints: it must not come between the note and the mark.
    rest: () => keeper.rest(),
    settle: async () => {
      const place = await engine.note(encodeNote({ type: 'barrier', id, name, members }))
      committedAtUs = place.committedAtUs
      return place.lsn
    },
  })
  return { lsn, committedAtUs }
}

/**
 * Writes the mark of a barrier that is prepared, and lets commits go on.
 *
 * @throws ENGINE_QUIESCE_ENDED when the pause had ended: commits may stand behind the note
 */
export async function commitMark(
  { engine, pause }: BarrierMemberParts,
  { id, name }: Pick<Barrier, 'id' | 'name'>,
): Promise<BarrierMark> {
  pause.require(id)
  // Appended at once, so the commits that now go on stand behind it, and need not wait for its flush.
  const placed = engine.markNow(name)
  const { pausedMs } = pause.resume(id)
  const { lsn, committedAtUs } = await placed
  return { lsn, committedAtUs, pausedMs }
}

/** @throws ENGINE_OPTION_INVALID */
export function refuseMarkName(name: string): void {
  refuseOwnMark(name)
  const bytes = Buffer.byteLength(name)
  if (bytes >= 1 && bytes <= MARK_NAME_BYTES_MAX) return
  throw engineError('ENGINE_OPTION_INVALID', 'the name of a mark is empty or too long', {
    details: { bytes, bytesMax: MARK_NAME_BYTES_MAX },
  })
}
