import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { refuseOverlap, settledPath } from '../src/sink/target-check.ts'

let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-target-'))
  await mkdir(join(folder, 'home', 'log'), { recursive: true })
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function check(target: string): Promise<void> {
  return refuseOverlap(join(folder, target), { home: join(folder, 'home') })
}

const overlaps = { code: 'HOTBACKUP_TARGET_OVERLAPS', kind: 'invalid' }

describe('refuseOverlap', () => {
  it('refuses the home itself, however it is spelled', async () => {
    await symlink(join(folder, 'home'), join(folder, 'alias'))
    await expect(check('home')).rejects.toMatchObject(overlaps)
    await expect(check('home/')).rejects.toMatchObject(overlaps)
    await expect(check('home/../home/.')).rejects.toMatchObject(overlaps)
    await expect(check('alias')).rejects.toMatchObject(overlaps)
  })

  it('refuses a target inside the home, existing or not, also by way of a link', async () => {
    await symlink(join(folder, 'home', 'log'), join(folder, 'logs'))
    await expect(check('home/log')).rejects.toMatchObject(overlaps)
    await expect(check('home/backups/new')).rejects.toMatchObject(overlaps)
    await expect(check('home/..new')).rejects.toMatchObject(overlaps)
    await expect(check('home/c:new')).rejects.toMatchObject(overlaps)
    await expect(check('logs/new/deeper')).rejects.toMatchObject(overlaps)
  })

  it('refuses a target that contains the home', async () => {
    await expect(check('.')).rejects.toMatchObject(overlaps)
    await expect(check('..')).rejects.toMatchObject(overlaps)
  })

  it('accepts a neighbour whose name begins alike', async () => {
    const good = ['home2', 'home.partial', '..home', 'new/deeper']
    expect(await Promise.all(good.map((each) => check(each)))).toHaveLength(good.length)
  })
})

describe('settledPath', () => {
  it('resolves the links of the part that exists', async () => {
    await symlink(join(folder, 'home'), join(folder, 'alias'))
    expect(await settledPath(join(folder, 'alias', 'a', 'b'))).toBe(
      await settledPath(join(folder, 'home', 'a', 'b')),
    )
  })
})
