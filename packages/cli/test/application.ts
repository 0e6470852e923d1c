/** An ordinary Level program, in a process of its own, that writes until it is killed. */
import { TimberLevel } from '@timberline/engine'

const db = new TimberLevel<string, { n: number }>(process.argv[2] ?? '', { valueEncoding: 'json' })
await db.open()
process.stdout.write('open\n')
for (let n = 0; ; n++) {
  await db.batch([{ type: 'put', key: `key/${String(n % 500)}`, value: { n } }], {
    meta: { actor: 'application', turn: n },
  })
  await new Promise((resolve) => setTimeout(resolve, 2))
}
