/**
 * An application with a LevelDB of its own, which knows nothing of Timberline: `plain-writer-child.ts <folder> <acknowledged file>
 * <keys> <value bytes> <big every>`. It goes on where the folder stands, compacts, closes and opens again now and then, and notes each
 * transaction after its batch resolved: then the log has it, as far as the file system knows.
 */
import { openSync, writeSync } from 'node:fs'
import { ClassicLevel } from 'classic-level'
import { POSITION_KEY, transaction } from './history.ts'

const [folder = '', acknowledgedPath = '', keyCount = '500', valueBytes = '100', bigEvery = '0'] =
  process.argv.slice(2)
const shape = {
  keyCount: Number(keyCount),
  valueBytes: Number(valueBytes),
  ...(bigEvery === '0' ? {} : { bigEvery: Number(bigEvery) }),
}
const descriptor = openSync(acknowledgedPath, 'r+')
let isFirst = true

for (;;) {
  const db = new ClassicLevel(folder, { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024 })
  await db.open()
  if (isFirst) process.send?.('open')
  isFirst = false
  let n = Number((await db.get(POSITION_KEY)) ?? '0')
  const until = performance.now() + 500 + Math.random() * 1500
  let compacting: Promise<void> = Promise.resolve()
  while (performance.now() < until) {
    n += 1
    await db.batch(transaction(n, shape))
    writeSync(descriptor, String(n).padStart(16, '0'), 0)
    if (n % 100 === 0) {
      await compacting
      compacting = db.compactRange('', '~')
    }
    // As fast as it goes would only make the model expensive to compute.
    if (Math.random() < 0.2) await new Promise((resolve) => setTimeout(resolve, Math.random() * 4))
  }
  await compacting
  await db.close()
}
