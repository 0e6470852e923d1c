import { TimberlineError } from '@timberline/wal'
import fc from 'fast-check'
import { unpack } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { codeOf } from '../src/errors.ts'
import { RESERVED_FLOOR } from '../src/reserved-keys.ts'
import { TransactionEncoder, decodeTransaction, encodeTransaction } from '../src/records/transaction-codec.ts'
import type { OperationInput } from '../src/records/transaction-codec.ts'

const bytes = fc.uint8Array({ maxLength: 400 }).filter((key) => key[0] !== 0xff)
const text = fc.string({ unit: 'binary', maxLength: 300 })
const datum = fc.oneof(bytes, text)
const operation: fc.Arbitrary<OperationInput> = fc.oneof(
  fc.record({ type: fc.constant('put' as const), key: datum, value: datum }),
  fc.record({ type: fc.constant('del' as const), key: datum }),
)
const meta = fc.oneof(
  fc.constant(undefined),
  fc.jsonValue({ maxDepth: 4 }).filter((value) => !JSON.stringify(value).includes('__proto__')),
)

const asBuffer = (data: string | Uint8Array): Buffer =>
  typeof data === 'string' ? Buffer.from(data) : Buffer.from(data)

describe('a transaction', () => {
  test('comes back as it went in, strings as UTF-8', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 20 }), meta, (operations, said) => {
        const decoded = decodeTransaction(encodeTransaction({ operations, meta: said }))
        expect(decoded.operations).toEqual(
          operations.map((one) =>
            one.type === 'put'
              ? { type: 'put', key: asBuffer(one.key), value: asBuffer(one.value) }
              : { type: 'del', key: asBuffer(one.key) },
          ),
        )
        // JSON knows no negative zero; MessagePack does.
        expect(JSON.stringify(decoded.meta)).toBe(JSON.stringify(said))
      }),
    )
  })

  test('is MessagePack that another library reads', () => {
    const payload = encodeTransaction({
      operations: [
        { type: 'put', key: 'a', value: 'é' },
        { type: 'put', key: Buffer.alloc(300, 1), value: Buffer.alloc(70_000, 2) },
        { type: 'del', key: 'b' },
      ],
      meta: { actor: 'import-7' },
    })
    expect(unpack(payload)).toEqual([
      1,
      [
        Buffer.from('a'),
        Buffer.from('é'),
        Buffer.alloc(300, 1),
        Buffer.alloc(70_000, 2),
        Buffer.from('b'),
        null,
      ],
      { actor: 'import-7' },
    ])
  })

  test('has the bytes that FORMAT.md shows', () => {
    const operations: OperationInput[] = [
      { type: 'put', key: 'a', value: '1' },
      { type: 'del', key: 'b' },
    ]
    expect(encodeTransaction({ operations }).toString('hex')).toBe('9201dd00000004c40161c40131c40162c0')
    expect(encodeTransaction({ operations: [], meta: true }).toString('hex')).toBe('9301dd00000000c3')
  })

  test('encoded before stays what it was, and its changes too, whatever is encoded after it', () => {
    const encoder = new TransactionEncoder(64)
    const key = Buffer.from('key')
    const kept: { payload: Buffer; hex: string; change: unknown }[] = []
    for (let round = 0; round < 500; round += 1) {
      encoder.begin()
      const value = Buffer.alloc(round % 97, round)
      const change = encoder.put(key, value)
      const payload = encoder.end()
      kept.push({ payload, hex: payload.toString('hex'), change })
      value.fill(0xee)
    }
    kept.forEach(({ payload, hex, change }, round) => {
      expect(payload.toString('hex')).toBe(hex)
      expect(change).toEqual({ key: new Uint8Array(key), value: new Uint8Array(round % 97).fill(round) })
    })
  })

  test('that is no transaction ends in a typed error, in bounded memory', () => {
    const whole = encodeTransaction({
      operations: [{ type: 'put', key: 'a', value: 'b' }],
      meta: { a: [1, 'x'] },
    })
    const mutated = fc
      .tuple(fc.nat(whole.length - 1), fc.nat(255), fc.nat(whole.length))
      .map(([at, byte, length]) => {
        const copy = Buffer.from(whole)
        copy[at] = byte
        return copy.subarray(0, length)
      })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutated), (payload) => {
        expect(thrownBy(() => decodeTransaction(payload)) ?? typed).toBeInstanceOf(TimberlineError)
      }),
      { numRuns: 2000 },
    )
    // Counts and lengths of four billion in a few bytes.
    for (const hex of [
      '9201ddfffffffe',
      '9201dd00000002c6ffffffff',
      '9301dd00000000dfffffffff',
      '9301dd00000000c6ffffffff',
    ]) {
      expect(() => decodeTransaction(Buffer.from(hex, 'hex'))).toThrow(TimberlineError)
    }
    expect(() =>
      decodeTransaction(Buffer.concat([Buffer.from('9301dd00000000', 'hex'), Buffer.alloc(5000, 0x91)])),
    ).toThrow(TimberlineError)
  })

  test('with a key in the engine’s zone is refused when it is read, so that no replay can forge the applied position', () => {
    const key = Buffer.concat([RESERVED_FLOOR, Buffer.from('applied')])
    const payload = encodeTransaction({ operations: [{ type: 'put', key, value: 'x' }] })
    expect(thrownCode(() => decodeTransaction(payload))).toBe('ENGINE_RECORD_DAMAGED')
  })

  test('of a later format version is refused by name', () => {
    expect(thrownCode(() => decodeTransaction(Buffer.from('9202dd00000000', 'hex')))).toBe(
      'ENGINE_RECORD_FORMAT',
    )
  })
})

describe('meta', () => {
  test('keeps dates, bytes and big numbers', () => {
    const said = {
      at: new Date(1_700_000_000_123),
      bytes: Buffer.from('x'),
      count: 2n ** 60n,
      list: [null, true, 1.5],
    }
    expect(decodeTransaction(encodeTransaction({ operations: [], meta: said })).meta).toEqual(said)
  })

  test.each([
    ['a function', (): void => undefined],
    ['a regular expression', /x/],
    ['a set', new Set([1])],
    ['an error', new Error('x')],
  ])('refuses %s when it is written, not when it is read', (_, said) => {
    expect(thrownCode(() => encodeTransaction({ operations: [], meta: said }))).toBe('ENGINE_META_INVALID')
  })

  test('refuses nesting without end', () => {
    let said: unknown = 1
    for (let depth = 0; depth < 100; depth += 1) said = [said]
    expect(thrownCode(() => encodeTransaction({ operations: [], meta: said }))).toBe('ENGINE_META_INVALID')
  })
})

const typed = new TimberlineError('stands for no error', { code: 'NONE', kind: 'invalid' })

function thrownBy(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return error
  }
  return undefined
}

function thrownCode(call: () => unknown): string | undefined {
  return codeOf(thrownBy(call))
}
