/**
 * Virtuoso's backup_online and our volumes in equal situations (rows V1 to V10). The table in docs/coming-from.md says what each does; here
 * both do it, and what was seen is compared with the table. `VIRTUOSO=write` puts what was seen into it.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { tableBelow, writeRow } from './side-by-side.ts'
import { canMount } from './small-disk.ts'
import { hasVirtuoso } from './virtuoso-server.ts'
import { type BackupSide, timberlineSide, virtuosoSide } from './virtuoso-sides.ts'
import { type Place, situations, wholeSeries } from './virtuoso-situations.ts'

const HEADING = '### Volumes, side by side'
let root = ''
let count = 0
const path = (): string => join(root, String((count += 1)))
let sides: readonly Place[] = []

async function placeOf(side: BackupSide): Promise<Place> {
  const folder = async (): Promise<string> => {
    const made = path()
    await mkdir(made)
    return made
  }
  return { side, path, folder, whole: await wholeSeries(side, path(), path()) }
}

describe.skipIf(!hasVirtuoso || !canMount)(
  'Virtuoso’s backups and ours (needs virtuoso-opensource-7-bin, and root for a small disk)',
  () => {
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'timberline-virtuoso-'))
      sides = [await placeOf(await virtuosoSide(path())), await placeOf(await timberlineSide(path()))]
    })
    afterAll(async () => {
      for (const { side } of sides) await side.end()
      await rm(root, { recursive: true, force: true })
    })

    test('the table has a row for each situation, and no other', () => {
      expect([...tableBelow(HEADING).keys()]).toEqual(Object.keys(situations))
    })

    test.each(Object.keys(situations))('%s', async (name) => {
      const seen: string[] = []
      for (const place of sides) seen.push((await situations[name]?.(place)) ?? 'no such situation')
      if (process.env['VIRTUOSO'] === 'write') writeRow(HEADING, name, seen)
      expect(tableBelow(HEADING).get(name)).toEqual(seen)
    })
  },
)
