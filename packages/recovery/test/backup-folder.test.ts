import { copyFile, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createArchive, memoryStore } from '@timberline/archive'
import { homeLayout, lockHome, readHomeIdentity } from '@timberline/engine'
import { type FileSystem, nodeFileSystem, segmentName } from '@timberline/wal'
import { failOn, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { recover } from '../src/index.ts'
import { backupTo, contentOf, digestOf, Environment, scratchFolder, sha256, ship } from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly backup: string
}

/** A backup folder: a checkpoint at 5, a sealed segment and an open one behind it, 14 records in all. */
async function scene(): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(5)
  const checkpoint = await env.checkpoint()
  await env.writeMany(4)
  await env.log.roll()
  await env.writeMany(3)
  await env.mark('inside')
  await env.writeMany(1)
  const backup = join(folder, 'backup')
  await backupTo(env, backup, { checkpoint })
  return { folder, env, backup }
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'not refused'
}

/** Names and hashes of all files, to prove that nothing was touched. */
async function fingerprint(directory: string): Promise<string> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const lines = entries
    .filter((entry) => entry.isFile())
    .map(
      async (entry) =>
        `${entry.parentPath}/${entry.name} ${sha256(await readFile(join(entry.parentPath, entry.name)))}`,
    )
  return (await Promise.all(lines)).toSorted((a, b) => (a < b ? -1 : 1)).join('\n')
}

describe('a new home from a backup folder alone', () => {
  test('has exactly the state at the end of the backup, and leaves the backup as it was', async () => {
    const { folder, env, backup } = await scene()
    const before = await fingerprint(backup)
    const home = join(folder, 'restored')
    const report = await recover({ from: { backup }, home })
    expect(report).toMatchObject({
      lsn: 14,
      timeline: 2,
      parent: { timeline: 1, forkLsn: 14 },
      inPlace: false,
    })
    expect(report.proofs).toEqual([{ lsn: 14, hex: digestOf(env.content(14), 14).hex, recordedBy: 'backup' }])
    expect(await contentOf(home)).toEqual(env.content(14))
    expect(await readHomeIdentity(home)).toMatchObject({ timeline: 2, archiving: false })
    expect(await fingerprint(backup)).toBe(before)
  })

  test('every LSN from the checkpoint on can be had, and marks', async () => {
    const { folder, env, backup } = await scene()
    for (let lsn = 5; lsn <= 14; lsn++) {
      const home = join(folder, `r${lsn}`)
      await recover({ from: { backup }, home, target: { type: 'lsn', lsn, edge: 'through' } })
      expect(await contentOf(home)).toEqual(env.content(lsn))
    }
    const report = await recover({
      from: { backup },
      home: join(folder, 'm'),
      target: { type: 'mark', name: 'inside', edge: 'before' },
    })
    expect(report.lsn).toBe(12)
  })

  test('ends where the manifest ends, whatever log an update that was cut off has put behind', async () => {
    const { folder, env, backup } = await scene()
    await env.writeMany(2)
    await env.log.roll()
    await env.writeMany(3)
    const { logDirectory } = homeLayout(env.home)
    for (const name of [segmentName(2), segmentName(3)])
      await copyFile(join(logDirectory, name), join(backup, 'log', name))
    const home = join(folder, 'restored')
    expect(await recover({ from: { backup }, home })).toMatchObject({ lsn: 14 })
    expect(await contentOf(home)).toEqual(env.content(14))
    await expect(
      recover({
        from: { backup },
        home: join(folder, 'later'),
        target: { type: 'lsn', lsn: 15, edge: 'through' },
      }),
    ).rejects.toMatchObject({ kind: 'gap' })
    // What does belong to the set is verified as ever.
    const path = join(backup, 'log', segmentName(2))
    const content = await readFile(path)
    content[120] = (content[120] ?? 0) ^ 1
    await writeFile(path, content)
    expect(await codeOf(recover({ from: { backup }, home: join(folder, 'damaged') }))).toBe(
      'RECOVERY_SOURCE_DAMAGED',
    )
  })

  test('before the checkpoint is refused, never replaced by it', async () => {
    const { folder, backup } = await scene()
    const attempt = recover({
      from: { backup },
      home: join(folder, 'x'),
      target: { type: 'lsn', lsn: 4, edge: 'through' },
    })
    expect(await codeOf(attempt)).toBe('RECOVERY_NO_BASE')
  })

  test('a backup of a recovered home can be recovered', async () => {
    const { folder, env, backup } = await scene()
    const home = join(folder, 'second')
    await recover({ from: { backup }, home, target: { type: 'lsn', lsn: 9, edge: 'through' } })
    const branch = await Environment.recovered(home, env)
    await branch.writeMany(3)
    const second = join(folder, 'backup-2')
    await backupTo(branch, second)
    const report = await recover({ from: { backup: second }, home: join(folder, 'third') })
    expect(report).toMatchObject({ lsn: 13, timeline: 3, parent: { timeline: 2, forkLsn: 13 } })
    expect(await contentOf(join(folder, 'third'))).toEqual(branch.content(13))
  })
})

