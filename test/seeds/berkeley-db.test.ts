/** What Berkeley DB's "Backup Procedures" describes, row by row: kinds of backups, their order, what they rest on. */
import { createHash } from 'node:crypto'
import { cp, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeBackupManifest, encodeBackupManifest, openArchive, openStore } from '@timberline/archive'
import { homeLayout, newestCheckpoint } from '@timberline/engine'
import { hotbackup, offlineBackup, type HotbackupEvent } from '@timberline/hotbackup'
import {
  type FileHandle,
  type FileSystem,
  liveHolds,
  nodeFileSystem,
  parseSegmentName,
} from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { begin, outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { ends0, isRefused, lines, Scenes, stateAfter, write } from './home-scenes.ts'

const scenes = new Scenes()
beforeAll(() => scenes.begin())
afterAll(() => scenes.end())

/** Names of files in a folder, folders left out. */
async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .toSorted()
}

const logsIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder)).filter((name) => parseSegmentName(name) !== undefined).toSorted()

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

async function manifestOf(backup: string) {
  return decodeBackupManifest(await readFile(join(backup, 'backup.json')))
}

async function flip(path: string, position: number): Promise<void> {
  const file = await open(path, 'r+')
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, position)
  await file.write(Buffer.from([byte.readUInt8(0) ^ 1]), 0, 1, position)
  await file.close()
}

describe('B1: offline, hot and incremental backups', () => {
  test('B1: are three commands, and each recovers to the state that it was taken at', async () => {
    const { home, db } = await scenes.openHome(30)
    await db.close()
    const offline = scenes.path('offline')
    await ends0(['hotbackup', '--offline', '-h', home, '-b', offline])
    await db.open()
    await write(db, 60)
    const hot = scenes.path('hot')
    await ends0(['hotbackup', '-h', home, '-b', hot])
    expect(await scenes.recovered(hot)).toEqual(stateAfter(60))
    await write(db, 90)
    await ends0(['hotbackup', '-u', '-h', home, '-b', hot])
    await db.close()
    expect(await scenes.recovered(offline)).toEqual(stateAfter(30))
    expect(await scenes.recovered(hot)).toEqual(stateAfter(90))
  })
})

describe('B4: a copy must never tear a page', () => {
  test('B4: every file of a backup has the length and checksum that the engine and the manifest say', async () => {
    const { home, db } = await scenes.openHome()
    await db.checkpoint({ hashed: true })
    const target = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', target])
    const checkpoint = await newestCheckpoint(home)
    const { files } = await manifestOf(target)
    for (const { name, bytes, sha256 } of files) {
      const content = await readFile(join(target, name))
      expect({ bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') }).toEqual({
        bytes,
        sha256,
      })
    }
    const ofEngine = checkpoint?.tables.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))
    expect(ofEngine?.length).toBeGreaterThan(0)
    expect(
      files.map(({ name, ...rest }) => ({ name: name.replace('checkpoint/tables/', ''), ...rest })),
    ).toEqual(expect.arrayContaining(ofEngine ?? []))
    await db.close()
  })

  test('B4: a torn table is refused at the source, in the copy, and by recovery', async () => {
    const { home, db } = await scenes.openHome()
    await db.checkpoint({ hashed: true })
    const good = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', good])
    const name = (await newestCheckpoint(home))?.tables[0]?.name ?? ''
    await flip(join(good, 'checkpoint/tables', name), 30)
    expect((await timberline(['verify', '-b', good])).out).toContain(name)
    await isRefused(['recover', '--from', good, '-h', scenes.path('recovered')], /DAMAGED/)
    await flip(join(homeLayout(home).tablesDirectory, name), 30)
    const torn = scenes.path('backup')
    await isRefused(['hotbackup', '-h', home, '-b', torn], /HOTBACKUP_TABLE_DAMAGED/)
    expect(await stat(torn).catch(() => 'absent')).toBe('absent')
    await flip(join(homeLayout(home).tablesDirectory, name), 30)
    await db.close()
  })
})

