/** What OpenEdge's documents say of `probkup online`, row by row: what a backup holds, what it copies, how it is restored. */
import { mkdtemp, readFile, readdir, rm, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createArchive, decodeBackupManifest, directoryStore, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, type TimberLevel } from '@timberline/engine'
import { hotbackup, type HotbackupEvent } from '@timberline/hotbackup'
import { expire, recover } from '@timberline/recovery'
import { type FileSystem, listSegments, nodeFileSystem, segmentName } from '@timberline/wal'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { interrupted, openUsedHome, SMALL, write } from '../../packages/hotbackup/test/fixture.ts'
import { Model } from '../../packages/hotbackup/test/history.ts'
import { contentOf } from '../support/running-application.ts'

let folder = ''
let db: TimberLevel<string, string>
const at = (name: string): string => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-openedge-'))
  db = await openUsedHome(at('home'), 60)
})

afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

/** The transaction at which a recovered home stands, its state compared with the history. */
async function standsAt(home: string): Promise<number> {
  const { n, state } = await contentOf(home)
  expect(state).toEqual(new Model(SMALL).at(n))
  return n
}

async function recovered(backup: string): Promise<number> {
  const home = `${backup}-recovered`
  await recover({ from: { backup }, home })
  return standsAt(home)
}

/** Lets something happen in the database when the first table of a backup is about to be copied. */
const whileCopying = (happening: () => Promise<void>) => ({
  fileSystem: interrupted(/tables/, 'open', happening),
})

/** The archive of the home with all log up to now. */
async function shipped() {
  const identity = await readHomeIdentity(at('home'))
  const archive = await createArchive(directoryStore(at('archive')), identity)
  const { logDirectory } = homeLayout(at('home'))
  const stop = new AbortController()
  const shipper = runShipper({ logDirectory, archive, identity, name: 'seed', signal: stop.signal })
  await shipper.flush()
  stop.abort()
  await shipper.done.catch(() => undefined)
  return archive
}

describe('O1: updates do not stall', () => {
  test('at every operation of a backup on a file a commit goes through', async () => {
    let n = 60
    // One after the other, though two files are copied at a time: the history is in order.
    let before = Promise.resolve()
    const commit = (): Promise<void> => (before = before.then(() => write(db, (n += 1))))
    // The backup waits for each of these commits; if it kept one from ending, neither would go on.
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      open: async (path, mode) => commit().then(() => nodeFileSystem.open(path, mode)),
      link: async (existing, path) => commit().then(() => nodeFileSystem.link(existing, path)),
      rename: async (from, to) => commit().then(() => nodeFileSystem.rename(from, to)),
      syncDirectory: async (path) => commit().then(() => nodeFileSystem.syncDirectory(path)),
    }
    const { writers } = await hotbackup({ home: at('home'), target: at('backup'), asOf: 'start', fileSystem })
    expect(writers?.commitCount).toBeGreaterThan(20)
    expect(writers?.longestWaitMs).toBeGreaterThan(0)
    expect(await recovered(at('backup'))).toBeLessThan(n)
  })

  test('the longest wait and the rate are told, as the owner metered them', async () => {
    const stop = new AbortController()
    const writing = (async () => {
      for (let n = 61; !stop.signal.aborted; n += 1) await write(db, n)
    })()
    const { out } = await timberline(['hotbackup', '-h', at('home'), '-b', at('backup')])
    const { writers } = await outcome(['hotbackup', '-h', at('home'), '-b', at('again')])
    stop.abort()
    await writing
    expect(out).toMatch(/^writers +\d+ commits, \d+\/s; the longest waited [\d.]+ m?s$/m)
    expect(writers).toMatchObject({ longestWaitMs: expect.any(Number) as unknown })
    await db.close()
    const quiet = await timberline(['hotbackup', '-h', at('home'), '-b', at('backup')])
    expect(quiet.out).toMatch(/^writers +not known/m)
  })
})

describe('O2: the backup is the state at the moment of the command', () => {
  test('what is committed while it is copied is not in it', async () => {
    const home = at('home')
    await hotbackup({ home, target: at('backup'), asOf: 'start', ...whileCopying(() => write(db, 90)) })
    expect(await recovered(at('backup'))).toBe(60)
  })

  test('the command takes it as --as-of start', async () => {
    const result = await outcome(['hotbackup', '-h', at('home'), '-b', at('backup'), '--as-of', 'start'])
    expect(result).toMatchObject({ asOf: 'start', lsn: result['endLsn'] })
  })
})

