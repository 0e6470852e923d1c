/**
 * Homes with a history that can be computed again, for the rows that look at what a command makes of them. All of them lie in one
 * folder that is gone after the file's tests.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { expect } from 'vitest'
import { timberline, type Result } from '../../packages/cli/test/terminal.ts'
import { Model, POSITION_KEY, transaction, type Shape } from '../../packages/hotbackup/test/history.ts'
import { contentOf, type Content } from '../support/running-application.ts'

const COMMITS_AT_A_TIME = 25
export const shape: Shape = { keyCount: 200, valueBytes: 100 }

/** A folder for a test file, and names in it that nobody has. */
export class Scenes {
  #folder = ''
  #count = 0

  async begin(): Promise<void> {
    this.#folder = await mkdtemp(join(tmpdir(), 'timberline-seeds-'))
  }

  async end(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }

  path(name: string): string {
    this.#count += 1
    return join(this.#folder, `${String(this.#count)}-${name}`)
  }

  /** A home that nobody has open, after transaction n, in several segments that are all there. */
  async closedHome(n = 60): Promise<string> {
    const home = this.path('home')
    const db = await openHome(home)
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'keep all segments' })
    await write(db, n)
    await db.close()
    await hold.release()
    return home
  }

  /** A home of this process, after transaction n. */
  async openHome(n = 60): Promise<{ home: string; db: TimberLevel<string, string> }> {
    const home = this.path('home')
    const db = await openHome(home)
    await write(db, 1)
    // The first one comes by itself within a second, at no time that a test could know.
    await db.checkpoint()
    await write(db, n)
    return { home, db }
  }

  /** What recovery makes of a backup or an archive. */
  async recovered(from: string): Promise<Content> {
    const home = this.path('recovered')
    await ends0(['recover', '--from', from, '-h', home])
    return contentOf(home)
  }
}

/** What a home holds after transaction n. */
export function stateAfter(n: number): Content {
  return { n, state: new Model(shape).at(n) }
}

/** Opens a home with small segments, so that a short history has several. */
export async function openHome(home: string): Promise<TimberLevel<string, string>> {
  const db = new TimberLevel<string, string>(home, { log: { segmentBytesMax: 64 * 1024 } })
  await db.open()
  return db
}

/** Commits the transactions up to and including n, from where the database stands; many wait for one flush. */
export async function write(db: TimberLevel<string, string>, n: number): Promise<void> {
  const from = Number((await db.get(POSITION_KEY)) ?? '0') + 1
  for (let first = from; first <= n; first += COMMITS_AT_A_TIME) {
    const group = Array.from({ length: Math.min(COMMITS_AT_A_TIME, n + 1 - first) }, (_, at) => first + at)
    await Promise.all(group.map((each) => db.batch(transaction(each, shape))))
  }
}

/** Runs a command line that must do what it was asked for. */
export async function ends0(words: readonly string[]): Promise<Result> {
  const result = await timberline(words)
  expect(result.code, `${words.join(' ')}: ${result.err}`).toBe(0)
  return result
}

/** Runs a command line that must be refused with this code, a next step, and no exit code of success. */
export async function isRefused(words: readonly string[], code: RegExp): Promise<Result> {
  const result = await timberline(words)
  expect(result.err, words.join(' ')).toMatch(code)
  expect(result.code).toBeGreaterThan(0)
  return result
}

/** The lines that a command printed. */
export function lines({ out }: Result): readonly string[] {
  return out.split('\n').filter((line) => line !== '')
}
