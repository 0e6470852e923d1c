// A process that has no WebAssembly, or is denied the addresses for it, makes no tables: LevelDB does that work, and all comes to the same.
import { join } from 'node:path'
import type { LogRecord } from '@timberline/wal'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { LACKING_WEB_ASSEMBLY } from '../../wal/test/lacking-web-assembly.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'
import { replayInto } from '../src/state/replay.ts'
import { openStateAtRest } from '../src/state/state-at-rest.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { operationsOf } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let places = 0
const newPlace = (): string => join(folder, String((places += 1)))

const LAST = 2000

async function* records(): AsyncGenerator<LogRecord[]> {
  for (let lsn = 1; lsn <= LAST; lsn += 1) {
    const payload = encodeTransaction({ operations: operationsOf(lsn) })
    yield [{ lsn, committedAtUs: lsn * 1000, kind: 'entry', payload }]
  }
}

async function replayed(): Promise<{ readonly digests: readonly unknown[]; readonly lsn: number }> {
  const state = await openStateAtRest(newPlace(), { createIfMissing: true, tableBytesMax: 50_000 })
  await replayInto(state, records())
  const digests = await state.digests()
  const { lsn } = await state.applied()
  await state.close()
  return { digests, lsn }
}

function* pairs(): Generator<readonly [string, string]> {
  for (let number = 0; number < LAST; number += 1) yield [`k${String(number % 1500)}`, String(number)]
}

async function loaded(): Promise<readonly (readonly [string, string])[]> {
  const home = newPlace()
  const db = new TimberLevel(home)
  await db.bulkLoad(pairs())
  await db.close()
  const again = new TimberLevel(home)
  const all = await again.iterator().all()
  await again.close()
  return all
}

afterEach(() => vi.unstubAllGlobals())

describe.each(LACKING_WEB_ASSEMBLY)('a process %s', (_, given) => {
  test('replays a log all the same', async () => {
    const expected = await replayed()
    vi.stubGlobal('WebAssembly', given())
    expect(await replayed()).toEqual(expected)
    expect(expected.lsn).toBe(LAST)
  })

  test('loads into an empty home all the same', async () => {
    const expected = await loaded()
    vi.stubGlobal('WebAssembly', given())
    expect(await loaded()).toEqual(expected)
    expect(expected).toHaveLength(1500)
  })
})
