import { ControlConnection } from './control-connection.ts'
import type { ControlRequest } from './control-protocol.ts'

/** Options of {@link controlCall}. */
export interface ControlCallOptions {
  /** How long to wait for the reply, in milliseconds; default 60,000. */
  readonly timeoutMs?: number
}

/**
 * Asks the process that has a home open; resolves with its result. One question, one connection: nothing stays behind.
 *
 * @throws ENGINE_NOT_RUNNING when nobody listens, ENGINE_CONTROL_FAILED when no proper answer came in time, and whatever
 * error the owner replied with, under its own code
 */
export async function controlCall(
  home: string,
  request: ControlRequest,
  options: ControlCallOptions = {},
): Promise<unknown> {
  const connection = await ControlConnection.open(home)
  try {
    return await connection.call(request, options.timeoutMs)
  } finally {
    connection.close()
  }
}
