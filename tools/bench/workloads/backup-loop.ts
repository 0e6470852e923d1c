/** Backs up a home again and again for some seconds, and prints how often and how long: `backup-loop.ts <home> <target> <seconds>`. */
import { hotbackup } from '@timberline/hotbackup'

const [home = '', target = '', seconds = '1'] = process.argv.slice(2)
const begin = performance.now()
let backups = 0
do {
  await hotbackup({ home, target, digest: false })
  backups++
} while (performance.now() - begin < Number(seconds) * 1000)
process.stdout.write(`${JSON.stringify({ backups, spentMs: performance.now() - begin })}\n`)
