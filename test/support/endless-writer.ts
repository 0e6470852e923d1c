/** A process of its own that commits to a log until it is killed: `endless-writer.ts <folder>`. */
import { openLog } from '@timberline/wal'

const identity = { environmentId: 'ab'.repeat(16), timeline: 1 }
const log = await openLog({ directory: process.argv[2] ?? '', identity, segmentBytesMax: 1 << 20 })
process.stdout.write('open')
// With pauses, because on a disk in memory nothing else holds it back, and the log grows faster than it can be read.
for (let count = 1; ; count++) {
  await log.commit(Buffer.alloc(20 + Math.random() * 300, 1))
  if (count % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
}
