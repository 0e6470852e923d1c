/*
 * Fault model: the archive is whole as far as it can tell, and what it says is wrong or incomplete: no log was ever shipped, the
 * manifest names no object, a piece is of another length than its name, the restored tables are at another LSN than promised. All of
 * it must end in the exact state or in a refusal by name.
 */
import { appendFile, cp, rm, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Archive,
  type BackupManifest,
  createArchive,
  memoryStore,
  type PieceRef,
  type SegmentRef,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import { type FileSystem, nodeFileSystem } from '@timberline/wal'
import { failOn, FaultFileSystem } from '@timberline/wal/testing'
import { describe, expect, test } from 'vitest'
import { planFor, recover, type RecoveryProgress } from '../src/index.ts'
import { openSource } from '../src/source/open-source.ts'
import { backupInto, backupTo, contentOf, Environment, exists, scratchFolder, ship } from './environment.ts'

/** An archive of which some answers are replaced. */
function altered(archive: Archive, answers: Partial<Archive>): Archive {
  return new Proxy(archive, {
    get(target, key): unknown {
      if (key in answers) return Reflect.get(answers, key)
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function withManifest(archive: Archive, change: (manifest: BackupManifest) => BackupManifest): Archive {
  return altered(archive, { backupManifest: async (label) => change(await archive.backupManifest(label)) })
}

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly archive: Archive
}

/** A checkpoint at 4 and, inside the backup, three segments of log up to 13; nothing else is in the archive. */
async function backupAlone(): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
  await env.writeMany(4)
  const checkpoint = await env.checkpoint()
  for (let part = 0; part < 2; part++) {
    await env.writeMany(3)
    await env.log.roll()
  }
  await env.writeMany(3)
  await backupInto(env, archive, { checkpoint, label: 'b1' })
  await env.close()
  return { folder, env, archive }
}

describe('an archive to which no log was ever shipped', () => {
  test('recovers each LSN from the log inside its backup, whatever order its manifest has', async () => {
    const { folder, env, archive } = await backupAlone()
    const reversed = withManifest(archive, (manifest) => ({
      ...manifest,
      files: manifest.files.toReversed(),
    }))
    for (const [from, lsn] of [
      [archive, 13],
      [archive, 5],
      [archive, 7],
      [reversed, 12],
    ] as const) {
      const home = join(folder, `r${lsn}`)
      const seen: RecoveryProgress[] = []
      const { signal } = new AbortController()
      const target = { type: 'lsn', lsn, edge: 'through' } as const
      const report = await recover({
        from: { archive: from },
        home,
        target,
        signal,
        onProgress: (p) => seen.push(p),
      })
      expect(report).toMatchObject({
        lsn,
        base: { label: 'b1', lsn: 4 },
        parent: { timeline: 1, forkLsn: lsn },
      })
      expect(await contentOf(home)).toEqual(env.content(lsn))
      expect(seen.at(-1)).toMatchObject({ records: lsn - 4 })
    }
    // The line that was left is told together with the first fork.
    expect(await archive.catalogue()).toMatchObject({
      timelines: [
        { timeline: 1 },
        { timeline: 2, parent: 1 },
        { timeline: 3 },
        { timeline: 4 },
        { timeline: 5 },
      ],
    })
  })

  test('can be planned without changing anything', async () => {
    const { folder, archive } = await backupAlone()
    expect(await planFor({ from: { archive } })).toMatchObject({
      possible: true,
      throughLsn: 13,
      base: { label: 'b1' },
    })
    const target = { type: 'lsn', lsn: 14, edge: 'through' } as const
    expect(await planFor({ from: { archive }, target, fileSystem: nodeFileSystem })).toMatchObject({
      possible: false,
      code: 'RECOVERY_TARGET_AFTER_END',
    })
    expect(await exists(join(folder, 'recovery.json'))).toBe(false)
  })

  test('is refused when its manifest does not say where a file is', async () => {
    const { folder, archive } = await backupAlone()
    const nowhere = withManifest(archive, (manifest) => ({
      ...manifest,
      files: manifest.files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 })),
    }))
    await expect(recover({ from: { archive: nowhere }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_DAMAGED',
    })
  })

  test('is refused when a file is longer than its manifest says, before it fills the disk', async () => {
    const { folder, archive } = await backupAlone()
    const shorter = withManifest(archive, (manifest) => ({
      ...manifest,
      files: manifest.files.map((file) => ({ ...file, bytes: file.bytes - 1 })),
    }))
    await expect(recover({ from: { archive: shorter }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_DAMAGED',
    })
  })
})

describe('a backup of an environment that has no record yet', () => {
  test('becomes a home whose content does not begin with its first record, and says so', async () => {
    const folder = await scratchFolder()
    const env = await Environment.create(join(folder, 'home'))
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await backupInto(env, archive, { label: 'empty' })
    await env.close()
    const home = join(folder, 'x')
    const report = await recover({ from: { archive }, home })
    expect(report).toMatchObject({ lsn: 0, records: 0, parent: { timeline: 1, forkLsn: 0 } })
    expect(report).not.toHaveProperty('lastApplied')
    expect((await readHomeIdentity(home)).adoptedAtUs).toBeGreaterThan(0)
  })
})

describe('a source that promises what it does not have', () => {
  test('is refused when the restored tables are at another LSN than the manifest says', async () => {
    const { folder, archive } = await backupAlone()
    const other = altered(archive, {
      catalogue: async () => {
        const catalogue = await archive.catalogue()
        return { ...catalogue, backups: catalogue.backups.map((backup) => ({ ...backup, lsn: 3 })) }
      },
    })
    await expect(recover({ from: { archive: other }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_DAMAGED',
      details: { lsn: 4, expectedLsn: 3 },
    })
  })

  test('is refused when a piece has another length than its name says', async () => {
    const folder = await scratchFolder()
    const env = await Environment.create(join(folder, 'home'))
    const archive = await createArchive(memoryStore(), { environmentId: env.identity.environmentId })
    await env.writeMany(3)
    await backupInto(env, archive, { label: 'b1' })
    await env.writeMany(4)
    await ship(env, archive)
    await env.close()
    async function* shortened(piece: PieceRef): AsyncGenerator<Uint8Array> {
      for await (const chunk of archive.fetchPiece(piece)) yield chunk.subarray(1)
    }
    const other = altered(archive, { fetchPiece: shortened as Archive['fetchPiece'] })
    await expect(recover({ from: { archive: other }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_LOG_DAMAGED',
    })
  })

  test('tells a dropped record that cannot be read as a warning, but an abort or an error of the disk as such', async () => {
    const { folder, env, archive } = await backupAlone()
    await ship(env, archive)
    const target = { type: 'lsn', lsn: 7, edge: 'through' } as const
    const abort = new AbortController()
    /** The archive of which the segment that begins with the first dropped record is read like this. */
    const withThird = (chunks: () => AsyncGenerator<Uint8Array>): Archive =>
      altered(archive, {
        fetchSegment: ((segment: SegmentRef) =>
          segment.firstLsn === 8 ? chunks() : archive.fetchSegment(segment)) as Archive['fetchSegment'],
      })
    const nothing = withThird(async function* () {
      yield Buffer.alloc(0)
    })
    const report = await recover({ from: { archive: nothing }, home: join(folder, 'w'), target })
    expect(report).toMatchObject({ lsn: 7, warnings: [expect.stringContaining('RECOVERY_LOG_DAMAGED')] })
    expect(report).not.toHaveProperty('firstDropped')
    expect(await contentOf(join(folder, 'w'))).toEqual(env.content(7))
    const stopped = withThird(async function* () {
      abort.abort()
      yield Buffer.alloc(1)
    })
    const { signal } = abort
    await expect(
      recover({ from: { archive: stopped }, home: join(folder, 'a'), target, signal }),
    ).rejects.toMatchObject({ code: 'RECOVERY_ABORTED' })
    const broken = withThird(async function* () {
      yield Buffer.alloc(0)
      throw Object.assign(new Error('unplugged'), { code: 'EIO' })
    })
    await expect(
      recover({ from: { archive: broken }, home: join(folder, 'e'), target }),
    ).rejects.toMatchObject({ code: 'RECOVERY_IO_FAILED' })
  })
})

describe('a file of a backup folder', () => {
  test('that is longer than its manifest says is refused, though its beginning is right', async () => {
    const folder = await scratchFolder()
    const source = await Environment.create(join(folder, 'source'))
    await source.writeMany(3)
    const backup = join(folder, 'backup')
    const { files } = await backupTo(source, backup)
    await source.close()
    for (const prefix of ['log/', 'checkpoint/tables/']) {
      const { name } = files.find((file) => file.name.startsWith(prefix)) ?? { name: '' }
      await appendFile(join(backup, name), 'x')
      await expect(recover({ from: { backup }, home: join(folder, 'x') })).rejects.toMatchObject({
        code: 'RECOVERY_SOURCE_DAMAGED',
        details: { name },
      })
      await truncate(join(backup, name), files.find((file) => file.name === name)?.bytes)
      await rm(join(folder, 'x'), { recursive: true, force: true })
    }
    expect(await recover({ from: { backup }, home: join(folder, 'x') })).toMatchObject({ lsn: 3 })
  })
})

describe('a folder of log beside an archive', () => {
  test('that is not there is named', async () => {
    const { folder, archive } = await backupAlone()
    const logs = join(folder, 'nowhere', 'log')
    await expect(recover({ from: { archive, logs }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_SOURCE_MISSING',
      details: { directory: logs },
    })
  })

  test('of a recovered home tells where its timeline left its parent', async () => {
    const { folder, env, archive } = await backupAlone()
    const first = join(folder, 'first')
    await recover({ from: { archive }, home: first, target: { type: 'lsn', lsn: 8, edge: 'through' } })
    const branch = await Environment.recovered(first, env)
    await branch.writeMany(3)
    await branch.close()
    const logs = homeLayout(first).logDirectory
    const report = await recover({ from: { archive, logs }, home: join(folder, 'second') })
    expect(report).toMatchObject({ lsn: 12, base: { label: 'b1' }, parent: { timeline: 2, forkLsn: 12 } })
    expect(await contentOf(join(folder, 'second'))).toEqual(branch.content(12))
    // A copy of that log without its home does not tell the fork; the archive, which also knows it, does.
    const copy = join(folder, 'copy', 'log')
    await cp(logs, copy, { recursive: true })
    const again = await recover({ from: { archive, logs: copy }, home: join(folder, 'third') })
    expect(again).toMatchObject({ lsn: 12, parent: { timeline: 2, forkLsn: 12 } })
  })

  test('is refused when both know the same timeline number with another fork', async () => {
    const folder = await scratchFolder()
    const backup = join(folder, 'backup')
    // Two homes recovered from one backup folder, without the archive, take the same number.
    const forks: Record<'a' | 'b', string> = { a: join(folder, 'a'), b: join(folder, 'b') }
    const source = await Environment.create(join(folder, 'source'))
    await source.writeMany(4)
    const checkpoint = await source.checkpoint()
    await source.writeMany(4)
    await backupTo(source, backup, { checkpoint })
    for (const [name, lsn] of [
      ['a', 6],
      ['b', 7],
    ] as const) {
      await recover({ from: { backup }, home: forks[name], target: { type: 'lsn', lsn, edge: 'through' } })
    }
    const branch = await Environment.recovered(forks.a, source)
    await branch.writeMany(2)
    const second = join(folder, 'backup-of-a')
    await backupTo(branch, second)
    await branch.close()
    const logs = homeLayout(forks.b).logDirectory
    await expect(recover({ from: { backup: second, logs }, home: join(folder, 'x') })).rejects.toMatchObject({
      code: 'RECOVERY_ENVIRONMENT_MISMATCH',
      details: { timeline: 2, forkLsn: 6, otherForkLsn: 7 },
    })
    const same = homeLayout(forks.a).logDirectory
    expect(await recover({ from: { backup: second, logs: same }, home: join(folder, 'y') })).toMatchObject({
      parent: { timeline: 2 },
    })
    await source.close()
  })

  test('without an archive, nothing that lies in one can be read', async () => {
    const { folder, archive } = await backupAlone()
    const [backup] = (await archive.catalogue()).backups
    const source = await Environment.create(join(folder, 'source'))
    await source.writeMany(2)
    await backupTo(source, join(folder, 'backup'))
    await source.close()
    const opened = await openSource({ backup: join(folder, 'backup') }, nodeFileSystem)
    if (backup === undefined) throw new Error('the archive has a backup')
    const base = {
      label: 'b1',
      timeline: 1,
      lsn: 4,
      committedAtUs: 1,
      bytes: 1,
      origin: { type: 'archive', backup },
    } as const
    expect(() => opened.manifest(base)).toThrow(expect.objectContaining({ code: 'RECOVERY_SOURCE_MISSING' }))
  })
})

describe('where a hard link cannot be made', () => {
  /** The real file system, on which tables of the base and of the finished home cannot get another name. */
  function linksFail(code: string): FileSystem {
    const refused = (): Promise<never> => Promise.reject(Object.assign(new Error(code), { code }))
    // The checkpoint of a home consists of links: where those fail too, there can be no home.
    const isCheckpoint = (path: string): boolean => path.includes('/recovery/checkpoint/')
    const link: FileSystem['link'] = (from, to) =>
      isCheckpoint(to) ? nodeFileSystem.link(from, to) : refused()
    return { ...nodeFileSystem, link }
  }

  test('the recovered home gets copies, with the same content', async () => {
    const { folder, env, archive } = await backupAlone()
    for (const code of ['EPERM', 'EMLINK', 'EXDEV']) {
      const home = join(folder, code)
      await recover({ from: { archive }, home, fileSystem: linksFail(code) })
      expect(await contentOf(home)).toEqual(env.content(13))
    }
  })

  test('a failure of another kind is handed on, not copied around', async () => {
    const { folder, archive } = await backupAlone()
    for (const after of [0, 3]) {
      const disk = new FaultFileSystem(
        nodeFileSystem,
        failOn({ kind: 'link' }, 'EIO', { after, once: false }),
      )
      const attempt = recover({ from: { archive }, home: join(folder, `x${after}`), fileSystem: disk })
      await expect(attempt).rejects.toMatchObject({ code: 'RECOVERY_IO_FAILED', cause: { code: 'EIO' } })
      expect(disk.injected.length).toBeGreaterThan(0)
    }
  })
})

test('a recovery asks for the log before the base is there, and for the pieces of a segment at the same time', async () => {
  const { folder, env, archive } = await backupAlone()
  await ship(env, archive, { piecesOf: () => true })
  const last = Math.max(...(await archive.catalogue()).pieces.map(({ segmentNumber }) => segmentNumber))
  let asked = 0
  let goOn = (): void => undefined
  const twoAreAsked = new Promise<void>((resolve) => (goOn = resolve))
  async function* readPiece(piece: PieceRef): AsyncGenerator<Uint8Array> {
    if (piece.segmentNumber === last && ++asked === 2) goOn()
    await twoAreAsked
    yield* archive.fetchPiece(piece)
  }
  const readTable: Archive['readObject'] = async function* (name, options) {
    await twoAreAsked
    yield* archive.readObject(name, options)
  }
  const slow = altered(archive, { fetchPiece: readPiece as Archive['fetchPiece'], readObject: readTable })
  const home = join(folder, 'side-by-side')
  expect((await recover({ from: { archive: slow }, home })).lsn).toBe(13)
  expect(await contentOf(home)).toEqual(env.content(13))
})