describe('O3: the work is sized first', () => {
  test('--estimate tells bytes, room and time, and copies nothing', async () => {
    const words = ['hotbackup', '-h', at('home'), '-b', at('backup'), '--max-mb-per-s', '1']
    // What the backup would have sealed is sealed, so that both see the same log.
    await db.switchSegment()
    const estimate = await outcome([...words, '--estimate'])
    expect(await readdir(folder)).toEqual(['home'])
    const { copiedBytes } = await outcome(words)
    expect(estimate).toMatchObject({ copyBytes: copiedBytes, fits: true, rate: 'limit' })
    expect(estimate['seconds']).toBe(Number(copiedBytes) / 1e6)
    expect((await timberline([...words, '--estimate'])).out).toMatch(/^to copy .* of tables, .* of log$/m)
  })
})

test('O4: -c has the owner bring everything into its files first, so that no log is left to replay', async () => {
  await db.checkpoint()
  await write(db, 90)
  const late = await outcome(['hotbackup', '-h', at('home'), '-b', at('late')])
  const early = await outcome(['hotbackup', '-h', at('home'), '-b', at('early'), '-c'])
  expect(Number(late['endLsn']) - Number(late['checkpointLsn'])).toBeGreaterThanOrEqual(30)
  // The one record behind it is the engine’s note of the checkpoint itself.
  expect(Number(early['endLsn']) - Number(early['checkpointLsn'])).toBeLessThanOrEqual(1)
  expect(await recovered(at('early'))).toBe(90)
})

test('O5: of the log only what recovery needs is copied', async () => {
  const { manifest } = await hotbackup({ home: at('home'), target: at('backup') })
  const copied = (await listSegments(join(at('backup'), 'log'))).map(({ header }) => header.segmentNumber)
  expect(Math.min(...copied)).toBe(manifest.checkpoint.segmentNumber)
  const { manifest: later } = await hotbackup({ home: at('home'), target: at('later'), checkpoint: true })
  expect(later.checkpoint.segmentNumber).toBeGreaterThan(manifest.sealed?.segmentNumber ?? Infinity)
  expect(await recovered(at('later'))).toBe(60)
})

test('O6: what is changed after the backup comes from the archived log', async () => {
  const archive = await shipped()
  await hotbackup({ home: at('home'), target: { archive } })
  await write(db, 90)
  await (await shipped()).close()
  await recover({ from: { archive }, home: at('recovered') })
  expect(await standsAt(at('recovered'))).toBe(90)
  await archive.close()
})

