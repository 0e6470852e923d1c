/**
 * A writer that compacts constantly: `writer-child.ts <home> <acknowledged file> <keys> <value bytes>`. It goes on where the
 * home stands, keeps some commits under way at once, and notes each transaction after its commit resolved.
 */
import { openSync, writeSync } from 'node:fs'
import { TimberLevel } from '@timberline/engine'
import { POSITION_KEY, transaction } from './history.ts'

const [home = '', acknowledgedPath = '', keyCount = '500', valueBytes = '100'] = process.argv.slice(2)
const shape = { keyCount: Number(keyCount), valueBytes: Number(valueBytes) }
const CHECKPOINT_MS = 40
const COMPACT_MS = 60
const COMMITS_AT_A_TIME = 4

const db = new TimberLevel(home, { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024 })
await db.open()
const descriptor = openSync(acknowledgedPath, 'r+')
let next = Number((await db.get(POSITION_KEY)) ?? '0') + 1
let acknowledged = next - 1

async function every(ms: number, work: () => Promise<unknown>): Promise<never> {
  for (;;) {
    await work()
    await new Promise((resolve) => setTimeout(resolve, ms * (0.5 + Math.random())))
  }
}

async function write(): Promise<never> {
  for (;;) {
    const first = next
    next += COMMITS_AT_A_TIME
    await Promise.all(
      Array.from({ length: COMMITS_AT_A_TIME }, (_, index) => db.batch(transaction(first + index, shape))),
    )
    acknowledged = next - 1
    writeSync(descriptor, String(acknowledged).padStart(16, '0'), 0)
    // As fast as it goes would only make the model expensive to compute.
    if (Math.random() < 0.2) await new Promise((resolve) => setTimeout(resolve, Math.random() * 4))
  }
}

process.send?.('open')
await Promise.race([
  write(),
  every(CHECKPOINT_MS, () => db.checkpoint()),
  every(COMPACT_MS, () => db.compactRange('', '~')),
])
