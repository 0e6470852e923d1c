/**
 * Backs up a home again and again for some seconds, from when it is told to, and prints how often and how long:
 * `backup-loop.ts <home> <target> <seconds> [<MB a second beside writers> | full]`.
 */
import { once } from 'node:events'
import { hotbackup, type HotbackupOptions } from '@timberline/hotbackup'
import { lowerPriority } from '../../../packages/cli/src/priority.ts'

const [home = '', target = '', seconds = '1', maxMbPerS] = process.argv.slice(2)
// As the command does by itself.
lowerPriority()
const end = new AbortController()
const limit =
  maxMbPerS === undefined
    ? {}
    : maxMbPerS === 'full'
      ? { maxMbPerS: Infinity }
      : { maxMbPerSBesideWriters: Number(maxMbPerS) }
let bytes = 0
let copies = 0

async function backUp(more: Partial<HotbackupOptions> = {}): Promise<void> {
  let copied = { bytesCopied: 0, bytesTotal: 1 }
  try {
    await hotbackup({
      home,
      target,
      digest: false,
      ...more,
      onEvent: (event) => {
        if ('bytesTotal' in event) copied = event
      },
    })
  } finally {
    bytes += copied.bytesCopied
    copies += copied.bytesCopied / copied.bytesTotal
  }
}

// The first one warms the compiler; starting a process is not what is measured.
await backUp()
bytes = 0
copies = 0
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdin.destroy()
const begin = performance.now()
const timer = setTimeout(() => end.abort(), Number(seconds) * 1000)
try {
  while (!end.signal.aborted) {
    // The last one ends with its writer, who would otherwise leave it the disk; what it copied counts all the same.
    await backUp({ ...limit, signal: end.signal })
  }
} catch (error) {
  if (!end.signal.aborted) throw error
}
clearTimeout(timer)
process.stdout.write(`${JSON.stringify({ copies, bytes, spentMs: performance.now() - begin })}\n`)
