// Writes a log of so many MiB in one process or reads it in another, and prints what it took: `memory-reader.ts write|read DIR MIB`.
import { openLog, readLog } from '../src/index.ts'
import { IDENTITY } from './log-scenario.ts'

const [verb, directory = '', mebibytes = '1'] = process.argv.slice(2)
if (verb === 'write') {
  await using log = await openLog({ directory, identity: IDENTITY })
  const payload = Buffer.alloc(4000, 'payload ')
  for (let written = 0; written < Number(mebibytes) * 1024 * 1024; written += 128 * payload.length) {
    for (let index = 0; index < 128; index += 1) log.append(payload, { durable: false })
    await log.flushed(log.nextLsn - 1)
  }
} else {
  let records = 0
  let bytes = 0
  let rssMax = 0
  for await (const group of readLog({ directory, fromLsn: 1 })) {
    records += group.length
    for (const record of group) bytes += record.payload.length
    if (records % 1024 > 0) continue
    // What is garbage already would be counted or not by how much time the collector was given beside others.
    globalThis.gc?.()
    rssMax = Math.max(rssMax, process.memoryUsage.rss())
  }
  process.stdout.write(JSON.stringify({ records, bytes, rssMax }))
}
