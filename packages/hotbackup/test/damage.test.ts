import { readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { BackupResult } from '../src/index.ts'
import { copyOf, makeFolder, openUsedHome } from './fixture.ts'

const SEED = 7
const FLIPS = 100

let folder = ''
let target = ''
let backup: BackupResult
let names: string[] = []

beforeAll(async () => {
  folder = await makeFolder()
  target = join(folder, 'backup')
  const db = await openUsedHome(join(folder, 'home'), 200)
  backup = await hotbackup({ home: join(folder, 'home'), target })
  await db.close()
  names = ['backup.json', ...backup.manifest.files.map((file) => file.name)]
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Findings after a change to one file, which is then put back. */
async function findingsAfter(
  name: string,
  change: (path: string, content: Buffer) => Promise<void>,
): Promise<string[]> {
  const path = join(target, name)
  const content = await readFile(path)
  await change(path, content)
  try {
    return (await verifyBackup(target)).map((each) => `${each.code} ${each.name}`)
  } finally {
    await writeFile(path, content)
  }
}

describe('verifyBackup', () => {
  it('finds nothing in a whole backup', async () => {
    expect(await verifyBackup(target)).toEqual([])
  })

  it(`names the file in which a byte was flipped, at ${FLIPS} places`, async () => {
    let random = SEED
    const next = (bound: number): number => {
      random = (Math.imul(random, 1664525) + 1013904223) >>> 0
      return Math.floor((random / 2 ** 32) * bound)
    }
    for (let flip = 0; flip < FLIPS; flip += 1) {
      const name = names[flip % names.length] ?? ''
      const found = await findingsAfter(name, async (path, content) => {
        const changed = Buffer.from(content)
        const position = next(changed.length)
        changed[position] = (changed[position] ?? 0) ^ (1 << next(8))
        await writeFile(path, changed)
      })
      const code = name === 'backup.json' ? 'BACKUP_MANIFEST_DAMAGED' : 'BACKUP_FILE_CHECKSUM'
      expect(found).toEqual([`${code} ${name}`])
    }
  })

  it('names each file that was cut, lengthened or removed', async () => {
    for (const name of names) {
      const isManifest = name === 'backup.json'
      const length = isManifest ? 'BACKUP_MANIFEST_DAMAGED' : 'BACKUP_FILE_LENGTH'
      expect(
        await findingsAfter(name, (path, content) => truncate(path, Math.floor(content.length / 2))),
      ).toEqual([`${length} ${name}`])
      expect(await findingsAfter(name, (path) => truncate(path, 0))).toEqual([`${length} ${name}`])
      expect(
        await findingsAfter(name, (path, content) =>
          writeFile(path, Buffer.concat([content, Buffer.alloc(1)])),
        ),
      ).toEqual([`${length} ${name}`])
      expect(await findingsAfter(name, (path) => rm(path))).toEqual([
        `${isManifest ? 'BACKUP_MISSING' : 'BACKUP_FILE_MISSING'} ${name}`,
      ])
    }
  })

  it('names a file that does not belong to the set', async () => {
    const copy = await copyOf(target, join(folder, 'with-stranger'))
    await writeFile(join(copy, 'log', 'log.0000009999'), 'a log of somebody else')
    expect((await verifyBackup(copy)).map((each) => each.code)).toContain('BACKUP_FILE_UNLISTED')
  })

  it('says that a folder without a manifest is no backup', async () => {
    expect(await verifyBackup(join(folder, 'nowhere'))).toMatchObject([{ code: 'BACKUP_MISSING' }])
  })
})