describe('O7: an incremental backup copies only what has changed since the last one', () => {
  /** Changes some of the data, and has it in tables of its own. */
  const change = async (n: number): Promise<void> => {
    await write(db, n)
    await db.checkpoint()
  }

  test('into a folder: unchanged tables are links, and each backup is whole by itself', async () => {
    await outcome(['hotbackup', '-h', at('home'), '-b', at('monday')])
    await change(70)
    const words = ['hotbackup', '-h', at('home'), '-b', at('tuesday'), '--base', at('monday')]
    const next = await outcome(words)
    expect(Number(next['reusedBytes'])).toBeGreaterThan(0)
    expect(Number(next['reusedBytes']) + Number(next['copiedBytes'])).toBeLessThanOrEqual(
      Number(next['bytes']),
    )
    await rm(at('monday'), { recursive: true })
    expect(await recovered(at('tuesday'))).toBe(70)
    const { out } = await timberline(['hotbackup', '-h', at('home'), '-b', at('tuesday'), '--incremental'])
    expect(out).toMatch(/^reused .* of backup \d{8}-\d{6}I$/m)
  })

  test('into an archive: it names the tables of earlier backups, which retention then keeps', async () => {
    const archive = await shipped()
    const words = ['hotbackup', '-h', at('home'), '-a', at('archive'), '--incremental']
    const full = await outcome(words)
    expect(full).toMatchObject({ kind: 'full', reusedBytes: 0 })
    await change(70)
    const next = await outcome(words)
    expect(next).toMatchObject({ kind: 'incremental', base: full['label'] })
    const promise = { instantsUs: 0, bases: [] }
    const { plan } = await expire({ archive, promise, apply: true, now: () => Date.now() * 2000 })
    expect(plan.kept.map(({ backup, keptFor }) => [backup.label, keptFor])).toEqual([
      [full['label'], ['files']],
      [next['label'], ['instants']],
    ])
    const { code } = await timberline(['archive', 'verify', '-a', at('archive'), '--strays'])
    expect(code).toBe(0)
    await recover({ from: { archive }, home: at('recovered'), base: String(next['label']) })
    expect(await standsAt(at('recovered'))).toBe(70)
    await archive.close()
  })

  test('a damaged table is named for each backup that needs it, and neither is restored with it', async () => {
    const archive = await shipped()
    const words = ['hotbackup', '-h', at('home'), '-a', at('archive'), '--incremental']
    const labels = [String((await outcome(words))['label']), String((await outcome(words))['label'])]
    const { files } = await archive.backupManifest(labels[1] ?? '')
    const table = files.find(({ object }) =>
      object?.includes(`${labels[0] ?? ''}/checkpoint/tables/`),
    )?.object
    await writeFile(join(at('archive'), table ?? ''), 'not a table')
    const { code, out } = await timberline(['archive', 'verify', '-a', at('archive')])
    expect(code).toBe(1)
    expect(out).toContain(`backup ${labels[1] ?? ''} names it too`)
    for (const base of labels) {
      const refused = recover({ from: { archive }, home: at(`from-${base}`), base })
      await expect(refused).rejects.toMatchObject({
        code: 'ARCHIVE_OBJECT_DAMAGED',
        details: { name: table },
      })
    }
    await archive.close()
  })
})

test('O8: a version of the data files is pinned and copied, whatever the database does to its own meanwhile', async () => {
  const upheaval = async (): Promise<void> => {
    await write(db, 200)
    await db.checkpoint()
    await db.compactRange('', '\uffff')
    await db.checkpoint()
  }
  const pinned: HotbackupEvent[] = []
  const { manifest } = await hotbackup({
    home: at('home'),
    target: at('backup'),
    asOf: 'start',
    onEvent: (event) => pinned.push(event),
    ...whileCopying(upheaval),
  })
  expect(pinned.find(({ type }) => type === 'pinned')).toMatchObject({ lsn: manifest.checkpoint.lsn })
  expect(await recovered(at('backup'))).toBe(60)
})

describe('O10: a backup has the owner go on in a new log file, and records where', () => {
  test('without being told to', async () => {
    const { activeSegment } = await db.homeStatus()
    const words = ['hotbackup', '-h', at('home'), '-b', at('backup')]
    const result = await outcome(words)
    expect(result['sealed']).toEqual({ segmentNumber: activeSegment, lsn: result['endLsn'] })
    expect((await db.homeStatus()).activeSegment).toBe(activeSegment + 1)
    const sealed = (await listSegments(join(at('backup'), 'log'))).find(
      ({ header }) => header.segmentNumber === activeSegment,
    )
    expect(sealed).toMatchObject({ sealed: true, lastLsn: result['endLsn'] })
    expect((await timberline(words)).out).toMatch(/^log sealed +log\.\d{10}, through LSN \d+$/m)
  })

  test('with -c a checkpoint has it switched before data is copied as well', async () => {
    const { activeSegment } = await db.homeStatus()
    await outcome(['hotbackup', '-h', at('home'), '-b', at('backup'), '-c'])
    const { checkpoint, files } = decodeBackupManifest(await readFile(join(at('backup'), 'backup.json')))
    expect(checkpoint.segmentNumber).toBe(activeSegment + 1)
    // What was written before is in the data; of the log, only the files behind the switch are in the backup.
    const logs = files.map(({ name }) => name).filter((name) => name.startsWith('log/'))
    expect(logs.toSorted()[0]).toBe(`log/${segmentName(activeSegment + 1)}`)
  })

  test('where nobody has it open, the log is taken as far as it is durable', async () => {
    await db.close()
    const words = ['hotbackup', '-h', at('home'), '-b', at('backup')]
    expect((await timberline(words)).out).toMatch(/^log sealed +no: taken as far as it is durable$/m)
    expect(await recovered(at('backup'))).toBe(60)
  })
})

