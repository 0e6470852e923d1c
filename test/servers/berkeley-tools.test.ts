/**
 * Berkeley DB's tools and ours in equal situations (rows B13 to B16). The table in docs/coming-from.md says what each does; here both do it,
 * and what was seen is compared with the table. `BERKELEY=write` puts what was seen into it.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../repository.ts'
import { hasBerkeley, here, opened, there, type Side } from './berkeley-sides.ts'
import { situations } from './berkeley-situations.ts'
import { canMount } from './small-disk.ts'

const documentPath = join(root, 'docs/coming-from.md')
const HEADING = '### Both, side by side'
let folder = ''
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-berkeley-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The rows of the table, by situation. */
function table(text: string): ReadonlyMap<string, readonly string[]> {
  const from = text.indexOf(HEADING)
  const section = text.slice(from, text.indexOf('\n## ', from))
  const rows = section.split('\n').filter((line) => line.startsWith('| '))
  return new Map(
    rows.slice(2).map((row) => {
      const [name = '', ...cells] = row.slice(2, -2).split(' | ')
      return [name, cells]
    }),
  )
}

async function seenOn(side: Side, name: string): Promise<string> {
  const path = (what: string): string => join(folder, `${String((count += 1))}-${what}`)
  try {
    return (await situations[name]?.({ side, path })) ?? 'no such situation'
  } finally {
    for (const home of opened.splice(0)) await home.close().catch(() => undefined)
  }
}

describe.skipIf(!hasBerkeley || !canMount)(
  'Berkeley DB’s tools and ours (needs db5.3-util, and root for a small disk)',
  () => {
    test('the table has a row for each situation, and no other', () => {
      expect([...table(readFileSync(documentPath, 'utf8')).keys()]).toEqual(Object.keys(situations))
    })

    test.each(Object.keys(situations))('%s', async (name) => {
      const seen = [await seenOn(there, name), await seenOn(here, name)]
      if (process.env['BERKELEY'] === 'write') write(name, seen)
      expect(table(readFileSync(documentPath, 'utf8')).get(name)).toEqual(seen)
    })
  },
)

function write(name: string, cells: readonly string[]): void {
  const text = readFileSync(documentPath, 'utf8')
  const row = `| ${[name, ...cells].join(' | ')} |`
  const old = table(text).get(name)
  const from = text.indexOf(HEADING)
  const end = text.indexOf('\n## ', from)
  const added = old === undefined ? `${text.slice(0, end).trimEnd()}\n${row}\n${text.slice(end)}` : text
  const before = old === undefined ? undefined : `| ${[name, ...old].join(' | ')} |`
  writeFileSync(documentPath, before === undefined ? added : text.replace(before, () => row))
}
