import { join } from 'node:path'
import { openLog } from '@timberline/wal'
import type { Log } from '@timberline/wal'
import { homeLayout } from '../../src/home/home-layout.ts'
import type { HomeLayout } from '../../src/home/home-layout.ts'
import { newHomeIdentity, readHomeIdentity, writeHomeIdentity } from '../../src/home/home-identity.ts'
import type { HomeIdentity } from '../../src/home/home-identity.ts'
import type { RawLevel } from '../../src/state/leveldb-raw.ts'
import { segmentHolding } from '../../src/checkpoint/checkpoint-segment.ts'
import { takeCheckpoint } from '../../src/checkpoint/checkpoint-take.ts'
import type { TakeCheckpointOptions, TakenCheckpoint } from '../../src/checkpoint/checkpoint-take.ts'
import { recoverState } from '../../src/state/state-recovery.ts'
import type { RecoverReport, RecoverStateOptions } from '../../src/state/state-recovery.ts'
import { RawStateHandle } from '../../src/state/state-handle.ts'
import { encodeTransaction } from '../../src/records/transaction-codec.ts'
import { nodeFileSystem } from '@timberline/wal'

const KEYS = 500

/** What transaction number `lsn` does: known from its number alone, so any prefix can be computed again. */
export function operationsOf(lsn: number): { type: 'put' | 'del'; key: Buffer; value: Buffer }[] {
  const operations: { type: 'put' | 'del'; key: Buffer; value: Buffer }[] = []
  for (let index = 0; index < 4; index += 1) {
    const key = Buffer.from(`key${String((lsn * 7 + index * 131) % KEYS).padStart(6, '0')}`)
    const isDeletion = (lsn + index) % 11 === 0
    operations.push({
      type: isDeletion ? 'del' : 'put',
      key,
      value: Buffer.from(`${lsn}.${index}.`.repeat(20)),
    })
  }
  return operations
}

/** The state after transactions 1 to `lsn`, as text. */
export function expectedState(lsn: number): Map<string, string> {
  const state = new Map<string, string>()
  for (let at = 1; at <= lsn; at += 1) {
    for (const { type, key, value } of operationsOf(at)) {
      if (type === 'put') state.set(key.toString(), value.toString())
      else state.delete(key.toString())
    }
  }
  return new Map([...state].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** All that users could see in a state, as text. */
export async function visibleState(level: RawLevel): Promise<Map<string, string>> {
  const state = new Map<string, string>()
  for await (const [key, value] of level.iterator({ lt: Buffer.alloc(16, 0xff) })) {
    state.set(key.toString(), value.toString())
  }
  return state
}

/** A home with a log and a bare LevelDB, driven step by step. */
export class HomeFixture {
  readonly layout: HomeLayout
  readonly identity: HomeIdentity
  readonly log: Log
  readonly level: RawLevel
  readonly report: RecoverReport
  #applied: number

  private constructor(parts: {
    layout: HomeLayout
    identity: HomeIdentity
    log: Log
    level: RawLevel
    report: RecoverReport
  }) {
    this.layout = parts.layout
    this.identity = parts.identity
    this.log = parts.log
    this.level = parts.level
    this.report = parts.report
    this.#applied = parts.report.throughLsn
  }

  /** Opens, recovering whatever is needed. */
  static async open(
    home: string,
    options: Partial<RecoverStateOptions> & { segmentBytesMax?: number; writeBufferSize?: number } = {},
  ): Promise<HomeFixture> {
    const layout = homeLayout(home)
    const known = await readHomeIdentity(home).catch(() => undefined)
    const identity = known ?? newHomeIdentity()
    if (known === undefined) await writeHomeIdentity(home, identity)
    const log = await openLog({
      directory: layout.logDirectory,
      identity,
      preallocateBytes: 0,
      ...(options.segmentBytesMax === undefined ? {} : { segmentBytesMax: options.segmentBytesMax }),
    })
    const handle = new RawStateHandle(layout.dataDirectory, {
      writeBufferSize: options.writeBufferSize ?? 64 * 1024,
      maxFileSize: 1024 * 1024,
    })
    try {
      const { firstLsn, lastLsn } = log.opened
      const report = await recoverState(handle, { layout, identity, log: { firstLsn, lastLsn }, ...options })
      return new HomeFixture({ layout, identity, log, level: handle.level, report })
    } catch (error) {
      await log.close()
      throw error
    }
  }

  get lsn(): number {
    return this.#applied
  }

  /** Commits so many more transactions: log, then LevelDB, one batch each. */
  async commit(count: number): Promise<void> {
    for (let done = 0; done < count; done += 1) {
      const operations = operationsOf(this.log.nextLsn)
      const place = this.log.append(encodeTransaction({ operations }), { durable: done === count - 1 })
      const batch = this.level.operationBatch()
      for (const { type, key, value } of operations) {
        if (type === 'put') batch.put(key, value)
        else batch.del(key)
      }
      await batch.write(place)
      this.#applied = place.lsn
    }
    await this.log.sync()
  }

  async checkpoint(options: Partial<TakeCheckpointOptions> = {}): Promise<TakenCheckpoint> {
    return takeCheckpoint({
      layout: this.layout,
      identity: this.identity,
      level: this.level,
      segmentAfter: async ({ lsn }) => {
        await this.log.sync()
        return segmentHolding(this.layout.logDirectory, lsn + 1, nodeFileSystem)
      },
      ...options,
    })
  }

  async state(): Promise<Map<string, string>> {
    return visibleState(this.level)
  }

  /** Closes without a flush: what LevelDB had in memory stays in its own log, which the next open removes. */
  async close(): Promise<void> {
    await this.level.close()
    await this.log.close()
  }
}

export function inData(layout: HomeLayout, name: string): string {
  return join(layout.dataDirectory, name)
}