describe('B5: an offline backup', () => {
  test('B5: ends all writing, checkpoints, copies data and then the last log', async () => {
    const home = await scenes.closedHome(400)
    const before = await logsIn(homeLayout(home).logDirectory)
    expect(before.length).toBeGreaterThan(2)
    const events: HotbackupEvent[] = []
    const target = scenes.path('backup')
    const { manifest } = await offlineBackup({ home, target, onEvent: (event) => events.push(event) })
    // A checkpoint at the very end, which only the note of it follows: nothing is left to replay, and of the log only the last file is needed.
    expect(manifest.endLsn - manifest.checkpoint.lsn).toBeLessThan(2)
    expect(await logsIn(join(target, 'log'))).toEqual((await logsIn(homeLayout(home).logDirectory)).slice(-1))
    const copied = events.flatMap((event) => (event.type === 'file.copied' ? [event.name] : []))
    const firstLog = copied.findIndex((name) => name.startsWith('log/'))
    expect(copied.slice(firstLog).every((name) => name.startsWith('log/'))).toBe(true)
    expect(await scenes.recovered(target)).toEqual(stateAfter(400))
  })

  test('B5: is refused while somebody writes', async () => {
    const { home, db } = await scenes.openHome(5)
    const asked = ['hotbackup', '--offline', '-h', home, '-b', scenes.path('backup')]
    expect((await isRefused(asked, /ENGINE_HOME_LOCKED/)).code).toBe(7)
    await db.close()
  })
})

describe('B6: a backup has its full inventory', () => {
  test('B6: also of files not written during the life of the logs, also after an update', async () => {
    const { home, db } = await scenes.openHome(40)
    await db.checkpoint()
    await db.close()
    await ends0(['archive', 'list', '-d', '-h', home])
    await db.open()
    // What was written before is in no log any more, and nothing writes its files again.
    for (let n = 0; n < 20; n++) await db.put(`later-${String(n)}`, 'x')
    const target = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', target])
    for (let n = 20; n < 40; n++) await db.put(`later-${String(n)}`, 'x')
    await ends0(['hotbackup', '-u', '-h', home, '-b', target])
    const listed = (await manifestOf(target)).files.map(({ name }) => name)
    expect([...listed, 'backup.json'].toSorted()).toEqual(await filesIn(target))
    const { hex } = await db.digest()
    await db.close()
    const recovered = await outcome(['recover', '--from', target, '-h', scenes.path('recovered')])
    expect(recovered).toMatchObject({ digest: { hex } })
  })

  test('B6: and a file that is not there is missed by name', async () => {
    const home = await scenes.closedHome(20)
    const target = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', target])
    const [table = ''] = (await readdir(join(target, 'checkpoint/tables'))).toSorted()
    await rm(join(target, 'checkpoint/tables', table))
    expect((await timberline(['verify', '-b', target])).out).toMatch(
      new RegExp(`BACKUP_FILE_MISSING.*${table}`),
    )
    await isRefused(['recover', '--from', target, '-h', scenes.path('recovered')], new RegExp(table))
  })
})

describe('B7: the flag of a backup in progress', () => {
  test('B7: is a hold, which keeps the logs that the backup needs and goes with it', async () => {
    const { home, db } = await scenes.openHome(100)
    const { logDirectory } = homeLayout(home)
    const before = await logsIn(logDirectory)
    const pinned = deferred()
    const goOn = deferred()
    const onEvent = ({ type }: HotbackupEvent): void => {
      if (type === 'pinned') pinned.resolve()
    }
    // It stands still between the flag and the copy of the data.
    const open = async (...[path, mode]: Parameters<FileSystem['open']>): Promise<FileHandle> => {
      if (path.endsWith('.ldb')) await goOn.promise
      return nodeFileSystem.open(path, mode)
    }
    const target = scenes.path('backup')
    const backup = hotbackup({ home, target, onEvent, fileSystem: { ...nodeFileSystem, open } })
    await pinned.promise
    expect(await liveHolds(logDirectory)).toMatchObject([{ purpose: 'hotbackup', pid: process.pid }])
    await write(db, 200)
    await db.checkpoint()
    expect(await logsIn(logDirectory)).toEqual(expect.arrayContaining([...before]))
    goOn.resolve()
    await backup
    expect(await liveHolds(logDirectory)).toEqual([])
    await db.checkpoint()
    await db.close()
    expect(await logsIn(logDirectory)).not.toEqual(expect.arrayContaining([...before]))
    expect(await scenes.recovered(target)).toEqual(stateAfter(200))
  })

  test('B7: dies with the process that took it', async () => {
    const { home, db } = await scenes.openHome(200)
    await db.checkpoint()
    const { logDirectory } = homeLayout(home)
    const child = begin(['hotbackup', '-h', home, '-b', scenes.path('backup'), '--max-mb-per-s', '0.01'])
    while ((await liveHolds(logDirectory)).length === 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await liveHolds(logDirectory)).toMatchObject([{ pid: child.pid }])
    child.kill('SIGKILL')
    await child.ended
    expect(await liveHolds(logDirectory)).toEqual([])
    await db.close()
  })
})

