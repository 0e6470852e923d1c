/** What OpenEdge does, row by row of docs/coming-from.md, through the public API and the command. */
import { TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-openedge-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('O13: proquiet', () => {
  test('quiesce and resume, with a maximum length', async () => {
    const db = new TimberLevel(at('quiet'))
    await db.put('a', '1')
    expect((await timberline(['quiesce', '-h', at('quiet'), '--max-seconds', '3600'])).out).toMatch(
      /^quiesced at LSN \d+, until 2/,
    )
    const waiting = db.put('a', '2')
    expect(await db.get('a')).toBe('1')
    expect((await timberline(['stat', '-h', at('quiet')])).out).toContain('PAUSED')
    expect((await timberline(['resume', '-h', at('quiet')])).out).toMatch(/^resumed after /)
    await waiting
    await timberline(['quiesce', '-h', at('quiet'), '--max-seconds', '0.1'])
    await db.put('a', '3')
    const late = await timberline(['resume', '-h', at('quiet')])
    expect(late).toMatchObject({ code: 5, err: expect.stringContaining('ENGINE_QUIESCE_ENDED') })
    await db.close()
  })
})

describe('O14: several databases at one logical point', () => {
  test('a mark over two homes, to which each is recovered', async () => {
    const [orders, stock] = [new TimberLevel(at('orders')), new TimberLevel(at('stock'))]
    const copy = async (name: string, ...words: string[]): Promise<void> => {
      await outcome(['hotbackup', '-h', at(name), '-b', at(`${name}-backup`), ...words])
    }
    await orders.put('order', '1')
    await stock.put('order', '1')
    for (const name of ['orders', 'stock']) await copy(name)
    expect(await outcome(['mark', 'both', '-h', at('orders'), '-h', at('stock')])).toMatchObject({
      name: 'both',
      marks: [{ participant: at('orders') }, { participant: at('stock') }],
    })
    await orders.put('order', '2')
    await stock.put('order', '2')
    for (const name of ['orders', 'stock']) {
      await copy(name, '-u')
      const words = [
        'recover',
        '--from',
        at(`${name}-backup`),
        '-h',
        at(`${name}-then`),
        '--until-mark',
        'both',
      ]
      await outcome([...words, '--through'])
      const then = new TimberLevel(at(`${name}-then`))
      expect(await then.get('order')).toBe('1')
      await then.close()
    }
    await orders.close()
    await stock.close()
  })
})
