/** Backs up a home again and again for some seconds: `backup-loop.ts <home> <target> <seconds>`. */
import { hotbackup } from '@timberline/hotbackup'

const [home = '', target = '', seconds = '1'] = process.argv.slice(2)
const end = Date.now() + Number(seconds) * 1000
do {
  await hotbackup({ home, target, digest: false })
} while (Date.now() < end)
