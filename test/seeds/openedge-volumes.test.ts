/** What OpenEdge does with volumes and error-correction blocks, a row of docs/coming-from.md, through the command. */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { outcome, timberline } from '../../packages/cli/test/terminal.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-openedge-volumes-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('O20: volumes, error-correction blocks and compression', () => {
  test('any one volume of a group may be lost or damaged; it is made anew, proved, and told', async () => {
    const dir = at('volumes')
    await mkdir(dir)
    const db = new TimberLevel(at('parity'))
    // 4 MiB of hexadecimal digits, which a compressor halves.
    for (let n = 0; n < 64; n += 1) await db.put(`key ${String(n)}`, randomBytes(32_768).toString('hex'))
    const words = ['--prefix', 'z', '--volume-pages', '100', '--dirs', dir]
    const { volumes } = (await outcome(['hotbackup', '-h', at('parity'), ...words, '--parity', '4'])) as {
      volumes: { paths: string[]; parityPaths: string[]; pages: number }
    }
    const { paths, parityPaths, pages } = volumes
    expect(parityPaths).toHaveLength(Math.ceil(paths.length / 4))
    const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size))
    expect(sizes.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(0.7 * pages * 8192)
    const restore = (home: string): ReturnType<typeof timberline> =>
      timberline(['recover', '--from-volumes', 'z', '--dirs', dir, '-h', at(home)])
    const [first = '', second = ''] = paths
    await rename(first, at('spare'))
    const plan = ['recover', '--from-volumes', 'z', '--dirs', dir, '-h', at('planned'), '--plan']
    const planned = await timberline([...plan, '--json'])
    expect(planned).toMatchObject({ code: 0, err: expect.stringContaining('z1.bp is missing; it was made') })
    expect(JSON.parse(planned.out)).toMatchObject({ warnings: [expect.stringContaining('z1-4.parity')] })
    await expect(stat(at('planned'))).rejects.toMatchObject({ code: 'ENOENT' })
    const missing = await restore('without-one')
    expect(missing.err).toContain('z1.bp is missing; it was made anew from z1-4.parity')
    expect(missing.out).toContain('equal to what the backup recorded')
    await rename(at('spare'), first)
    const damaged = await readFile(second)
    damaged[1000] = (damaged[1000] ?? 0) ^ 1
    await writeFile(second, damaged)
    expect((await restore('with-damage')).err).toContain('z2.bp is damaged; it was made anew')
    await rename(first, at('spare'))
    const both = await restore('without-two')
    expect(both).toMatchObject({ code: 4, err: expect.stringContaining('ARCHIVE_VOLUME_MISSING') })
    expect(both.err).toContain('name=z1.bp')
    await db.close()
  })
})
