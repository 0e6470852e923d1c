/** The writes of a history: calls on a database, each with the records that the model foretells of it. */
import type { TimberMemoryLevel } from '@timberline/engine'
import fc from 'fast-check'
import { type Change, contentAt, type Entry } from './history-model.ts'

/** One record that a call is expected to write. */
export interface Planned {
  readonly kind: 'entry' | 'mark'
  readonly changes: readonly Change[]
  readonly name?: string
  readonly id: number
  /** Whether its acknowledgement promises that it is durable. */
  readonly durable: boolean
}

/** One call on the database, and the records that it writes; none when there is nothing to do. */
export interface Call {
  readonly planned: readonly Planned[]
  readonly run: (db: TimberMemoryLevel) => Promise<unknown>
}

/** Gives each call a number of its own. */
export interface Ids {
  newId(): number
}

/** Calls that are made at once; what they write depends on what stands there. */
export interface DrawnWrite {
  readonly kind: string
  readonly text: string
  readonly calls: (ids: Ids, records: readonly Entry[]) => readonly Call[]
}

const MARKS = ['m', 'n', 'o']
const key = fc.constantFrom('a', 'b', 'c', 'd')
const digit = fc.nat(9)

function writing(kind: string, drawn: fc.Arbitrary<Omit<DrawnWrite, 'kind'>>): fc.Arbitrary<DrawnWrite> {
  return drawn.map((write) => ({ kind, ...write }))
}

function entry(changes: readonly Change[], id: number, durable = true): Planned {
  return { kind: 'entry', changes, id, durable }
}

function putCall(ids: Ids, [name, value]: readonly [string, string], sync = true): Call {
  const id = ids.newId()
  return {
    planned: [entry([[name, value]], id, sync)],
    run: (db) => db.put(name, value, { meta: id, sync }),
  }
}

const put = writing(
  'put',
  fc.tuple(key, digit).map(([name, value]) => ({
    text: `put(${name}, ${value})`,
    calls: (ids) => [putCall(ids, [name, String(value)])],
  })),
)

const putLazily = writing(
  'put without sync',
  fc.tuple(key, digit).map(([name, value]) => ({
    text: `put(${name}, ${value}, no sync)`,
    calls: (ids) => [putCall(ids, [name, String(value)], false)],
  })),
)

const putLarge = writing(
  'put large',
  fc.tuple(key, digit).map(([name, value]) => ({
    text: `put(${name}, 2500 times ${value})`,
    calls: (ids) => [putCall(ids, [name, String(value).repeat(2500)])],
  })),
)

const del = writing(
  'del',
  key.map((name) => ({
    text: `del(${name})`,
    calls: (ids) => {
      const id = ids.newId()
      return [{ planned: [entry([[name, undefined]], id)], run: (db) => db.del(name, { meta: id }) }]
    },
  })),
)

const batch = writing(
  'batch',
  fc.tuple(key, key, digit).map(([first, second, value]) => ({
    text: `batch(put ${first} ${value}, del ${second})`,
    calls: (ids) => {
      const id = ids.newId()
      const changes: Change[] = [
        [first, String(value)],
        [second, undefined],
      ]
      const operations = [
        { type: 'put' as const, key: first, value: String(value) },
        { type: 'del' as const, key: second },
      ]
      return [{ planned: [entry(changes, id)], run: (db) => db.batch(operations, { meta: id }) }]
    },
  })),
)

const burst = writing(
  'burst',
  fc.array(fc.tuple(key, digit, fc.boolean()), { minLength: 2, maxLength: 5 }).map((writes) => ({
    text: `at once ${writes.map(([name, value, sync]) => `put(${name}, ${value}${sync ? '' : ', no sync'})`).join(' ')}`,
    calls: (ids) => writes.map(([name, value, sync]) => putCall(ids, [name, String(value)], sync)),
  })),
)

function increment(name: string): (db: TimberMemoryLevel) => Promise<unknown> {
  return (db) =>
    db.transaction(async (tx) => {
      await tx.put(name, String(Number((await tx.get(name)) ?? 0) + 1))
    })
}

const transaction = writing(
  'transaction',
  fc.tuple(key, fc.integer({ min: 1, max: 2 })).map(([name, times]) => ({
    text: times === 1 ? `transaction(${name} + 1)` : `transactions at once(${name} + 1, ${name} + 1)`,
    calls: (_, records) => {
      const now = Number(contentAt(records, records.length).get(name) ?? 0)
      const planned = Array.from({ length: times }, (__, index) =>
        entry([[name, String(now + index + 1)]], 0),
      )
      return [{ planned, run: (db) => incrementAtOnce(db, name, times) }]
    },
  })),
)

/** One call for the model: which of the transactions comes first is theirs to decide. */
async function incrementAtOnce(db: TimberMemoryLevel, name: string, times: number): Promise<void> {
  const results = await Promise.allSettled(Array.from({ length: times }, () => increment(name)(db)))
  for (const result of results) if (result.status === 'rejected') throw result.reason
}

const clear = writing(
  'clear',
  fc.tuple(key, key).map(([one, other]) => {
    const [gte, lte] = one < other ? [one, other] : [other, one]
    return {
      text: `clear(${gte} to ${lte})`,
      calls: (_, records) => {
        const present = [...contentAt(records, records.length).keys()].toSorted()
        const gone = present
          .filter((name) => gte <= name && name <= lte)
          .map((name): Change => [name, undefined])
        return [{ planned: gone.length === 0 ? [] : [entry(gone, 0)], run: (db) => db.clear({ gte, lte }) }]
      },
    }
  }),
)

const mark = writing(
  'mark',
  fc.constantFrom(...MARKS).map((name) => ({
    text: `mark(${name})`,
    calls: () => [
      {
        planned: [{ kind: 'mark' as const, changes: [], name, id: 0, durable: true }],
        run: (db) => db.mark(name),
      },
    ],
  })),
)

/** Any write, the frequent ones first; numbers are weights. */
export const anyWrite: fc.Arbitrary<DrawnWrite> = fc.oneof(
  { weight: 6, arbitrary: put },
  { weight: 4, arbitrary: burst },
  { weight: 3, arbitrary: putLazily },
  { weight: 3, arbitrary: putLarge },
  { weight: 2, arbitrary: del },
  { weight: 2, arbitrary: batch },
  { weight: 3, arbitrary: transaction },
  { weight: 2, arbitrary: clear },
  { weight: 4, arbitrary: mark },
)