describe('B8: databases first, then logs', () => {
  test('B8: is the order of every backup', async () => {
    const { home, db } = await scenes.openHome()
    const told: string[] = []
    const onEvent = (event: HotbackupEvent): void => {
      told.push(event.type === 'file.copied' ? event.name.split('/').slice(0, -1).join('/') : event.type)
    }
    await hotbackup({ home, target: scenes.path('backup'), onEvent })
    const [lastData, began, firstLog] = ['checkpoint/tables', 'log.begun', 'log'].map((what, at) =>
      at === 0 ? told.lastIndexOf(what) : told.indexOf(what),
    )
    expect(lastData).toBeLessThan(Number(began))
    expect(began).toBeLessThan(Number(firstLog))
    await db.close()
  })

  test('B8: and the other order is caught: logs that were copied before the data cannot complete it', async () => {
    const { home, db } = await scenes.openHome(100)
    const early = scenes.path('logs-first')
    await hotbackup({ home, target: early })
    await write(db, 200)
    await db.checkpoint()
    const late = scenes.path('data-after')
    await hotbackup({ home, target: late })
    await db.close()
    // The logs of the earlier moment with the data of the later one, and a manifest in which all checksums are right.
    const reversed = scenes.path('reversed')
    await mkdir(reversed)
    for (const part of ['checkpoint', 'timberline.json'])
      await cp(join(late, part), join(reversed, part), { recursive: true })
    await cp(join(early, 'log'), join(reversed, 'log'), { recursive: true })
    const [first, second] = [await manifestOf(early), await manifestOf(late)]
    const files = [
      ...second.files.filter(({ name }) => !name.startsWith('log/')),
      ...first.files.filter(({ name }) => name.startsWith('log/')),
    ]
    const { endLsn, endCommittedAtUs } = first
    const manifest = encodeBackupManifest({ ...second, files, endLsn, endCommittedAtUs })
    await writeFile(join(reversed, 'backup.json'), manifest)
    expect((await timberline(['verify', '-b', reversed])).out).toMatch(/BACKUP_(LOG_GAP|MANIFEST)/)
    await isRefused(
      ['recover', '--from', reversed, '-h', scenes.path('recovered')],
      /RECOVERY_|BACKUP_|ARCHIVE_/,
    )
  })
})

