import { join } from 'node:path'
import type { LogRecord } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { stateDigest } from '../src/tables/digest.ts'
import { BULK_LOAD_MARK } from '../src/records/bulk-load-mark.ts'
import { encodeNote } from '../src/records/notes.ts'
import { replayInto } from '../src/state/replay.ts'
import type { ReplayProgress } from '../src/state/replay.ts'
import { openState } from '../src/state/state.ts'
import { openStateAtRest } from '../src/state/state-at-rest.ts'
import { encodeTransaction } from '../src/records/transaction-codec.ts'
import { expectedState, operationsOf, visibleState } from './support/home-fixture.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
let states = 0

function recordOf(lsn: number): LogRecord {
  const committedAtUs = lsn * 1000
  return { lsn, committedAtUs, kind: 'entry', payload: encodeTransaction({ operations: operationsOf(lsn) }) }
}

async function* groupsOf(from: number, through: number, groupRecords = 7): AsyncGenerator<LogRecord[]> {
  for (let lsn = from; lsn <= through; lsn += groupRecords) {
    const last = Math.min(lsn + groupRecords - 1, through)
    yield Array.from({ length: last - lsn + 1 }, (_, index) => recordOf(lsn + index))
  }
}

async function newState() {
  states += 1
  return openState(join(folder, `state${states}`), { createIfMissing: true })
}

describe('replay', () => {
  test('leads to the state, with its position in it', async () => {
    await using state = await newState()
    const result = await replayInto(state.level, groupsOf(1, 1500))
    expect(result).toMatchObject({ appliedLsn: 1500, records: 1500, lastCommittedAtUs: 1_500_000 })
    expect(await state.applied()).toEqual({ lsn: 1500, committedAtUs: 1_500_000 })
    expect(await visibleState(state.level)).toEqual(expectedState(1500))
  })

  test('from any earlier point gives the same state', async () => {
    const digests = new Set<string>()
    for (const split of [1, 2, 399, 400, 700]) {
      await using state = await newState()
      await replayInto(state.level, groupsOf(1, split))
      await replayInto(state.level, groupsOf(Math.max(1, split - 300), 700))
      digests.add((await stateDigest(state.level, 700)).hex)
    }
    expect(digests.size).toBe(1)
  })

  test.each([
    ['in its last operation', (whole: Buffer) => whole.subarray(0, -1), 'ENGINE_RECORD_DAMAGED'],
    [
      'behind its last operation',
      (whole: Buffer) => Buffer.concat([whole, Buffer.from([0xc0])]),
      'ENGINE_RECORD_DAMAGED',
    ],
    [
      'in what its author said',
      (whole: Buffer) => Buffer.from([0x93, ...whole.subarray(1), 0xc1]),
      'ENGINE_RECORD_DAMAGED',
    ],
    [
      'by a later version',
      (whole: Buffer) => Buffer.from([0x92, 2, ...whole.subarray(2)]),
      'ENGINE_RECORD_FORMAT',
    ],
  ])(
    'refuses a record that is not as it was written, %s, and applies nothing of it',
    async (_, change, code) => {
      const spoilt = { ...recordOf(6), payload: change(Buffer.from(recordOf(6).payload)) }
      const groups = async function* (): AsyncGenerator<LogRecord[]> {
        yield* groupsOf(1, 5)
        yield [spoilt]
      }
      await using state = await newState()
      await expect(replayInto(state.level, groups())).rejects.toMatchObject({ code })
      expect(await state.applied()).toEqual({ lsn: 0, committedAtUs: 0 })
      const directory = join(folder, `resting${states}`)
      await (await openState(directory, { createIfMissing: true })).close()
      const resting = await openStateAtRest(directory)
      await expect(replayInto(resting, groups())).rejects.toMatchObject({ code })
      await resting.close()
      expect(await resting.applied()).toEqual({ lsn: 0, committedAtUs: 0 })
    },
  )

  test('stops exactly at its target, also inside a group', async () => {
    await using state = await newState()
    const result = await replayInto(state.level, groupsOf(1, 1000, 50), { throughLsn: 333 })
    expect(result).toMatchObject({ appliedLsn: 333, records: 333 })
    expect(await visibleState(state.level)).toEqual(expectedState(333))
  })

  test('refuses a gap by name, and applies nothing behind it', async () => {
    await using state = await newState()
    await replayInto(state.level, groupsOf(1, 10))
    await expect(replayInto(state.level, groupsOf(12, 20))).rejects.toMatchObject({
      code: 'ENGINE_LOG_GAP',
      details: { neededLsn: 11, foundLsn: 12 },
    })
    expect(await state.appliedLsn()).toBe(10)
  })

  test('counts marks and notes as records that change nothing, but not across a load beside the log', async () => {
    await using state = await newState()
    const others: LogRecord[] = [
      { lsn: 11, committedAtUs: 11_000, kind: 'mark', payload: Buffer.from('release 7') },
      {
        lsn: 12,
        committedAtUs: 12_000,
        kind: 'note',
        payload: encodeNote({ type: 'checkpoint', lsn: 10, segmentNumber: 1, tables: 0 }),
      },
    ]
    await replayInto(state.level, groupsOf(1, 10))
    await replayInto(state.level, arrayOf([others]))
    expect(await state.applied()).toEqual({ lsn: 12, committedAtUs: 12_000 })
    expect(await visibleState(state.level)).toEqual(expectedState(10))
    const load: LogRecord = {
      lsn: 13,
      committedAtUs: 13_000,
      kind: 'mark',
      payload: Buffer.from(BULK_LOAD_MARK),
    }
    await expect(replayInto(state.level, arrayOf([[load]]))).rejects.toMatchObject({
      code: 'ENGINE_BULK_LOADED',
      details: { lsn: 13 },
    })
  })

  test('tells its progress and can be aborted between batches', async () => {
    await using state = await newState()
    const told: ReplayProgress[] = []
    const controller = new AbortController()
    const replaying = replayInto(state.level, groupsOf(1, 5000), {
      signal: controller.signal,
      onProgress: (progress) => {
        told.push(progress)
        if (progress.appliedLsn > 1000) controller.abort()
      },
    })
    await expect(replaying).rejects.toMatchObject({ name: 'AbortError' })
    const reached = await state.appliedLsn()
    expect(reached).toBeLessThan(5000)
    expect(told.map(({ appliedLsn }) => appliedLsn)).toContain(reached)
    // What had been applied is a clean prefix, and replay goes on from there.
    expect(await visibleState(state.level)).toEqual(expectedState(reached))
    await replayInto(state.level, groupsOf(reached + 1, 5000))
    expect(await visibleState(state.level)).toEqual(expectedState(5000))
  })
})

async function* arrayOf(groups: LogRecord[][]): AsyncGenerator<LogRecord[]> {
  yield* groups
}
