/**
 * A process that works until it is killed. It reads one order from its input and tells each acknowledged step by a synchronous
 * write into its output, so that no acknowledgement is lost with it.
 */
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { stepOf, type Way } from './kill-steps.ts'
import type { Order } from './victim.ts'

const IN_FLIGHT: Readonly<Partial<Record<Way, number>>> = {
  'single puts': 1,
  'concurrent puts': 16,
  // A clear looks for its keys first, so that what is called after it may come before it.
  clears: 1,
  'unsynced commits among others': 8,
}
const SHIP_INTERVAL_MS = 20

// Starting takes far longer than living: each process loads only what it needs, before it says that it is ready.
if (process.argv[2] === 'beside') {
  await Promise.all([import('@timberline/archive'), import('@timberline/hotbackup')])
}
tell('ready')
const order = await new Promise<Order>((resolve) => {
  createInterface({ input: process.stdin }).once('line', (line) => resolve(JSON.parse(line) as Order))
})
if (order.role === 'writer') await write()
else if (order.role === 'shipper') await ship()
else await backUp()

async function write(): Promise<void> {
  const { home, way, after } = order
  const db = new TimberLevel(home, {
    writeBufferSize: 64 * 1024,
    log: { segmentBytesMax: 64 * 1024, preallocateBytes: 32 * 1024 },
    checkpoint: { checkpointBytes: 200_000 },
  })
  await db.open()
  tell('opened')
  const beside: Promise<never>[] = []
  if (way === 'a shipper in the same process') beside.push(ship())
  if (way === 'checkpoints and rolls') beside.push(disturb(db))
  let next = after + 1
  const line = async (): Promise<never> => {
    for (;;) {
      if (way === 'transactions') {
        tell(String(await inTransaction(db, after)))
        continue
      }
      const n = next
      next += 1
      await commit(db, n)
      tell(String(n))
    }
  }
  await Promise.race([...beside, ...Array.from({ length: IN_FLIGHT[way] ?? 4 }, line)])
}

async function commit(db: TimberLevel, n: number): Promise<void> {
  const { way } = order
  const step = stepOf(way, n)
  if (step.type === 'clear') return db.clear({ gte: step.gte, lt: step.lt })
  if (step.type === 'put') return db.put(step.key, step.value)
  const sync = way !== 'unsynced commits among others' || n % 3 === 0
  return db.batch([...step.operations], { sync })
}

/** Several of these run at once; whoever finds the same number as another one has to look again. */
async function inTransaction(db: TimberLevel, after: number): Promise<number> {
  return db.transaction(
    async (tx) => {
      const n = Math.max(after, Number((await tx.get('position')) ?? '0')) + 1
      const step = stepOf(order.way, n)
      if (step.type !== 'batch') throw new Error('transactions are written as batches')
      await tx.batch([...step.operations])
      return n
    },
    { retries: 1000 },
  )
}

async function disturb(db: TimberLevel): Promise<never> {
  for (let round = 0; ; round += 1) {
    if (round % 3 === 0) await db.checkpoint()
    else if (round % 3 === 1) await db.switchSegment()
    else await db.compactRange('', '~')
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 10))
  }
}

async function ship(): Promise<never> {
  const { directoryStore, openArchive, runShipper } = await import('@timberline/archive')
  const identity = await readHomeIdentity(order.home)
  const archive = await openArchive(directoryStore(order.archive))
  const shipper = runShipper({
    logDirectory: homeLayout(order.home).logDirectory,
    archive,
    identity,
    name: 'archive',
    intervalMs: SHIP_INTERVAL_MS,
  })
  if (order.role === 'shipper') tell('opened')
  await shipper.done
  throw new Error('the shipper ended by itself')
}

async function backUp(): Promise<never> {
  const { hotbackup } = await import('@timberline/hotbackup')
  const { home, target } = order
  tell('opened')
  for (let count = 1; ; count += 1) {
    await hotbackup({ home, target, update: count % 3 === 2, digest: count % 2 === 0 })
    tell(String(count))
  }
}

function tell(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      // The parent is busy looking at a home, and the pipe is full.
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
    }
  }
}
