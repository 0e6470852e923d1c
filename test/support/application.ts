/**
 * An application under constant writes, in a process of its own: `application.ts <home>`. It goes on where the home stands with a
 * history that can be computed again, tells each acknowledged number, and stands still for a moment when it is asked where it is.
 */
import { TimberLevel } from '@timberline/engine'
import { POSITION_KEY, transaction } from '../../packages/hotbackup/test/history.ts'
import { shape, type Message, type Stand } from './application-messages.ts'

const COMMITS_AT_A_TIME = 4

const home = process.argv[2] ?? ''
const db = new TimberLevel(home, { log: { segmentBytesMax: 128 * 1024 } })
await db.open()
let n = Number((await db.get(POSITION_KEY)) ?? '0')
const orders: { readonly mark?: string }[] = []
process.on('message', (order: { readonly mark?: string }) => orders.push(order))
tell({ type: 'acknowledged', n })

for (;;) {
  const first = n + 1
  await Promise.all(
    Array.from({ length: COMMITS_AT_A_TIME }, (_, index) => db.batch(transaction(first + index, shape))),
  )
  n += COMMITS_AT_A_TIME
  tell({ type: 'acknowledged', n })
  for (const order of orders.splice(0)) tell({ type: 'stand', stand: await standStill(order.mark) })
  // As fast as it goes would only make the model expensive to compute.
  await new Promise((resolve) => setTimeout(resolve, 2))
}

async function standStill(mark: string | undefined): Promise<Stand> {
  const marked = mark === undefined ? undefined : await db.mark(mark)
  // An instant that no commit shares: a few milliseconds on either side of it are quiet.
  await new Promise((resolve) => setTimeout(resolve, 5))
  const atUs = Date.now() * 1000
  await new Promise((resolve) => setTimeout(resolve, 5))
  const { hex } = await db.digest()
  const { lastLsn } = await db.homeStatus()
  return { n, lsn: marked?.lsn ?? lastLsn, atUs, digest: hex }
}

function tell(message: Message): void {
  process.send?.(message)
}
