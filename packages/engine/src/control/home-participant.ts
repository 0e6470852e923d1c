// A home that a process of this machine has open, as a part of a mark over several databases. The pause is bound to the connection:
// when the process that marks dies, commits go on.
import { TimberlineError } from '@timberline/wal'
import type { Barrier, BarrierMark, BarrierPlace } from './barrier-member.ts'
import type { MarkParticipant } from './barrier.ts'
import { ControlConnection } from './control-connection.ts'
import { engineError } from '../errors.ts'

/** The home takes part through its control socket; also one that this process has open itself. */
export function homeParticipant(home: string): MarkParticipant {
  let connection: ControlConnection | undefined
  /** The barrier that is under way. */
  let barrierId: string | undefined
  const close = (): void => {
    barrierId = undefined
    connection?.close()
    connection = undefined
  }
  const connected = (): ControlConnection => {
    if (connection !== undefined) return connection
    throw engineError('ENGINE_NOT_QUIESCED', 'the home is not prepared', { details: { home } })
  }
  return {
    name: home,
    prepare: async ({ id, name, members, maxMs }: Barrier) => {
      barrierId = id
      const opened = await ControlConnection.open(home)
      if (barrierId !== id) {
        // Given up while the owner was being reached: it must not be paused for nobody.
        opened.close()
        throw engineError('ENGINE_QUIESCE_ENDED', 'the mark was given up', { details: { home } })
      }
      connection = opened
      const request = { type: 'prepare', barrier: id, name, members, maxMs } as const
      return (await connection.call(request, maxMs)) as BarrierPlace
    },
    isHeld: async ({ id, maxMs }) => {
      const { held } = (await connected().call({ type: 'held', barrier: id }, maxMs)) as { held: boolean }
      return held
    },
    commit: async ({ id, name, maxMs }) => {
      try {
        return (await connected().call({ type: 'commit', barrier: id, name }, maxMs)) as BarrierMark
      } finally {
        close()
      }
    },
    abort: async ({ id, maxMs }) => {
      const open = connection
      barrierId = undefined
      try {
        // Told, not only hung up, so that who marks again at once finds nobody paused.
        await open?.call({ type: 'resume', id }, maxMs)
      } catch (error) {
        // It had ended, or never begun: what was wanted. Closing ends what could not be told.
        if (!(error instanceof TimberlineError)) throw error
      } finally {
        close()
      }
    },
  }
}
