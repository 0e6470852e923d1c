import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { newestCheckpoint, readBackupDue, writeBackupDue } from '@timberline/engine'
import type { TimberLevel } from '@timberline/engine'
import { decodeBackupManifest, encodeBackupManifest } from '@timberline/archive'
import { liveHolds, nodeFileSystem, placeHold, segmentName } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { FaultFileSystem } from '@timberline/wal/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { hotbackup, verifyBackup } from '../src/index.ts'
import type { HotbackupEvent, HotbackupListener } from '../src/index.ts'
import {
  SMALL,
  contents,
  copyOf,
  interrupted,
  makeFolder,
  openHome,
  openUsedHome,
  restored,
  write,
} from './fixture.ts'
import { Model, difference } from './history.ts'

const N = 60

let folder = ''
let home = ''
let target = ''
let db: TimberLevel<string, string>

beforeEach(async () => {
  folder = await makeFolder()
  home = join(folder, 'home')
  target = join(folder, 'backup')
  db = await openUsedHome(home, N)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The transaction at which a backup stands, its state checked against the history. */
async function checked(backup: string): Promise<number> {
  expect(await verifyBackup(backup)).toEqual([])
  const { n, state } = await restored(backup)
  expect(difference(state, new Model(SMALL).at(n))).toBeUndefined()
  return n
}

/** Everything in the folder except what the home's owner keeps changing. */
async function outsideHome(): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name !== 'home').toSorted()
}

async function homeIsClean(): Promise<void> {
  expect((await readdir(home)).filter((name) => name.startsWith('staging.'))).toEqual([])
  expect(await liveHolds(join(home, 'log'))).toEqual([])
}

