// Quiescing from another process. The pause is bound to the connection, so it ends with the process that asked.
import type { PauseInfo, PauseReport } from '../commit/commit-pause.ts'
import { ControlConnection } from '../control/control-connection.ts'
import { codeOf, engineError } from '../errors.ts'
import type { Quiesced } from '../control/quiesced.ts'
import type { QuiesceOptions } from './session.ts'

/** A checkpoint that is under way is waited for, and that may take long. */
const QUIESCE_TIMEOUT_MS = 600_000

/**
 * Quiesces a home that another process has open. It ends with `resume`, with its maximum length, or when this process dies.
 *
 * @throws ENGINE_NOT_RUNNING, ENGINE_CONTROL_FAILED, ENGINE_QUIESCED, ENGINE_QUIESCE_ENDED
 */
export async function quiesceHome(
  home: string,
  options: Pick<QuiesceOptions, 'maxMs'> = {},
): Promise<Quiesced> {
  const { maxMs } = options
  const connection = await ControlConnection.open(home)
  try {
    const request = { type: 'quiesce', connected: true, ...(maxMs === undefined ? {} : { maxMs }) } as const
    const info = (await connection.call(request, QUIESCE_TIMEOUT_MS)) as PauseInfo
    const resume = async (): Promise<PauseReport> => {
      try {
        return (await connection.call({ type: 'resume', id: info.id })) as PauseReport
      } catch (cause) {
        if (codeOf(cause) !== 'ENGINE_CONTROL_FAILED') throw cause
        // The pause was the owner's, and went with it, or with the connection.
        throw engineError(
          'ENGINE_QUIESCE_ENDED',
          'the process that has the home open is gone: what was copied since may not be consistent',
          { details: { home, id: info.id }, cause },
        )
      } finally {
        connection.close()
      }
    }
    return { ...info, resume }
  } catch (error) {
    connection.close()
    throw error
  }
}