describe('B9: incremental backups', () => {
  test('B9: copy the log alone, with no checkpoint and no pause, and take nothing from the home', async () => {
    const { home, db } = await scenes.openHome(60)
    const target = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', target])
    const checkpoint = await newestCheckpoint(home)
    let n = 60
    let isWriting = true
    const writing = (async () => {
      while (isWriting) await write(db, (n += 1))
    })()
    const before = await logsIn(homeLayout(home).logDirectory)
    const events: HotbackupEvent[] = []
    await hotbackup({ home, target, update: true, onEvent: (event) => events.push(event) })
    isWriting = false
    await writing
    const copied = events.flatMap((event) => (event.type === 'file.copied' ? [event.name] : []))
    expect(copied.every((name) => name.startsWith('log/'))).toBe(true)
    expect(await newestCheckpoint(home)).toEqual(checkpoint)
    expect(await logsIn(homeLayout(home).logDirectory)).toEqual(expect.arrayContaining([...before]))
    await ends0(['hotbackup', '-u', '-h', home, '-b', target])
    await db.close()
    expect(await scenes.recovered(target)).toEqual(stateAfter(n))
  })

  test('B9: or go on for ever into an archive', async () => {
    const { home, db } = await scenes.openHome(30)
    const archive = scenes.path('archive')
    await ends0(['archive', 'init', '-h', home, '-a', archive])
    await ends0(['hotbackup', '-h', home, '-a', archive])
    await write(db, 80)
    await ends0(['archive', 'run', '-h', home, '-a', archive, '--once'])
    await db.close()
    expect(await scenes.recovered(archive)).toEqual(stateAfter(80))
  })
})

describe('B11: the interval of full backups follows the time that a recovery takes', () => {
  test('B11: which is predicted in bytes, records and seconds, and decides whether a full backup is due', async () => {
    const { home, db } = await scenes.openHome(30)
    const archive = scenes.path('archive')
    await ends0(['archive', 'init', '-h', home, '-a', archive])
    const ask = ['hotbackup', '-h', home, '-a', archive, '--when-recovery-exceeds', '10min']
    expect((await ends0([...ask, '-v'])).err).toMatch(/^due: nothing of timeline 1 can be recovered yet$/m)
    await isRefused(ask, /CLI_RECOVERY_UNMEASURED[\s\S]*next: run `timberline drill/)
    await ends0(['drill', '-a', archive])
    await write(db, 330)
    await ends0(['archive', 'run', '-h', home, '-a', archive, '--once'])
    const plan = await outcome(['recover', '--from', archive, '-h', scenes.path('none'), '--plan'])
    expect(plan).toMatchObject({
      predicted: { baseBytes: expect.any(Number), logBytes: expect.any(Number), records: expect.any(Number) },
    })
    expect(lines(await ends0(ask))).toEqual([expect.stringMatching(/^not due: a recovery would take about/)])
    // A drill that measured a machine of one record in ten seconds corrects the prediction.
    const opened = await openArchive(openStore(archive))
    const proof = (await opened.catalogue()).proof
    const pace = { records: 10, replayUs: 100_000_000, totalUs: 100_000_000, restoreUs: 0 }
    if (proof !== undefined)
      await opened.appendEvent({ type: 'recovery.proved', proof: { ...proof, ...pace } })
    const { err, out } = await ends0([...ask, '-v', '-c'])
    expect(err).toMatch(/^due: a recovery would take about .* min .*, more than 10 min 00 s$/m)
    expect(out).toMatch(/^backup /)
    // The new base has made it short again.
    expect((await outcome(ask))['isDue']).toBe(false)
    await db.close()
  })
})

describe('B12: recovery run on the backup at each increment', () => {
  test('B12: leaves nothing to replay when the backup is needed', async () => {
    const { home, db } = await scenes.openHome(40)
    const [plain, recovered] = [scenes.path('plain'), scenes.path('recovered')]
    for (const target of [plain, recovered]) await ends0(['hotbackup', '-h', home, '-b', target])
    for (const n of [80, 120, 160]) {
      await write(db, n)
      await ends0(['hotbackup', '--update', '-h', home, '-b', plain])
      await ends0(['hotbackup', '--update', '--recover', '-h', home, '-b', recovered])
    }
    await db.close()
    await ends0(['verify', '-b', recovered])
    expect(await scenes.recovered(recovered)).toEqual(stateAfter(160))
    // In place, as `db_recover -c -h BACKUP` does.
    const [long, short] = [
      await outcome(['recover', '-h', plain]),
      await outcome(['recover', '-c', '-h', recovered]),
    ]
    expect(long['records']).toBeGreaterThan(120)
    expect(short['records']).toBe(0)
    expect(short['digest']).toEqual(long['digest'])
    expect(short['proofs']).toMatchObject([{ recordedBy: 'backup' }])
  })
})
