/** What none of the four systems does: one test for each row, through the public API or the command. */
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { ClassicLevel } from 'classic-level'
import { describe, expect, it } from 'vitest'
import { outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { withFolder } from '../../packages/hotbackup/test/fixture.ts'
import { hotPlainCopies } from '../../packages/hotbackup/test/hot-plain-copies.ts'

describe('X3: history of a key across the archived log', () => {
  it('X3: shows each transaction that changed it, and the state just before one can be had back', async () => {
    await withFolder(async (folder) => {
      const [home, archive] = [join(folder, 'home'), join(folder, 'archive')]
      await using db = new TimberLevel<string, string>(home)
      await db.put('ship', 'Vasa')
      const { lsn: base } = await hotbackupInto(archive, home)
      await db.put('worm', 'x')
      const { lastLsn: worm } = await db.homeStatus()
      await db.batch([{ type: 'put', key: 'ship', value: 'sunk' }], { meta: { actor: 'import-7' } })
      await db.del('ship')
      // What is shipped from a live home is all but the last moment.
      await db.close()
      await ends0(['archive', 'run', '-h', home, '-a', archive, '--once'])
      const { out } = await timberline(['history', '-a', archive, '-k', 'ship', '--json'])
      const changes = JSON.parse(out) as { lsn: number; committedAt: string }[]
      expect(changes).toMatchObject([
        { beforeState: 'unknown', after: 'Vasa' },
        { before: 'Vasa', after: 'sunk', meta: { actor: 'import-7' } },
        { before: 'sunk', afterState: 'absent' },
      ])
      const bad = changes[1]?.lsn ?? 0
      expect(bad).toBeGreaterThan(base)
      const back = join(folder, 'back')
      await ends0(['recover', '--from', archive, '-h', back, '--until-lsn', String(bad), '--before'])
      await using recovered = new TimberLevel<string, string>(back)
      expect(await recovered.get('ship')).toBe('Vasa')
      const check = '! grep -rqa worm "$TIMBERLINE_HOME"'
      const found = await outcome(['bisect', '-a', archive, '--good', String(base), '--check', check])
      expect(found).toMatchObject({ firstBad: { lsn: worm, operations: 1 } })
    })
  })
})

/** Makes an archive with a base backup. */
async function hotbackupInto(archive: string, home: string): Promise<{ lsn: number }> {
  await ends0(['archive', 'init', '-h', home, '-a', archive])
  const { lsn } = await outcome(['hotbackup', '-h', home, '-a', archive])
  return { lsn: Number(lsn) }
}

async function ends0(words: readonly string[]): Promise<void> {
  const { code, err } = await timberline(words)
  expect(`${String(code)} ${code === 0 ? '' : err}`).toBe('0 ')
}

describe('X9: a hot copy of any live LevelDB folder, whoever wrote the application', () => {
  it('X9: opens anywhere, while its application goes on writing', async () => {
    await withFolder(async (folder) => {
      const application = new ClassicLevel<string, string>(join(folder, 'application'))
      await application.put('ship', 'Vasa')
      const copy = join(folder, 'copy')
      const copied = await outcome(['hotbackup', '--plain', join(folder, 'application'), '-b', copy])
      expect(copied).toMatchObject({
        logRecordCount: 1,
        promise: expect.stringContaining('a prefix of the writes'),
      })
      await application.put('ship', 'Mary Rose')
      await using opened = new ClassicLevel<string, string>(copy)
      expect(await opened.get('ship')).toBe('Vasa')
      await application.close()
    })
  })

  it('X9: is a prefix of the writes, with all that was acknowledged, under load and kills', async () => {
    const { failures, kills } = await hotPlainCopies({ copies: 10, killEveryMs: 500 })
    expect(failures).toEqual([])
    expect(kills).toBeGreaterThan(0)
  })
})
