/**
 * Berkeley DB's tools and ours in equal situations (rows B13 to B16). The table in docs/coming-from.md says what each does; here both do it,
 * and what was seen is compared with the table. `BERKELEY=write` puts what was seen into it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasBerkeley, here, opened, there, type Side } from './berkeley-sides.ts'
import { situations } from './berkeley-situations.ts'
import { tableBelow, writeRow } from './side-by-side.ts'
import { canMount } from './small-disk.ts'

const HEADING = '### Both, side by side'
let folder = ''
let count = 0

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-berkeley-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

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
      expect([...tableBelow(HEADING).keys()]).toEqual(Object.keys(situations))
    })

    test.each(Object.keys(situations))('%s', async (name) => {
      const seen = [await seenOn(there, name), await seenOn(here, name)]
      if (process.env['BERKELEY'] === 'write') writeRow(HEADING, name, seen)
      expect(tableBelow(HEADING).get(name)).toEqual(seen)
    })
  },
)
