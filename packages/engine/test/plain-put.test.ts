// What abstract-level's own suite does not ask of `put`: that the short way is left and taken again between two calls.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeOf } from '../src/errors.ts'
import { PlainPut } from '../src/commit/plain-put.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()
const db = new TimberLevel<string, string>(join(folder, 'home'))
beforeAll(() => db.open())
afterAll(() => db.close())

describe('a put', () => {
  test('resolves with nothing, whatever it was given, on the short way and on the long one', async () => {
    const results = [
      await db.put('a', '1'),
      await db.put('a', '2', { sync: false }),
      await db.put('a', '3', null as never),
      await db.del('b'),
    ]
    const listener = (): void => undefined
    db.on('write', listener)
    results.push(await db.put('a', '4'))
    db.off('write', listener)
    expect(results).toEqual([undefined, undefined, undefined, undefined, undefined])
    expect(await db.get('a')).toBe('4')
  })

  test('takes the short way while there is no hook and no listener, and an open database', async () => {
    const plain = new PlainPut(db)
    const isShort = async (): Promise<boolean> => {
      const put = plain.put('probe', '1', undefined)
      await put
      return put !== undefined
    }
    expect(await isShort()).toBe(true)
    const seen: unknown[] = []
    const listener = (operations: readonly { readonly value?: unknown }[]): void => {
      seen.push(...operations.map(({ value }) => value))
    }
    db.on('write', listener)
    expect(await isShort()).toBe(false)
    await db.put('a', 'told')
    db.off('write', listener)
    expect(await isShort()).toBe(true)
    const hook = (operation: { value?: unknown }): void => {
      operation.value = 'hooked'
    }
    db.hooks.prewrite.add(hook as never)
    expect(await isShort()).toBe(false)
    await db.put('a', 'asked')
    db.hooks.prewrite.delete(hook as never)
    expect(await isShort()).toBe(true)
    await db.put('b', 'plain')
    expect(seen).toEqual(['told'])
    expect(await db.getMany(['a', 'b'])).toEqual(['hooked', 'plain'])
    const opening = new TimberLevel(join(folder, 'opening'))
    expect(new PlainPut(opening).put('a', '1', undefined)).toBeUndefined()
    await opening.close()
  })

  test('uses the encodings of the call, and those of a sublevel', async () => {
    await db.put('a', { n: 1 }, { valueEncoding: 'json' })
    await db.put(Buffer.from('b'), Buffer.from('2'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
    await db.sublevel<string, { n: number }>('s', { valueEncoding: 'json' }).put('c', { n: 3 })
    expect(await db.getMany(['a', 'b', '!s!c'])).toEqual(['{"n":1}', '2', '{"n":3}'])
  })

  test('rejects what it refuses, and never throws', async () => {
    const big = BigInt(1)
    const refused = [
      db.put(null as never, '1'),
      db.put('a', undefined as never),
      db.put('a', '1', { valueEncoding: 'nonesuch' }),
      db.put('a', { big }, { valueEncoding: 'json' }),
      db.put('a', '1', { durability: 'archived' }),
    ]
    const codes = await Promise.all(
      refused.map((put) =>
        put.then(
          () => 'kept',
          (error: unknown) => codeOf(error) ?? String(error),
        ),
      ),
    )
    expect(codes).toEqual([
      'LEVEL_INVALID_KEY',
      'LEVEL_INVALID_VALUE',
      'LEVEL_ENCODING_NOT_FOUND',
      'TypeError: Do not know how to serialize a BigInt',
      'ENGINE_OPTION_INVALID',
    ])
  })
})