describe('a full backup', () => {
  it('holds all that was durable when it began, while the owner goes on', async () => {
    let isWriting = true
    const writing = (async () => {
      for (let n = N + 1; isWriting; n += 1) await write(db, n)
    })()
    try {
      const backup = await hotbackup({ home, target })
      expect(await checked(target)).toBeGreaterThanOrEqual(N)
      expect(backup).toMatchObject({ target, tries: 1, leftBehind: [], lsn: backup.manifest.endLsn })
      expect(backup.manifest.digest).toMatchObject({ lsn: backup.lsn })
    } finally {
      isWriting = false
      await writing
    }
    await homeIsClean()
    expect(await outsideHome()).toEqual(['backup'])
  })

  it("names every file with length and checksum, and never takes LevelDB's own files", async () => {
    const { manifest } = await hotbackup({ home, target })
    const names = Object.keys(await contents(target)).toSorted()
    expect(
      manifest.files
        .map((file) => file.name)
        .concat('backup.json')
        .toSorted(),
    ).toEqual(names)
    for (const name of names) {
      expect(name).toMatch(
        /^(timberline\.json|backup\.json|checkpoint\/\d{16}\.json|checkpoint\/tables\/\d+\.(ldb|sst)|log\/log\.\d{10})$/,
      )
    }
  })

  it('is made of copies: nothing in it shares its content with the home', async () => {
    const { manifest } = await hotbackup({ home, target })
    for (const file of manifest.files) expect((await stat(join(target, file.name))).nlink, file.name).toBe(1)
  })

  it('takes the place of an older backup of the same database', async () => {
    await hotbackup({ home, target })
    await write(db, N + 5)
    await hotbackup({ home, target })
    expect(await checked(target)).toBe(N + 5)
    expect(await outsideHome()).toEqual(['backup'])
  })

  it('goes to an empty folder, and to a new one below folders that do not exist yet', async () => {
    await mkdir(target)
    await hotbackup({ home, target })
    const deep = join(folder, 'a', 'b', 'c')
    await hotbackup({ home, target: deep })
    expect(await checked(deep)).toBe(N)
    expect(await checked(target)).toBe(N)
  })

  it('follows a symbolic link to the folder it names', async () => {
    await mkdir(join(folder, 'disk'))
    await symlink(join(folder, 'disk'), target)
    await hotbackup({ home, target })
    expect(await checked(join(folder, 'disk'))).toBe(N)
  })

  it('can be made of a new home without a single commit, whose owner makes its first checkpoint', async () => {
    const other = await openHome(join(folder, 'other'))
    const { manifest } = await hotbackup({ home: join(folder, 'other'), target })
    await other.close()
    expect(manifest.digest).toMatchObject({ entries: 0 })
    expect(await verifyBackup(target)).toEqual([])
    expect((await restored(target)).state.size).toBe(0)
  })

  it('asks the owner for a checkpoint when told to', async () => {
    const events: HotbackupEvent[] = []
    const onEvent = (event: HotbackupEvent): number => events.push(event)
    const { manifest } = await hotbackup({ home, target, checkpoint: true, onEvent })
    expect(events.map((event) => event.type)).toContain('checkpoint.taken')
    expect(manifest.checkpoint.lsn).toBeGreaterThanOrEqual(N)
  })

  it('is refused by an ordinary open', async () => {
    await hotbackup({ home, target })
    const before = await contents(target)
    const opened = await openHome(target).catch((error: unknown) => error)
    expect(opened).toMatchObject({ cause: { code: 'ENGINE_BACKUP_NOT_RECOVERED' } })
    expect(await contents(target)).toEqual(before)
  })

  it('answers the call for a full backup that an adopted home makes', async () => {
    await writeBackupDue(home, { reason: 'adopted', sinceUs: Date.now() * 1000 })
    await hotbackup({ home, target })
    expect(await readBackupDue(home)).toMatchObject({ reason: 'adopted' })
    await write(db, N + 1)
    await hotbackup({ home, target, checkpoint: true })
    expect(await readBackupDue(home)).toBeUndefined()
  })

  it('is not continued past data that was loaded beside the log, and answers the call that such a load makes', async () => {
    await hotbackup({ home, target })
    const hold = await placeHold(join(home, 'log'), { purpose: 'as an archive would' })
    await db.bulkLoad([['loaded', '1']])
    await write(db, N + 1)
    // A backup from before the load does not answer it, however much later it ends.
    await writeBackupDue(home, { reason: 'bulkload', sinceUs: 0, lsn: Number.MAX_SAFE_INTEGER })
    await expect(hotbackup({ home, target, update: true })).rejects.toMatchObject({
      code: 'HOTBACKUP_BULK_LOAD',
    })
    await hotbackup({ home, target })
    expect(await readBackupDue(home)).toMatchObject({ reason: 'bulkload' })
    await hold.release()
    const { lsn } = await db.bulkLoad([['loaded', '2']])
    expect(await readBackupDue(home)).toMatchObject({ lsn })
    await hotbackup({ home, target })
    expect(await readBackupDue(home)).toBeUndefined()
    expect((await restored(target)).state.get('loaded')).toBe('2')
  })

  /** Loads data beside the log whenever a backup has pinned its tables, so often. */
  const loading = (
    times: number,
  ): { onEvent: HotbackupListener; events: HotbackupEvent[]; fileSystem: FileSystem } => {
    const events: HotbackupEvent[] = []
    let load: Promise<unknown> | undefined
    let loads = 0
    const onEvent = (event: HotbackupEvent): void => {
      events.push(event)
      if (event.type === 'pinned' && loads < times) load = db.bulkLoad([['loaded', String((loads += 1))]])
    }
    // Data first, then logs: what is loaded between the two is in neither.
    const list = async (directory: string): Promise<readonly string[]> => {
      if (directory === join(home, 'log')) await load
      return nodeFileSystem.list(directory)
    }
    return { onEvent, events, fileSystem: Object.assign(Object.create(nodeFileSystem), { list }) }
  }

  it('that meets a load beside the log begins anew, and holds what was loaded', async () => {
    const { events, ...options } = loading(2)
    const { restarts, copiedBytes, bytes, manifest } = await hotbackup({ home, target, ...options })
    expect(restarts).toEqual(['bulkload', 'bulkload'])
    expect(events.filter(({ type }) => type === 'backup.restarted')).toHaveLength(2)
    expect((await restored(target)).state.get('loaded')).toBe('2')
    const json = manifest.files.filter(({ name }) => name.endsWith('.json'))
    expect(copiedBytes).toBe(bytes - json.reduce((sum, file) => sum + file.bytes, 0))
    expect(await readBackupDue(home)).toBeUndefined()
    expect(await outsideHome()).toEqual(['backup'])
  })

  it('that meets a load each time is refused by name in the end, and leaves the call for another', async () => {
    const { events, ...options } = loading(99)
    await expect(hotbackup({ home, target, ...options })).rejects.toMatchObject({
      code: 'HOTBACKUP_BULK_LOAD',
    })
    expect(events.filter(({ type }) => type === 'pinned')).toHaveLength(4)
    expect(await readBackupDue(home)).toMatchObject({ reason: 'bulkload' })
    expect(await outsideHome()).toEqual([])
    await homeIsClean()
  })

  it('can be made of a home that nobody has open', async () => {
    await db.close()
    await hotbackup({ home, target, checkpoint: true })
    expect(await checked(target)).toBe(N)
    db = await openHome(home)
  })

  it('carries no log records behind a checkpoint taken just before', async () => {
    await db.checkpoint()
    const { manifest } = await hotbackup({ home, target })
    expect(manifest.checkpoint.lsn).toBeGreaterThanOrEqual(N)
    expect(await checked(target)).toBe(N)
  })

  it('records the digest of the state that a restore of it has', async () => {
    const first = await hotbackup({ home, target })
    const again = await hotbackup({ home, target: join(folder, 'again') })
    expect(first.manifest.digest?.hex).toBe(again.manifest.digest?.hex)
    const { state } = await restored(target)
    expect(first.manifest.digest?.entries).toBe(state.size)
    const without = await hotbackup({ home, target, digest: false })
    expect(without.manifest.digest).toBeUndefined()
  })
})

