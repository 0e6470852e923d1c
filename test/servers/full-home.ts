/** A home on small disks: data and checkpoints on one, the log on another, so that each can be full while the other has room. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import { digestOf } from '../support/running-application.ts'
import { SmallDisk } from './small-disk.ts'

const KEYS = 40
const MIB = 1024 * 1024
const TEMPORARY_LOOKS_MAX = 100

/** What came of it, over all rounds of a test: how often each error was told, and by what. */
export class Told {
  readonly counts = new Map<string, number>()

  note(what: string, error?: unknown): void {
    const told = error === undefined ? what : `${what} ${describeError(error)}`
    this.counts.set(told, (this.counts.get(told) ?? 0) + 1)
  }

  has(what: string): boolean {
    return [...this.counts.keys()].some((told) => told.startsWith(what))
  }

  toString(): string {
    return JSON.stringify(Object.fromEntries([...this.counts].toSorted(([a], [b]) => (a < b ? -1 : 1))))
  }
}

/** Code and kind of an error; it must be one of ours, which says what to do. */
function describeError(error: unknown): string {
  // abstract-level wraps what an open fails with.
  const cause = error instanceof Error && 'code' in error && error.code === 'LEVEL_DATABASE_NOT_OPEN'
  const own = cause ? error.cause : error
  assert.ok(own instanceof TimberlineError, `not an error of ours: ${String(own)}`)
  assert.notEqual(own.hint, '', own.code)
  return `${own.code} (${own.kind})`
}

export class FullHome {
  readonly home: string
  readonly disk: SmallDisk
  readonly logDisk: SmallDisk
  readonly #told: Told
  readonly #state = new Map<string, string>()
  #n = 0

  constructor(home: string, told: Told) {
    this.home = home
    this.#told = told
    this.disk = SmallDisk.mount(home, { bytes: 8 * MIB, inodes: 400 })
    this.logDisk = SmallDisk.mount(homeLayout(home).logDirectory, { bytes: 4 * MIB, inodes: 200 })
  }

  unmount(): void {
    this.logDisk.unmount()
    this.disk.unmount()
  }

  async open(): Promise<TimberLevel> {
    const db = new TimberLevel(this.home, {
      writeBufferSize: 64 * 1024,
      log: { segmentBytesMax: 64 * 1024, preallocateBytes: 16 * 1024 },
      onEvent: (event) => {
        if (event.type === 'database.failed') this.#told.note('the database', event.error)
      },
    })
    await db.open()
    return db
  }

  /** Commits one after the other, as many or until the first refusal; resolves whether there was one. */
  async put(db: TimberLevel, count: number, checkpointEvery = Number.POSITIVE_INFINITY): Promise<boolean> {
    for (let index = 1; index <= count; index += 1) {
      const [key, value] = this.#next()
      try {
        await db.put(key, value)
      } catch (error) {
        this.#told.note('put:', error)
        await this.#expectStopped(db)
        return true
      }
      this.#n += 1
      this.#state.set(key, value)
      if (index % checkpointEvery === 0) {
        await db.checkpoint().catch((error: unknown) => this.#told.note('checkpoint:', error))
      }
    }
    return false
  }

  #next(): readonly [key: string, value: string] {
    const n = this.#n + 1
    // Hardly compressible, about 1 KB.
    const value = Array.from({ length: 100 }, (_, index) => Math.imul(n * 101 + index, 2_654_435_761)).join(
      '',
    )
    return [`key-${String(n % KEYS)}`, `${String(n)}:${value.slice(0, 1000)}`]
  }

  /** A live home may be writing one at this moment, when it has hashed a table; one that stays is left over. */
  async #expectNoTemporaries(): Promise<void> {
    let left: readonly string[] = []
    for (let looks = 0; looks < TEMPORARY_LOOKS_MAX; looks += 1) {
      const names = await readdir(homeLayout(this.home).checkpointDirectory)
      left = names.filter((name) => name.includes('.tmp') && (looks === 0 || left.includes(name)))
      if (left.length === 0) return
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.deepEqual(left, [])
  }

  /** After the first refusal there are no more writes, and reads go on. */
  async #expectStopped(db: TimberLevel): Promise<void> {
    await db.put('key-0', 'too late').then(
      () => assert.fail('a write after a refused one'),
      (error: unknown) => this.#told.note('next put:', error),
    )
    assert.equal(
      await db.get(`key-${String(this.#n % KEYS)}`),
      this.#state.get(`key-${String(this.#n % KEYS)}`),
    )
  }

  /** The home holds what was acknowledged, and nothing else but perhaps the one that was refused with its outcome unknown. */
  async expectWhole(db: TimberLevel): Promise<void> {
    const found = new Map(await db.iterator().all())
    const [key, value] = this.#next()
    if (found.get(key) === value) {
      this.#n += 1
      this.#state.set(key, value)
      this.#told.note('refused, and yet there')
    }
    assert.deepEqual(found, this.#state)
    assert.equal((await db.digest()).hex, digestOf(found))
    await this.#expectNoTemporaries()
    const top = await readdir(this.home)
    assert.deepEqual(
      top.filter((name) => /^data\.|\.tmp|\.partial/.test(name)),
      [],
      join(this.home, 'has leftovers'),
    )
  }
}
