// A process that writes a log until it is killed: `follower-writer.ts DIRECTORY PAYLOAD_BYTES`. It prints each durable LSN.
import { openLog } from '../src/index.ts'
import { IDENTITY } from './log-scenario.ts'

const [directory = '', payloadBytes = '100'] = process.argv.slice(2)
const log = await openLog({
  directory,
  identity: IDENTITY,
  segmentBytesMax: 256 * 1024,
  preallocateBytes: 64 * 1024,
})
process.stdout.write(`opened ${log.nextLsn - 1}\n`)
for (;;) {
  await Promise.all(
    Array.from({ length: 8 }, () => {
      const payload = Buffer.alloc(Number(payloadBytes), '.')
      payload.write(String(log.nextLsn))
      return log.commit(payload)
    }),
  )
  process.stdout.write(`durable ${log.durableLsn}\n`)
}
