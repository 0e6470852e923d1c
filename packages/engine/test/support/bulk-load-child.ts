// Loads the same keys again and again, each time with another value, and prints which load has resolved, until it is killed.
// Usage: bulk-load-child.ts HOME
import { TimberLevel } from '@timberline/engine'

const [, , home = ''] = process.argv
const KEYS = 3000
const db = new TimberLevel(home, { writeBufferSize: 64 * 1024 })
await db.open()
const [first] = await db.values({ limit: 1 }).all()
let round = Number(first?.split(' ')[0] ?? 0)
process.stdout.write(`${String(round)}\n`)
for (;;) {
  round += 1
  const value = `${String(round)} ${'x'.repeat(80)}`
  await db.bulkLoad(Array.from({ length: KEYS }, (_, number) => [`key ${String(number)}`, value] as const))
  process.stdout.write(`${String(round)}\n`)
}
