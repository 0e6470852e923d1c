/**
 * A database under a random load of commits, each of which carries its number in one key, so that any state tells which prefix it
 * is; and what each prefix must contain. Values are large beside LevelDB's memory, so that LevelDB flushes and compacts by itself.
 */
import { TimberLevel } from '@timberline/engine'
import type { FileSystem } from '@timberline/wal'
import { seededRandom, type Random } from '@timberline/wal/testing'
import { changed, type Change, type Content } from './content.ts'

export const NUMBER_KEY = 'number'
const KEY_COUNT = 40
/** LevelDB's memory and tables; small, so that a few dozen commits fill them. */
const LEVELDB = { writeBufferSize: 64 * 1024, maxFileSize: 1024 * 1024, compression: false }

/** Zeros written ahead of the log sync it now and then; without them much stays unsynced, and LevelDB gets ahead of it. */
export function openNumbered(
  home: string,
  { fileSystem, preallocateBytes = 0 }: { fileSystem?: FileSystem; preallocateBytes?: number } = {},
): TimberLevel<string, string> {
  return new TimberLevel<string, string>(home, {
    ...LEVELDB,
    log: { segmentBytesMax: 256 * 1024, preallocateBytes },
    ...(fileSystem === undefined ? {} : { fileSystem }),
  })
}

export class NumberedWriter {
  /** Content after commit n, at index n; the last ones may be under way. */
  readonly contents: Content[] = [new Map()]
  /** Commits 1 to this one have resolved as durable. */
  acknowledged = 0
  readonly #random: Random

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** One step of the load; `steps` tells what kinds were drawn. */
  async step(db: TimberLevel<string, string>): Promise<string> {
    const kind = this.#random.next()
    if (kind < 0.45) return this.#write(db, 1 + this.#random.integer(6))
    if (kind < 0.6) return this.#writeLazily(db)
    if (kind < 0.7) return this.#clear(db)
    if (kind < 0.8) return this.#transact(db)
    if (kind < 0.9) {
      await db.switchSegment()
      return 'roll'
    }
    await db.checkpoint({ hashed: this.#random.chance(0.3) })
    return 'checkpoint'
  }

  async #write(db: TimberLevel<string, string>, count: number): Promise<string> {
    await Promise.all(
      Array.from({ length: count }, () => this.#commit(this.#changes(), (batch) => db.batch(batch))),
    )
    return 'batch'
  }

  async #writeLazily(db: TimberLevel<string, string>): Promise<string> {
    // Enough to fill LevelDB's memory now and then: its tables are then ahead of what the log has durable.
    for (let count = this.#random.integer(50); count >= 0; count -= 1) {
      const { changes } = this.#begin(this.#changes())
      await db.batch(operations(changes), { sync: false })
    }
    return 'lazy'
  }

  async #clear(db: TimberLevel<string, string>): Promise<string> {
    const from = this.#random.integer(KEY_COUNT)
    const range = { gte: keyOf(from), lt: keyOf(from + 8) }
    const content = this.contents.at(-1) ?? new Map<string, string>()
    const gone = [...content.keys()].filter((key) => key >= range.gte && key < range.lt)
    if (gone.length > 0) {
      // The number stays the one before: what a clear removed tells it from that.
      const { n } = this.#begin(
        gone.map((key): Change => [key, undefined]),
        false,
      )
      await db.clear(range)
      this.#end(n)
    }
    return 'clear'
  }

  async #transact(db: TimberLevel<string, string>): Promise<string> {
    const { n, changes } = this.#begin(this.#changes())
    await db.transaction(async (tx) => {
      await tx.get(NUMBER_KEY)
      for (const [key, value] of changes) await (value === undefined ? tx.del(key) : tx.put(key, value))
    })
    this.#end(n)
    return 'transaction'
  }

  async #commit(
    drawn: readonly Change[],
    write: (batch: ReturnType<typeof operations>) => Promise<void>,
  ): Promise<void> {
    const { n, changes } = this.#begin(drawn)
    await write(operations(changes))
    this.#end(n)
  }

  #changes(): Change[] {
    return Array.from({ length: 1 + this.#random.integer(4) }, (): Change => {
      const key = keyOf(this.#random.integer(KEY_COUNT))
      if (this.#random.chance(0.2)) return [key, undefined]
      return [key, `${String(this.contents.length)} `.repeat(100 + this.#random.integer(800))]
    })
  }

  #begin(drawn: readonly Change[], isNumbered = true): { n: number; changes: readonly Change[] } {
    const n = this.contents.length
    const changes = isNumbered ? [...drawn, [NUMBER_KEY, String(n)] as const] : drawn
    this.contents.push(changed(this.contents.at(-1) ?? new Map(), changes))
    return { n, changes }
  }

  #end(n: number): void {
    // A durable commit makes all before it durable.
    this.acknowledged = Math.max(this.acknowledged, n)
  }
}

function keyOf(index: number): string {
  return `key${String(index).padStart(3, '0')}`
}

function operations(changes: readonly Change[]) {
  return changes.map(([key, value]) =>
    value === undefined ? ({ type: 'del', key } as const) : ({ type: 'put', key, value } as const),
  )
}
