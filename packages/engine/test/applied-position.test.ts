/**
 * Fault model: LevelDB's own log is cut at any length, which leaves LevelDB at the end of some batch. Whatever batch that is,
 * the state must be exactly what the log says of the position in it: changes and position go in together or not at all. (An
 * open by us removes that log; here a plain LevelDB replays it, to show what a flush at that moment would have written.)
 */
import { cpSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { readLog } from '@timberline/wal'
import { expect, test } from 'vitest'
import { homeLayout } from '../src/home/home-layout.ts'
import { RawLevel } from '../src/state/leveldb-raw.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { decodeTransaction } from '../src/records/transaction-codec.ts'
import { visibleState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
/** Shorter than any batch of LevelDB that holds a position. */
const CUT_BYTES = 32

/** The state after each record of the log, at the index of its LSN. */
async function statesOf(logDirectory: string): Promise<readonly ReadonlyMap<string, string>[]> {
  const states = [new Map<string, string>()]
  for await (const records of readLog({ directory: logDirectory, fromLsn: 1 })) {
    for (const { kind, payload } of records) {
      const state = new Map(states.at(-1))
      const operations = kind === 'entry' ? decodeTransaction(payload).operations : []
      for (const operation of operations) {
        const key = Buffer.from(operation.key).toString()
        if (operation.type === 'put') state.set(key, Buffer.from(operation.value).toString())
        else state.delete(key)
      }
      states.push(state)
    }
  }
  return states
}

test('the state is what its position says, wherever LevelDB’s own log ends', async () => {
  const layout = homeLayout(join(folder, 'home'))
  const db = new TimberLevel(layout.home)
  await db.open()
  for (let round = 1; round <= 12; round += 1) {
    await db.batch([
      { type: 'put', key: 'a', value: String(round) },
      { type: 'put', key: `b${String(round)}`, value: String(round) },
      { type: 'del', key: `b${String(round - 1)}` },
    ])
  }
  const data = join(folder, 'data')
  cpSync(layout.dataDirectory, data, { recursive: true })
  // Closing takes a checkpoint, which lets this log go.
  const states = await statesOf(layout.logDirectory)
  await db.close()
  const [name = ''] = readdirSync(data).filter((each) => each.endsWith('.log'))
  const found = new Set<number>()
  let cuts = 0
  for (let bytes = statSync(join(data, name)).size; bytes > 0; bytes -= CUT_BYTES) {
    const copy = join(folder, 'copy')
    rmSync(copy, { recursive: true, force: true })
    cpSync(data, copy, { recursive: true })
    truncateSync(join(copy, name), bytes)
    const level = new RawLevel(copy)
    await level.open({ createIfMissing: false })
    const { lsn } = await level.applied()
    const state = await visibleState(level)
    await level.close()
    expect(state, `${String(bytes)} bytes of LevelDB's log`).toEqual(
      new Map([...(states[lsn] ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    )
    found.add(lsn)
    cuts += 1
  }
  console.log(
    `${String(cuts)} cuts of LevelDB's log left ${String(found.size)} states, each as its position says`,
  )
  expect(found.size).toBeGreaterThan(10)
})