describe('while it runs', () => {
  it('a mark keeps the log from removal, and the data it copies outlives a checkpoint', async () => {
    let seen = 0
    const fileSystem = interrupted(/tables/, 'open', async () => {
      seen = (await liveHolds(join(home, 'log'))).length
      await write(db, N + 20)
      await db.compactRange('', '~')
      await db.checkpoint()
      await write(db, N + 40)
      await db.checkpoint()
    })
    await hotbackup({ home, target, fileSystem })
    expect(seen).toBe(1)
    expect(await checked(target)).toBe(N + 40)
    await homeIsClean()
  })

  it('a checkpoint that is replaced while it is pinned is given up for the newer one', async () => {
    const fileSystem = interrupted(/checkpoint.tables/, 'link', async () => {
      await write(db, N + 20)
      await db.compactRange('', '~')
      await db.checkpoint()
    })
    const backup = await hotbackup({ home, target, fileSystem })
    expect(backup.tries).toBe(2)
    expect(backup.manifest.checkpoint.lsn).toBeGreaterThan(N)
    expect(await checked(target)).toBe(N + 20)
  })

  it('events tell the steps in order and the progress to the end', async () => {
    const events: HotbackupEvent[] = []
    const backup = await hotbackup({ home, target, onEvent: (event) => events.push(event) })
    const steps = events
      .map((event) => event.type)
      .filter((type) => type !== 'progressed' && type !== 'file.copied')
    expect(steps).toEqual([
      'backup.begun',
      'pinned',
      'log.sealed',
      'log.begun',
      'log.ended',
      'digest.computed',
      'writers.metered',
      'backup.ended',
    ])
    const copied = events.filter((event) => event.type === 'file.copied')
    const last = copied.at(-1)
    expect(last).toMatchObject({ bytesCopied: backup.copiedBytes, bytesTotal: backup.copiedBytes })
    expect(last?.filesCopied).toBe(last?.filesTotal)
    const logBegun = events.findIndex((event) => event.type === 'log.begun')
    const firstLog = events.findIndex(
      (event) => event.type === 'file.copied' && event.name.startsWith('log/'),
    )
    const lastTable = events.findLastIndex(
      (event) => event.type === 'file.copied' && event.name.includes('tables/'),
    )
    expect(lastTable).toBeLessThan(logBegun)
    expect(logBegun).toBeLessThan(firstLog)
  })

  it('an error of the listener does not reach the backup', async () => {
    const caught: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => caught.push(error))
    try {
      await hotbackup({
        home,
        target,
        onEvent: () => {
          throw new Error('listener')
        },
      })
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
    expect(await checked(target)).toBe(N)
    expect(String(caught[0])).toContain('listener')
  })

  it('a rate limit holds', async () => {
    const { bytes } = await hotbackup({ home, target, digest: false })
    const beginMs = performance.now()
    await hotbackup({ home, target: join(folder, 'slow'), digest: false, maxMbPerS: bytes / 1e6 })
    expect(performance.now() - beginMs).toBeGreaterThan(400)
  })

  it('an abort at any step leaves nothing behind, and the older backup', async () => {
    await hotbackup({ home, target })
    await write(db, N + 5)
    const steps: HotbackupEvent['type'][] = [
      'backup.begun',
      'pinned',
      'progressed',
      'file.copied',
      'log.sealed',
      'log.begun',
      'log.ended',
      'digest.computed',
      'writers.metered',
    ]
    for (const step of steps) {
      const abort = new AbortController()
      const onEvent = (event: HotbackupEvent): void => {
        if (event.type === step) abort.abort()
      }
      await expect(hotbackup({ home, target, onEvent, signal: abort.signal }), step).rejects.toMatchObject({
        code: 'HOTBACKUP_ABORTED',
        name: 'AbortError',
      })
      expect(await outsideHome()).toEqual(['backup'])
      await homeIsClean()
    }
    expect(await checked(target)).toBe(N)
  })

  it('a second backup to the same target is refused', async () => {
    let second: unknown
    const fileSystem = interrupted(/tables/, 'open', async () => {
      second = await hotbackup({ home, target }).catch((error: unknown) => error)
    })
    await hotbackup({ home, target, fileSystem })
    expect(second).toMatchObject({ code: 'HOTBACKUP_TARGET_BUSY' })
    expect(await checked(target)).toBe(N)
  })
})

