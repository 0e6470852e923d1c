/**
 * A writer whose system calls are recorded: `traced-writer.ts HOME FILE`. It writes into the file the number of each commit that
 * resolved, by one synchronous call, so that the record tells what had been acknowledged before any other call.
 */
import { openSync, writeSync } from 'node:fs'
import { TimberLevel } from '@timberline/engine'
import { transaction } from '../../packages/hotbackup/test/history.ts'
import { TRACED_COMMITS, TRACED_SHAPE } from './traced-history.ts'

const AT_A_TIME = 3

const acknowledged = openSync(process.argv[3] ?? '', 'wx')
const db = new TimberLevel(process.argv[2] ?? '', {
  writeBufferSize: 64 * 1024,
  log: { segmentBytesMax: 48 * 1024, preallocateBytes: 8 * 1024 },
})
await db.open()
let next = 1
async function write(): Promise<void> {
  while (next <= TRACED_COMMITS) {
    const n = next
    next += 1
    await db.batch(transaction(n, TRACED_SHAPE))
    writeSync(acknowledged, `${String(n)}\n`)
    if (n % 50 === 0) await db.checkpoint()
    if (n % 40 === 0) await db.switchSegment()
  }
}
await Promise.all(Array.from({ length: AT_A_TIME }, write))
await db.close()
