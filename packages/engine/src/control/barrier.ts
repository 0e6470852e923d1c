/**
 * A mark over several databases: one instant to which all of them can be recovered.
 *
 * 1. Prepare, all at once: commits of a database wait, then a note of the barrier is written and durable.
 * 2. Ask each whether its commits have waited since. When all say so, there was an instant, the end of step 1, at which the
 *    commits of all were waiting: what stands before the notes is the state of all of them at that instant.
 * 3. Only now, all at once: write the mark right behind the note, and let commits go on.
 *
 * So a mark of a barrier stands nowhere unless its point is whole everywhere, and recovery needs no check: what failed before step 3
 * has notes without marks. Of a database that dies in step 3 the mark may be missing; its note stands, at an LSN that is told. Whoever
 * dies at any moment holds nobody up for longer than the maximum, since each database ends its pause by itself.
 */
import { randomUUID } from 'node:crypto'
import { TimberlineError } from '@timberline/wal'
import { BARRIER_MEMBERS_MAX, refuseMarkName } from './barrier-member.ts'
import type { Barrier, BarrierMark, BarrierPlace } from './barrier-member.ts'
import { PAUSE_MS_MAX } from '../commit/commit-pause.ts'
import { engineError } from '../errors.ts'

/**
 * A database that takes part in a mark, wherever it is: `homeParticipant` for a home on this machine, or anything that keeps these
 * promises for one elsewhere.
 */
export interface MarkParticipant {
  /** What it is called in the report and in the note of the barrier; at most 1,024 characters. */
  readonly name: string
  /** Lets commits wait, for `barrier.maxMs` at most, then writes the note; resolves once it is durable. */
  prepare(barrier: Barrier): Promise<BarrierPlace>
  /** Whether commits have waited since `prepare`, without a break. */
  isHeld(barrier: Barrier): Promise<boolean>
  /** Writes the mark behind the note, with no commit between, or rejects; then commits go on. */
  commit(barrier: Barrier): Promise<BarrierMark>
  /** Lets commits go on. Also called when `prepare` failed or has not ended. */
  abort(barrier: Barrier): Promise<void>
}

/** Options of {@link markTogether}. */
export interface MarkTogetherOptions {
  /** Commits of each database wait for so many milliseconds at most; default 5,000, from 1 to 3,600,000. */
  readonly maxMs?: number
}

/** A mark that stands in all databases. */
export interface BarrierReport {
  readonly id: string
  readonly name: string
  readonly marks: readonly ({ readonly participant: string } & BarrierMark)[]
  /** Microseconds between the first and the last mark, by the clocks of the databases. */
  readonly skewUs: number
  /** The longest that commits waited in one of them, in milliseconds. */
  readonly pausedMs: number
}

/** A pause is meant to be too short to be seen. */
const MAX_MS_DEFAULT = 5000

/**
 * Writes a named restore point into several databases at one instant.
 *
 * @throws ENGINE_BARRIER_FAILED when the mark stands in none of them, ENGINE_BARRIER_INCOMPLETE when the point is whole but the mark is
 * not known to stand in all of them, ENGINE_OPTION_INVALID
 * @example
 * const { marks, skewUs } = await markTogether('month-end', [homeParticipant('./orders'), homeParticipant('./stock')])
 */
export async function markTogether(
  name: string,
  participants: readonly MarkParticipant[],
  options: MarkTogetherOptions = {},
): Promise<BarrierReport> {
  const { maxMs = MAX_MS_DEFAULT } = options
  const members = participants.map((participant) => participant.name)
  refuseOptions(name, members, maxMs)
  const run = new BarrierRun({ id: randomUUID(), name, members, maxMs }, participants)
  const reached = await run.reach()
  return run.mark(reached)
}

/** What became of one participant. */
type Outcome<Value> = PromiseSettledResult<Value> & { readonly participant: string }

class BarrierRun {
  readonly #barrier: Barrier
  readonly #participants: readonly MarkParticipant[]

  constructor(barrier: Barrier, participants: readonly MarkParticipant[]) {
    this.#barrier = barrier
    this.#participants = participants
  }

