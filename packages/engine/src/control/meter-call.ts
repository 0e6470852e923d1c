// Metering the commits of a database that another process has open. It is bound to the connection, so it ends with who asked.
import * as v from 'valibot'
import type { WriterReport } from '../commit/commit-meter.ts'
import type { ControlCallOptions } from './control-call.ts'
import { ControlConnection } from './control-connection.ts'
import { engineError } from '../errors.ts'

/** Commits that are being metered. */
export interface MeteredCommits {
  /** How it stands. @throws ENGINE_CONTROL_FAILED when the owner is gone or does not answer */
  report(): Promise<WriterReport>
  close(): void
}

const figure = v.pipe(v.number(), v.finite(), v.minValue(0))
const reportSchema = v.object({ ms: figure, commitCount: figure, longestWaitMs: figure })

/**
 * Has the owner of a home meter what its commits wait, from now on.
 *
 * @throws ENGINE_NOT_RUNNING when nobody has it open, ENGINE_CONTROL_FAILED, and ENGINE_CONTROL_REQUEST of an owner that cannot
 */
export async function meterCommits(
  home: string,
  { timeoutMs }: ControlCallOptions = {},
): Promise<MeteredCommits> {
  const connection = await ControlConnection.open(home)
  try {
    await connection.call({ type: 'meter' }, timeoutMs)
    return {
      report: async () => decodeWriterReport(await connection.call({ type: 'metered' }, timeoutMs)),
      close: () => connection.close(),
    }
  } catch (error) {
    connection.close()
    throw error
  }
}

/** @throws ENGINE_CONTROL_FAILED */
export function decodeWriterReport(result: unknown): WriterReport {
  const parsed = v.safeParse(reportSchema, result)
  if (parsed.success) return parsed.output
  throw engineError('ENGINE_CONTROL_FAILED', 'the owner did not tell what commits waited')
}