describe('a backup is refused', () => {
  it('for a home that is not there, and makes nothing', async () => {
    await expect(hotbackup({ home: join(folder, 'hoem'), target })).rejects.toMatchObject({
      code: 'ENGINE_HOME_MISSING',
    })
    expect(await outsideHome()).toEqual([])
  })

  it('for a target that is, holds or lies in the home', async () => {
    await symlink(home, join(folder, 'alias'))
    const before = await readdir(home)
    for (const bad of [
      home,
      folder,
      join(home, 'backup'),
      join(home, 'log'),
      join(folder, 'alias', 'backup'),
    ]) {
      await expect(hotbackup({ home, target: bad }), bad).rejects.toMatchObject({
        code: 'HOTBACKUP_TARGET_OVERLAPS',
      })
    }
    await expect(hotbackup({ home: join(folder, 'alias'), target: home })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_OVERLAPS',
    })
    expect(await readdir(home)).toEqual(before)
  })

  it('for a folder that holds anything but a backup', async () => {
    await mkdir(target)
    await writeFile(join(target, 'letters.txt'), 'dear')
    await expect(hotbackup({ home, target })).rejects.toMatchObject({ code: 'HOTBACKUP_TARGET_NOT_BACKUP' })
    await hotbackup({ home, target: join(folder, 'good') })
    await writeFile(join(folder, 'good', 'letters.txt'), 'dear')
    await expect(hotbackup({ home, target: join(folder, 'good') })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_NOT_BACKUP',
    })
    await writeFile(join(folder, 'file'), 'dear')
    await expect(hotbackup({ home, target: join(folder, 'file') })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_NOT_BACKUP',
    })
    expect(await readFile(join(target, 'letters.txt'), 'utf8')).toBe('dear')
  })

  it('for another database, open or closed, that lies at the target', async () => {
    const other = await openHome(join(folder, 'other'))
    await other.close()
    const before = await contents(join(folder, 'other'))
    await expect(hotbackup({ home, target: join(folder, 'other') })).rejects.toMatchObject({
      code: 'HOTBACKUP_TARGET_NOT_BACKUP',
    })
    expect(await contents(join(folder, 'other'))).toEqual(before)
  })

  it('for a backup of another database at the target', async () => {
    const other = await openHome(join(folder, 'other'))
    await hotbackup({ home: join(folder, 'other'), target })
    await other.close()
    await expect(hotbackup({ home, target })).rejects.toMatchObject({ code: 'HOTBACKUP_TARGET_FOREIGN' })
    expect(await verifyBackup(target)).toEqual([])
  })

  it('for a damaged backup at the target, which may be all that is left', async () => {
    await hotbackup({ home, target })
    await writeFile(join(target, 'backup.json'), '{}')
    await expect(hotbackup({ home, target })).rejects.toMatchObject({ code: 'HOTBACKUP_TARGET_NOT_BACKUP' })
  })

  it('for a home that is itself a backup', async () => {
    await hotbackup({ home, target })
    await expect(hotbackup({ home: target, target: join(folder, 'second') })).rejects.toMatchObject({
      code: 'HOTBACKUP_HOME_LABELLED',
    })
  })

  it('for options out of bounds', async () => {
    await expect(hotbackup({ home, target: '' })).rejects.toMatchObject({ code: 'HOTBACKUP_OPTIONS' })
    await expect(hotbackup({ home: '', target })).rejects.toMatchObject({ code: 'HOTBACKUP_OPTIONS' })
    await expect(hotbackup({ home, target, maxMbPerS: 0 })).rejects.toMatchObject({
      code: 'HOTBACKUP_OPTIONS',
    })
  })
})