test('O12: restored, then rolled forward to an end time', async () => {
  const archive = await shipped()
  await hotbackup({ home: at('home'), target: { archive } })
  await write(db, 80)
  const { lastCommittedAtUs = 0 } = (await listSegments(join(at('home'), 'log'))).at(-1) ?? {}
  await write(db, 90)
  await (await shipped()).close()
  await archive.close()
  const time = `${new Date(Math.floor(lastCommittedAtUs / 1000)).toISOString().slice(0, 19)}.${String(lastCommittedAtUs % 1e6).padStart(6, '0')}Z`
  const words = (edge: string): string[] => ['recover', '--from', at('archive'), '--until-time', time, edge]
  await outcome([...words('--through'), '-h', at('through')])
  await outcome([...words('--before'), '-h', at('before')])
  expect(await standsAt(at('through'))).toBe(80)
  expect(await standsAt(at('before'))).toBe(79)
})

test('O15: transactions committed before the end of the copy are in it, which is --as-of end, the default', async () => {
  const home = at('home')
  const { manifest } = await hotbackup({ home, target: at('backup'), ...whileCopying(() => write(db, 90)) })
  expect(manifest.asOf).toBe('end')
  expect(await recovered(at('backup'))).toBe(90)
  const said = await outcome(['hotbackup', '-h', home, '-b', at('said'), '--as-of', 'end'])
  expect(said['asOf']).toBe('end')
})

test('O17: the copy keeps to the rate that it is given', async () => {
  const size = await outcome(['hotbackup', '-h', at('home'), '-b', at('backup'), '--estimate'])
  const rate = Number(size['copyBytes']) / 1e6
  const words = ['hotbackup', '-h', at('home'), '-b', at('backup'), '--no-digest']
  // At a second's worth of bytes a second it cannot be faster, but for the burst after an idle moment.
  const { ms } = await outcome([...words, '--max-mb-per-s', String(rate)])
  expect(Number(ms)).toBeGreaterThan(400)
})

test('O17: beside a writer the command keeps to a limit of its own, and tells it', async () => {
  let isOver = false
  const writer = async (name: string): Promise<void> => {
    for (let n = 0; !isOver; n++) await db.put(name, String(n))
  }
  // Without a pause: the command looks for a few milliseconds, and this process may be given none of them.
  const writing = Promise.all(['a', 'b', 'c', 'd'].map(writer))
  const { err } = await timberline(['hotbackup', '-v', '-h', at('home'), '-b', at('backup'), '--no-digest'])
  isOver = true
  await writing
  expect(err).toMatch(/^rate\.limited bytesPerS=10000000$/m)
})

describe('O18: a restore goes into nothing, and a backup is verified alone and against the database', () => {
  test('a target with something in it is refused, and stays as it is', async () => {
    await hotbackup({ home: at('home'), target: at('backup') })
    await mkdir(at('full'))
    await writeFile(join(at('full'), 'mine'), '')
    const refused = await timberline(['recover', '--from', at('backup'), '-h', at('full')])
    expect(refused.err).toMatch(/^timberline: RECOVERY_TARGET_NOT_EMPTY /)
    expect(await readdir(at('full'))).toEqual(['mine'])
  })

  test('verify reads a backup alone, and names what is wrong in it', async () => {
    const { manifest } = await hotbackup({ home: at('home'), target: at('backup') })
    expect((await timberline(['verify', '-b', at('backup')])).code).toBe(0)
    const name = manifest.files.find((file) => file.name.includes('tables'))?.name ?? ''
    await writeFile(join(at('backup'), name), 'not a table')
    const { code, out } = await timberline(['verify', '-b', at('backup')])
    expect(code).toBe(1)
    expect(out).toContain(name)
  })

  test('verify --against compares what the archive restores to with the live database', async () => {
    const archive = await shipped()
    await hotbackup({ home: at('home'), target: { archive } })
    await write(db, 70)
    await (await shipped()).close()
    await archive.close()
    const words = ['verify', '-a', at('archive'), '--against', at('home')]
    expect(await outcome(words)).toMatchObject({ equal: true })
  })
})
