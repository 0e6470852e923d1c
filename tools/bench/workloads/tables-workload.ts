/**
 * Flushes of a log while another process writes tables to the same disk: what commits wait for that give LevelDB so much to write, with
 * nobody's log, queue or threads in the way.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { withFolder } from '../folder.ts'
import { flushes } from './machine-workload.ts'
import { type CommitResult, resultOf } from './writers.ts'

const script = fileURLToPath(new URL('./table-loop.ts', import.meta.url))

export interface TablesWork {
  readonly seconds: number
  /** Of a write and its flush. */
  readonly recordBytes: number
  readonly tablesPerSecond: number
}

/** A flush counts as one commit. */
export async function measureBesideTables({ tablesPerSecond, ...work }: TablesWork): Promise<CommitResult> {
  return withFolder(async (folder) => {
    const tables = fork(script, [folder, String(tablesPerSecond)], { execArgv: ['--import', 'tsx'] })
    await once(tables, 'message')
    const ended = once(tables, 'exit')
    const waits = flushes(join(folder, 'log'), work)
    tables.kill('SIGKILL')
    await ended
    return resultOf(waits, work.seconds * 1000)
  })
}
