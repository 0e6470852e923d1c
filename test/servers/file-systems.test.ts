/** Backups to real file systems: a small tmpfs, mounted for the test. Needs root, as `tools/test-servers.sh` runs it. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TimberLevel } from '@timberline/engine'
import { hotbackup, verifyBackup } from '@timberline/hotbackup'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const SMALL = '512k'
const ROOMY = '64m'

let folder = ''
let home = ''
let mounted: string[] = []
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-file-systems-'))
  home = join(folder, 'home')
  db = new TimberLevel<string, string>(home)
  await db.open()
  await fill(2000)
})

afterEach(async () => {
  await db.close()
  for (const path of mounted) execFileSync('umount', [path])
  mounted = []
  await rm(folder, { recursive: true, force: true })
})

/** Records that do not compress, about 1 KB each. */
async function fill(count: number): Promise<void> {
  let state = 1
  for (let index = 0; index < count; index += 1) {
    let value = ''
    while (value.length < 1000) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0
      value += state.toString(36)
    }
    await db.put(`record-${String(index).padStart(6, '0')}`, value, { sync: false })
  }
  await db.checkpoint()
}

async function mount(bytes: string): Promise<string> {
  const path = join(folder, `disk-${bytes}`)
  await mkdir(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path])
  mounted.push(path)
  return path
}

describe.skipIf(process.getuid?.() !== 0)('a backup to another file system (mounting needs root)', () => {
  test('stands there, and is updated and replaced there', async () => {
    const disk = await mount(ROOMY)
    const target = join(disk, 'backup')
    const first = await hotbackup({ home, target })
    expect(await verifyBackup(target)).toEqual([])
    await db.put('later', 'value')
    const updated = await hotbackup({ home, target, update: true })
    expect(updated.lsn).toBeGreaterThan(first.lsn)
    await hotbackup({ home, target })
    expect(await verifyBackup(target)).toEqual([])
    expect(await readdir(disk)).toEqual(['backup'])
  })

  test('that is full leaves nothing, and says what to do', async () => {
    const disk = await mount(SMALL)
    await expect(hotbackup({ home, target: join(disk, 'backup') })).rejects.toMatchObject({
      code: 'HOTBACKUP_NO_SPACE',
      kind: 'unavailable',
      hint: expect.stringContaining('free space') as string,
    })
    expect(await readdir(disk)).toEqual([])
    expect((await readdir(home)).filter((name) => name.startsWith('staging.'))).toEqual([])
  })

  test('that becomes full while an older backup is being replaced keeps the older one', async () => {
    const { bytes } = await hotbackup({ home, target: join(folder, 'measured'), digest: false })
    const disk = await mount(`${Math.ceil((bytes * 1.5) / 1024)}k`)
    const target = join(disk, 'backup')
    const { lsn } = await hotbackup({ home, target, digest: false })
    await db.put('later', 'value')
    await expect(hotbackup({ home, target, digest: false })).rejects.toMatchObject({
      code: 'HOTBACKUP_NO_SPACE',
    })
    expect(await verifyBackup(target)).toEqual([])
    expect(await readdir(disk)).toEqual(['backup'])
    const updated = await hotbackup({ home, target, update: true, digest: false })
    expect(updated.lsn).toBeGreaterThan(lsn)
    expect(await verifyBackup(target)).toEqual([])
  })
})
