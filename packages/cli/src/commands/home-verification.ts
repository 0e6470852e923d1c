// What can be verified of a home beside its running owner: the whole log, the tables of the newest checkpoint against their
// hashes, and the live tables against theirs. Nothing is opened as a database.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CheckpointTable,
  type HomeLayout,
  homeLayout,
  newestCheckpoint,
  verifyData,
} from '@timberline/engine'
import { listSegments, systemCode, TimberlineError } from '@timberline/wal'
import type { Finding } from '../finding.ts'

/** What was looked at, and what was found. */
export interface HomeVerification {
  readonly findings: readonly Finding[]
  readonly lastLsn?: number | undefined
  readonly checkpointLsn?: number | undefined
}

/** Verifies a home; `onStep` is told what comes next. */
export async function verifyHome(
  home: string,
  options: { readonly signal: AbortSignal; readonly onStep: (step: string) => void },
): Promise<HomeVerification> {
  const layout = homeLayout(home)
  const findings: Finding[] = []
  options.onStep('reading the log')
  const segments = await found(findings, 'log', () =>
    listSegments(layout.logDirectory, undefined, { scan: true }),
  )
  options.onStep('hashing the tables of the checkpoint')
  const checkpoint = await found(findings, 'checkpoint', () => newestCheckpoint(home))
  for (const table of checkpoint?.tables ?? []) {
    options.signal.throwIfAborted()
    findings.push(...(await verifyLinkedTable(table, layout)))
  }
  const first = segments?.[0]?.header.segmentNumber
  if (checkpoint !== undefined && first !== undefined && first > checkpoint.segmentNumber) {
    const message = `the log begins with segment ${String(first)}, the checkpoint needs ${String(checkpoint.segmentNumber)}`
    findings.push({ code: 'ENGINE_LOG_GAP', name: 'log', message })
  }
  options.onStep('checking the tables of the database')
  const data = await found(findings, 'data', () => verifyData(layout, { signal: options.signal }))
  findings.push(...(data ?? []).map(({ table, code, message }) => ({ code, name: `data/${table}`, message })))
  return { findings, lastLsn: segments?.at(-1)?.lastLsn, checkpointLsn: checkpoint?.lsn }
}

/** A typed error is what was looked for; everything else goes its way. */
async function found<T>(findings: Finding[], name: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TimberlineError) || error.kind === 'aborted') throw error
    findings.push({ code: error.code, name, message: error.message })
    return undefined
  }
}

async function verifyLinkedTable(
  table: CheckpointTable,
  { tablesDirectory }: HomeLayout,
): Promise<readonly Finding[]> {
  const path = join(tablesDirectory, table.name)
  const name = `checkpoint/tables/${table.name}`
  const damaged = (message: string): readonly Finding[] => [{ code: 'ENGINE_TABLE_DAMAGED', name, message }]
  try {
    const { size } = await stat(path)
    if (size !== table.bytes) return damaged(`${String(size)} bytes instead of ${String(table.bytes)}`)
    // A table is hashed in the background, some seconds after its checkpoint; until then its length is all there is.
    if (table.sha256 === undefined) return []
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
    const hex = hash.digest('hex')
    return hex === table.sha256 ? [] : damaged(`sha256 ${hex} instead of ${table.sha256}`)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error
    return damaged('the table is missing')
  }
}