describe('damage in the home', () => {
  /** A copy of the home as a crash would leave it, to be damaged. */
  async function damaged(change: (copy: string) => Promise<void>): Promise<Promise<unknown>> {
    const copy = await copyOf(home, join(folder, 'damaged'))
    await change(copy)
    // A digest would read the log once more.
    return hotbackup({ home: copy, target, digest: false }).catch((error: unknown) => error)
  }

  it('is told by name when a table is missing', async () => {
    const error = await damaged(async (copy) => {
      const [name = ''] = await readdir(join(copy, 'checkpoint/tables'))
      await rm(join(copy, 'checkpoint/tables', name))
    })
    expect(error).toMatchObject({
      code: 'HOTBACKUP_TABLE_MISSING',
      details: { table: expect.any(String) as string },
    })
    expect(await outsideHome()).toEqual(['damaged'])
  })

  it('is told by name when a table was cut', async () => {
    const error = await damaged(async (copy) => {
      const [name = ''] = await readdir(join(copy, 'checkpoint/tables'))
      const path = join(copy, 'checkpoint/tables', name)
      await writeFile(path, (await readFile(path)).subarray(0, 100))
    })
    expect(error).toMatchObject({ code: 'HOTBACKUP_TABLE_DAMAGED' })
  })

  it('is told when there is no checkpoint', async () => {
    const error = await damaged(async (copy) => {
      for (const name of await readdir(join(copy, 'checkpoint'))) {
        if (name.endsWith('.json')) await rm(join(copy, 'checkpoint', name))
      }
    })
    expect(error).toMatchObject({ code: 'HOTBACKUP_NO_CHECKPOINT' })
  })

  it('is told by name when the log that completes the data is missing', async () => {
    const error = await damaged(async (copy) => {
      const checkpoint = await newestCheckpoint(copy)
      await rm(join(copy, 'log', segmentName(checkpoint?.segmentNumber ?? 0)))
    })
    expect(error).toMatchObject({
      kind: 'gap',
      details: { segment: expect.stringMatching(/^log\.\d+$/) as string },
    })
    expect(await outsideHome()).toEqual(['damaged'])
  })

  it('is told by name when a durable record of the log is damaged', async () => {
    const error = await damaged(async (copy) => {
      const name = (await readdir(join(copy, 'log')))
        .filter((each) => each.startsWith('log.'))
        .toSorted()
        .at(-1)
      const path = join(copy, 'log', name ?? '')
      const content = await readFile(path)
      content[400] = (content[400] ?? 0) ^ 1
      await writeFile(path, content)
    })
    expect(error).toMatchObject({ code: 'WAL_CORRUPT' })
  })

  it('is told by name when a record is damaged that only the copy reads, in a log file that was sealed', async () => {
    await hotbackup({ home, target })
    await write(db, N + 30)
    const error = await damaged(async (copy) => {
      const logs = (await readdir(join(copy, 'log'))).filter((each) => each.startsWith('log.')).toSorted()
      const needed = logs.indexOf(segmentName((await newestCheckpoint(copy))?.segmentNumber ?? 0))
      expect(needed).toBeLessThan(logs.length - 1)
      const path = join(copy, 'log', logs[needed] ?? '')
      const content = await readFile(path)
      content[400] = (content[400] ?? 0) ^ 1
      await writeFile(path, content)
    })
    expect(error).toMatchObject({
      code: 'WAL_CORRUPT',
      details: { path: expect.stringContaining('log.') as string },
    })
    expect(await outsideHome()).toEqual(['backup', 'damaged'])
  })
})