describe('a backup folder with an archive', () => {
  test('is the base, and the archive supplies the log behind it', async () => {
    const { folder, env, backup } = await scene()
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await env.log.roll()
    await env.writeMany(5)
    await ship(env, archive, { only: (number) => number >= 3 })
    const report = await recover({ from: { backup, archive }, home: join(folder, 'x') })
    expect(report).toMatchObject({ lsn: 19, base: { label: 'b1', lsn: 5 } })
    expect(await contentOf(join(folder, 'x'))).toEqual(env.content(19))
  })

  test('of another environment is refused', async () => {
    const { folder, backup } = await scene()
    const archive = await createArchive(memoryStore(), { environmentId: 'f'.repeat(32) })
    expect(await codeOf(recover({ from: { backup, archive }, home: join(folder, 'x') }))).toBe(
      'RECOVERY_ENVIRONMENT_MISMATCH',
    )
  })
})

describe('in place', () => {
  test('the backup becomes the home, and its label goes', async () => {
    const { env, backup } = await scene()
    const report = await recover({ from: { backup }, home: backup })
    expect(report).toMatchObject({ lsn: 14, inPlace: true, timeline: 2 })
    expect((await readdir(backup)).toSorted()).toEqual([
      'checkpoint',
      'data',
      'lock',
      'log',
      'timberline.json',
    ])
    expect(await contentOf(backup)).toEqual(env.content(14))
    expect(await codeOf(recover({ from: { backup }, home: backup }))).toBe('RECOVERY_SOURCE_MISSING')
  })

  test('under a live process it is refused', async () => {
    const { backup } = await scene()
    const lock = await lockHome(backup)
    expect(await codeOf(recover({ from: { backup }, home: backup }))).toBe('ENGINE_HOME_LOCKED')
    await lock.release()
  })

  test('a refusal leaves the backup as it was', async () => {
    const { backup } = await scene()
    const before = await fingerprint(backup)
    const target = { type: 'lsn', lsn: 99, edge: 'through' } as const
    expect(await codeOf(recover({ from: { backup }, home: backup, target }))).toBe(
      'RECOVERY_TARGET_AFTER_END',
    )
    for (const name of ['recovery.json', 'lock', 'recovery'])
      await rm(join(backup, name), { recursive: true, force: true })
    expect(await fingerprint(backup)).toBe(before)
  })

  test('no other recovery may begin in a backup that was marked', async () => {
    const { folder, env, backup } = await scene()
    await writeFile(
      join(backup, 'recovery.json'),
      JSON.stringify({ format: 1, phase: 'build', request: 'x' }),
    )
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await ship(env, archive)
    const other = join(folder, 'other-backup')
    await backupTo(env, other)
    expect(await codeOf(recover({ from: { backup: other }, home: backup }))).toBe('RECOVERY_TARGET_NOT_EMPTY')
  })
})

