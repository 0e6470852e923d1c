/** What none of the four systems does: one test for each row, through the public API or the command. */
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { describe, expect, it } from 'vitest'
import { outcome } from '../../packages/cli/test/terminal.ts'
import { withFolder } from '../../packages/hotbackup/test/fixture.ts'
import { hotPlainCopies } from '../../packages/hotbackup/test/hot-plain-copies.ts'

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