describe('a backup into a folder', () => {
  it('proves its log while it copies it, and reads nothing again that it has written', async () => {
    const fileSystem = new FaultFileSystem(nodeFileSystem)
    await hotbackup({ home, target, digest: false, fileSystem })
    const read = fileSystem.operations.filter(
      ({ kind, path }) => kind === 'read' && path.includes('.partial-'),
    )
    expect(read).toEqual([])
  })
})

describe('the order', () => {
  it('logs first, then data, is caught', async () => {
    const early = await copyOf(join(home, 'log'), join(folder, 'early-log'))
    await write(db, N + 30)
    await db.checkpoint()
    const { manifest } = await hotbackup({ home, target })
    await rm(join(target, 'log'), { recursive: true })
    await copyOf(early, join(target, 'log'))
    const logs = (await readdir(early)).filter((name) => name.startsWith('log.'))
    const files = await Promise.all(
      logs.map(async (name) => {
        const content = await readFile(join(early, name))
        const sha256 = createHash('sha256').update(content).digest('hex')
        return { name: `log/${name}`, bytes: content.length, sha256 }
      }),
    )
    const others = manifest.files.filter((file) => !file.name.startsWith('log/'))
    await writeFile(
      join(target, 'backup.json'),
      encodeBackupManifest({ ...manifest, files: [...others, ...files] }),
    )
    expect((await verifyBackup(target)).map((each) => each.code)).toEqual(['BACKUP_LOG_GAP'])
  })
})

describe('the manifest', () => {
  it('describes the backup for those who read it alone', async () => {
    const backup = await hotbackup({ home, target })
    const manifest = decodeBackupManifest(await readFile(join(target, 'backup.json')))
    expect(manifest).toEqual(backup.manifest)
    expect(manifest.label).toMatch(/^\d{8}-\d{6}F$/)
    expect(manifest.beginLsn).toBe(manifest.checkpoint.lsn + 1)
    expect(manifest.endLsn).toBeGreaterThanOrEqual(N)
    expect(manifest.endCommittedAtUs).toBeGreaterThanOrEqual(manifest.checkpoint.committedAtUs)
    expect(backup.bytes).toBe(manifest.files.reduce((sum, file) => sum + file.bytes, 0))
  })
})