describe('wrong sources are errors', () => {
  test('a mistyped path, an empty folder, a home, a file', async () => {
    const { folder, env, backup } = await scene()
    for (const wrong of [join(folder, 'backpu'), folder, env.home, join(backup, 'backup.json')]) {
      const elsewhere = recover({ from: { backup: wrong }, home: join(folder, 'x') })
      expect(await codeOf(elsewhere)).toBe('RECOVERY_SOURCE_MISSING')
      expect(await codeOf(recover({ from: { backup: wrong }, home: wrong }))).toBe('RECOVERY_SOURCE_MISSING')
    }
    expect(await codeOf(recover({ from: {}, home: join(folder, 'x') }))).toBe('RECOVERY_SOURCE_MISSING')
  })

  test('a missing log is named', async () => {
    const { folder, backup } = await scene()
    await rm(join(backup, 'log', segmentName(2)))
    await expect(recover({ from: { backup }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_DAMAGED',
      details: { path: join(backup, 'log', segmentName(2)) },
    })
  })

  test('damage in the last log with good records behind it is not taken for a torn tail', async () => {
    // The log of a dead home has no manifest: only its own frames can tell.
    const { folder, env, backup } = await scene()
    await env.writeMany(5)
    await env.close()
    const logs = join(folder, 'logs')
    await cp(homeLayout(env.home).logDirectory, logs, { recursive: true })
    expect((await recover({ from: { backup, logs }, home: join(folder, 'whole') })).lsn).toBe(19)
    const path = join(logs, segmentName(3))
    const content = await readFile(path)
    content[200] = (content[200] ?? 0) ^ 1
    await writeFile(path, content)
    expect(await codeOf(recover({ from: { backup, logs }, home: join(folder, 'x') }))).toBe('WAL_CORRUPT')
  })
})

test('a refused write has a code, a next step and its cause, and leaves no home that opens', async () => {
  const { folder, backup } = await scene()
  const inBytes = { ...nodeFileSystem }
  delete inBytes.copyFile
  for (const [kind, inner] of [['copyFile', nodeFileSystem] as const, ['write', inBytes] as const]) {
    const home = join(folder, kind)
    const disk = new FaultFileSystem(inner, failOn({ kind, path: 'tables' }, 'ENOSPC', { once: false }))
    await expect(recover({ from: { backup }, home, fileSystem: disk })).rejects.toMatchObject({
      code: 'RECOVERY_IO_FAILED',
      cause: { code: 'ENOSPC' },
    })
    expect(disk.injected.length).toBeGreaterThan(0)
    expect(await readdir(home)).toContain('recovery.json')
  }
})

test('tables that the system copies are held against the manifest in the copy, and copied in bytes where it cannot', async () => {
  const { folder, env, backup } = await scene()
  const withoutCopy = { ...nodeFileSystem }
  delete withoutCopy.copyFile
  const copied: string[] = []
  const copying: FileSystem = {
    ...nodeFileSystem,
    copyFile: async (from, to) => {
      copied.push(basename(from))
      await copyFile(from, to)
    },
  }
  for (const [name, fileSystem] of Object.entries({ copying, withoutCopy })) {
    const home = join(folder, name)
    await recover({ from: { backup }, home, fileSystem })
    expect(await contentOf(home)).toEqual(env.content(14))
  }
  expect(copied).toEqual(await readdir(join(backup, 'checkpoint/tables')))
  const wrong: FileSystem = {
    ...nodeFileSystem,
    copyFile: async (from, to) => {
      const content = await readFile(from)
      content.writeUInt8(content.readUInt8(20) ^ 1, 20)
      await writeFile(to, content)
    },
  }
  const attempt = recover({ from: { backup }, home: join(folder, 'wrong'), digest: false, fileSystem: wrong })
  await expect(attempt).rejects.toMatchObject({ code: 'RECOVERY_SOURCE_DAMAGED' })
  const full: FileSystem = {
    ...nodeFileSystem,
    copyFile: () => Promise.reject(Object.assign(new Error('no space'), { code: 'ENOSPC' })),
  }
  const again = { from: { backup }, home: join(folder, 'again') }
  expect(await codeOf(recover({ ...again, fileSystem: full }))).toBe('RECOVERY_IO_FAILED')
  expect((await recover(again)).lsn).toBe(14)
})

test('a long log, of which LevelDB makes tables on the way, leads to the same state', async () => {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  await env.writeMany(3)
  const checkpoint = await env.checkpoint()
  const value = 'x'.repeat(1024 * 1024)
  for (let index = 0; index < 10; index++) await env.write({ [`long ${index}`]: `${value}${index}` })
  const backup = join(folder, 'backup')
  await backupTo(env, backup, { checkpoint })
  const home = join(folder, 'restored')
  const report = await recover({ from: { backup }, home })
  expect(report).toMatchObject({ lsn: 13, digest: digestOf(env.content(13), 13) })
  expect(await contentOf(home)).toEqual(env.content(13))
})
