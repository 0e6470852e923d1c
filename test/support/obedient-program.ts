/** A database in a process of its own, which puts what `obedient-database.ts` tells it and says when that is acknowledged. */
import { TimberLevel } from '@timberline/engine'

const db = new TimberLevel(process.argv[2] ?? '')
await db.open()
process.on('message', (key: string) => {
  void db.put(key, '').then(() => process.send?.(key))
})
process.send?.('open')
