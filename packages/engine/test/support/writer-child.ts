// Writes numbered commits into a home until it is killed, and prints what was acknowledged. Usage: writer-child.ts HOME SEED
import { TimberLevel } from '@timberline/engine'
import { commitOf } from './numbered-commits.ts'

const [, , home = '', seed = '0'] = process.argv
const db = new TimberLevel(home, {
  writeBufferSize: 64 * 1024,
  log: { segmentBytesMax: 64 * 1024 },
  checkpoint: { checkpointBytes: 100_000 },
})
await db.open()
let next = Number((await db.get('next')) ?? 1)
process.stdout.write(`opened ${next}\n`)
const writers = 1 + (Number(seed) % 8)
await Promise.all(
  Array.from({ length: writers }, async () => {
    for (;;) {
      const number = next
      next += 1
      await db.batch(commitOf(number))
      process.stdout.write(`${number}\n`)
    }
  }),
)