  /** Brings all to one point, or lets all go. */
  async reach(): Promise<readonly BarrierPlace[]> {
    const prepared = await this.#all((participant) => participant.prepare(this.#barrier))
    const refusal = firstRefusal(prepared) ?? firstRefusal(await this.#confirm())
    if (refusal === undefined) return prepared.flatMap(valueOf)
    await this.#all((participant) => participant.abort(this.#barrier))
    const { id, name } = this.#barrier
    throw engineError(
      'ENGINE_BARRIER_FAILED',
      `nothing was marked, because of ${refusal.participant}: ${textOf(refusal.reason)}`,
      { details: { barrier: id, name, participant: refusal.participant }, cause: refusal.reason },
    )
  }

  #confirm(): Promise<readonly Outcome<void>[]> {
    return this.#all(async (participant) => {
      if (await participant.isHeld(this.#barrier)) return
      throw engineError('ENGINE_QUIESCE_ENDED', 'its commits went on before all were waiting')
    })
  }

  /** From here on the point is whole, whatever becomes of anyone. */
  async mark(reached: readonly BarrierPlace[]): Promise<BarrierReport> {
    const { id, name } = this.#barrier
    const committed = await this.#all((participant) => participant.commit(this.#barrier))
    const refusal = firstRefusal(committed)
    if (refusal !== undefined) {
      const places = committed.flatMap(({ status, participant }, index) =>
        status === 'fulfilled' ? [] : [`${participant} at LSN ${String(reached[index]?.lsn)}`],
      )
      throw engineError(
        'ENGINE_BARRIER_INCOMPLETE',
        `all databases reached the point, but the mark is not known to stand in ${places.join(', ')}: ${textOf(refusal.reason)}`,
        { details: { barrier: id, name, lacking: places.join(', ') }, cause: refusal.reason },
      )
    }
    const marks = committed.flatMap((outcome) =>
      valueOf(outcome).map((mark) => ({ participant: outcome.participant, ...mark })),
    )
    const times = marks.map(({ committedAtUs }) => committedAtUs)
    return {
      id,
      name,
      marks,
      skewUs: Math.max(...times) - Math.min(...times),
      pausedMs: Math.max(...marks.map(({ pausedMs }) => pausedMs)),
    }
  }

  /** All at once. Who does not answer within the maximum has let its commits go on by then. */
  async #all<Value>(
    ask: (participant: MarkParticipant) => Promise<Value>,
  ): Promise<readonly Outcome<Value>[]> {
    const { maxMs } = this.#barrier
    const asked = this.#participants.map(async (participant) => inTime(ask(participant), maxMs))
    const settled = await Promise.allSettled(asked)
    return settled.map((outcome, index) => ({
      ...outcome,
      participant: this.#participants[index]?.name ?? '',
    }))
  }
}

function refuseOptions(name: string, members: readonly string[], maxMs: number): void {
  refuseMarkName(name)
  const isBounded = Number.isSafeInteger(maxMs) && maxMs >= 1 && maxMs <= PAUSE_MS_MAX
  const isSome = members.length >= 1 && members.length <= BARRIER_MEMBERS_MAX
  if (isBounded && isSome && new Set(members).size === members.length) return
  throw engineError(
    'ENGINE_OPTION_INVALID',
    'the databases of a mark are too many, none or named twice, or its pause is out of bounds',
    {
      details: {
        members: members.join(', '),
        membersMax: BARRIER_MEMBERS_MAX,
        maxMs,
        maxMsMost: PAUSE_MS_MAX,
      },
    },
  )
}

async function inTime<Value>(work: Promise<Value>, ms: number): Promise<Value> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(engineError('ENGINE_CONTROL_FAILED', `no answer within ${String(ms)} ms`)),
      ms,
    )
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function firstRefusal<Value>(
  outcomes: readonly Outcome<Value>[],
): (PromiseRejectedResult & { readonly participant: string }) | undefined {
  return outcomes.find((outcome) => outcome.status === 'rejected')
}

function valueOf<Value>(outcome: Outcome<Value>): readonly Value[] {
  return outcome.status === 'fulfilled' ? [outcome.value] : []
}

function textOf(reason: unknown): string {
  if (reason instanceof TimberlineError) return `${reason.code} ${reason.message}`
  return reason instanceof Error ? reason.message : String(reason)
}
