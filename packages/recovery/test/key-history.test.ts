import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  type Catalogue,
  createArchive,
  openStore,
  type PieceRef,
  runShipper,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type KeyEvent, keyHistory, type KeyHistoryOptions } from '../src/index.ts'

let folder = ''
let db: TimberLevel<string, string>
const home = (): string => join(folder, 'home')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-key-history-'))
  db = new TimberLevel<string, string>(home())
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

async function events(from: KeyHistoryOptions['from'], more: { timeline?: number } = {}): Promise<string[]> {
  const lines: string[] = []
  for await (const event of keyHistory({ from, key: Buffer.from('a'), ...more })) lines.push(lineOf(event))
  return lines
}

function lineOf(event: KeyEvent): string {
  if (event.type !== 'changed') return event.type
  const meta = event.meta === undefined ? '' : ` ${JSON.stringify(event.meta)}`
  return `${String(event.before)} -> ${String(event.after)}${meta}`
}

/** An archive with all log so far. */
async function shipped(name: string): Promise<Archive> {
  const identity = await readHomeIdentity(home())
  const archive = await createArchive(openStore(join(folder, name)), {
    environmentId: identity.environmentId,
  })
  const stop = new AbortController()
  const shipper = runShipper({
    archive,
    logDirectory: homeLayout(home()).logDirectory,
    name,
    identity,
    signal: stop.signal,
  })
  await shipper.flushWhole()
  stop.abort()
  await shipper.done
  return archive
}

/** Until it is released no checkpoint lets go of log. */
async function keepLog(): Promise<AsyncDisposable> {
  await db.open()
  const hold = await placeHold(homeLayout(home()).logDirectory, { purpose: 'keep all segments' })
  return { [Symbol.asyncDispose]: () => hold.release() }
}

async function write(): Promise<void> {
  await db.put('a', '1')
  await db.put('ab', 'x')
  await db.batch(
    [
      { type: 'del', key: 'a' },
      { type: 'put', key: 'a', value: '2' },
    ],
    { meta: { actor: 'import' } },
  )
  await db.mark('named')
  await db.del('a')
}

test('a key’s past is each transaction that changed it, with the value before and after, from home and archive alike', async () => {
  await write()
  const expected = ['unknown -> 1', '1 -> 2 {"actor":"import"}', '2 -> absent']
  expect(await events({ home: home() })).toEqual(expected)
  const archive = await shipped('archive')
  expect(await events({ archive })).toEqual(expected)
  expect(await events({ archive }, { timeline: 1 })).toEqual(expected)
  await expect(events({ archive }, { timeline: 7 })).rejects.toMatchObject({
    code: 'RECOVERY_TIMELINE_UNKNOWN',
  })
  await archive.close()
})

test('records that cannot be read are told, and what was there before is unknown after them', async () => {
  await using _hold = await keepLog()
  for (const value of ['1', '2', '3', '4']) {
    await db.put('a', value)
    // A segment of its own for each.
    await db.checkpoint()
  }
  const archive = await shipped('archive')
  expect(await events({ archive })).toEqual(['unknown -> 1', '1 -> 2', '2 -> 3', '3 -> 4'])
  const catalogue = await archive.catalogue()
  const [first, , third, fourth] = catalogue.segments
  if (first === undefined || third === undefined || fourth === undefined) throw new Error('too few segments')
  const holding = (change: Partial<Catalogue>): Archive =>
    new Proxy(archive, {
      get(target, name) {
        if (name === 'catalogue') return () => Promise.resolve({ ...catalogue, pieces: [], ...change })
        const member: unknown = Reflect.get(target, name, target)
        return typeof member === 'function' ? (member.bind(target) as unknown) : member
      },
    })
  expect(await events({ archive: holding({ segments: [first, third] }) })).toEqual([
    'unknown -> 1',
    'hole',
    'unknown -> 3',
  ])
  // A piece behind a hole in its segment is known and cannot be read.
  const known = { ...fourth, position: 10, endPosition: 20 } as unknown as PieceRef
  expect(await events({ archive: holding({ segments: [third], pieces: [known] }) })).toEqual([
    'hole',
    'unknown -> 3',
    'hole',
  ])
  await archive.close()
})

test('a home’s log reaches back as far as it was kept', async () => {
  await write()
  await db.checkpoint()
  await db.put('a', '5')
  expect(await events({ home: home() })).toEqual(['hole', 'unknown -> 5'])
})

test('data that was loaded beside the log makes the value before unknown', async () => {
  await using _hold = await keepLog()
  await write()
  await db.bulkLoad([['a', 'loaded']])
  await db.put('a', '4')
  expect((await events({ home: home() })).slice(-2)).toEqual(['loaded', 'unknown -> 4'])
})
