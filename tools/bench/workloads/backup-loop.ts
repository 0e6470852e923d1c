/**
 * Backs up a home again and again for some seconds, from when it is told to, and prints how often and how long:
 * `backup-loop.ts <home> <target> <seconds> [<MB a second beside writers> | full]`.
 */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { hotbackup, type HotbackupOptions } from '@timberline/hotbackup'
import { promptFileSystem } from '@timberline/wal'
import { lowerPriority } from '../../../packages/cli/src/priority.ts'

const [home = '', target = '', seconds = '1', maxMbPerS] = process.argv.slice(2)
// Priority and file system are those of the command.
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
let spentMs = 0
let made = 0

/** Into a folder that is not there yet, whose removal takes time that is not counted: as peers are asked, and measured. */
async function backUp(more: Partial<HotbackupOptions> = {}): Promise<void> {
  let copied = { bytesCopied: 0, bytesTotal: 1 }
  const folder = `${target}-${String(made++)}`
  const begin = performance.now()
  try {
    await hotbackup({
      home,
      target: folder,
      digest: false,
      fileSystem: promptFileSystem,
      ...more,
      onEvent: (event) => {
        if ('bytesTotal' in event) copied = event
      },
    })
  } finally {
    spentMs += performance.now() - begin
    bytes += copied.bytesCopied
    copies += copied.bytesCopied / copied.bytesTotal
    await rm(folder, { recursive: true, force: true })
  }
}

// The first one warms the compiler; starting a process is not what is measured.
await backUp()
bytes = 0
copies = 0
spentMs = 0
process.stdout.write('ready\n')
await once(process.stdin, 'data')
process.stdin.destroy()
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
process.stdout.write(`${JSON.stringify({ copies, bytes, spentMs })}\n`)
