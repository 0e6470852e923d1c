/** What OpenEdge does, row by row of docs/coming-from.md, through the public API and the command. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BackupRef, directoryStore, openArchive, runShipper } from '@timberline/archive'
import { type EngineEvent, homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { parseSegmentName, segmentName } from '@timberline/wal'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { CatalogueFold } from '../../packages/archive/src/catalogue/catalogue-fold.ts'
import { backupManifestName, journalName, parseJournalName } from '../../packages/archive/src/layout.ts'
import { begin, outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { backupLabel } from '../../packages/hotbackup/src/sink/sink.ts'
import { interrupted } from '../../packages/hotbackup/test/fixture.ts'

let folder = ''
const at = (name: string): string => join(folder, name)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-openedge-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** A backup of the second with that number. */
function backupOf(second: number): BackupRef {
  const label = backupLabel(second * 1000, 'full')
  const lsns = { lsn: second, beginLsn: second, endLsn: second }
  const times = { committedAtUs: second, endCommittedAtUs: second }
  const manifest = { name: backupManifestName(label), manifestSha256: '0'.repeat(64) }
  return { label, timeline: 1, kind: 'full', ...lsns, ...times, ...manifest, bytes: 1 }
}

describe('O9: at most 65,535 backups', () => {
  test('no number in a name ends there', () => {
    expect(parseJournalName(journalName(65_536))).toBe(65_536)
    expect(parseJournalName(journalName(Number.MAX_SAFE_INTEGER))).toBe(Number.MAX_SAFE_INTEGER)
    expect(parseSegmentName(segmentName(9_999_999_999))).toBe(9_999_999_999)
  })

  test('a catalogue of 70,000 backups is one like any other', () => {
    const fold = new CatalogueFold()
    const rest = { format: 1, environmentId: '', writerId: '', atUs: 0 } as const
    fold.apply({ ...rest, sequence: 1, event: { type: 'timeline.begun', timeline: 1 } })
    for (let second = 1; second <= 70_000; second += 1) {
      const event = { type: 'backup.added', backup: backupOf(second) } as const
      fold.apply({ ...rest, sequence: second + 1, event })
    }
    const { backups } = fold.catalogue({ format: 1, environmentId: '', createdAtUs: 0 }, [])
    expect(backups).toHaveLength(70_000)
    expect(new Set(backups.map(({ label }) => label)).size).toBe(70_000)
    expect(backups.at(-1)).toEqual(backupOf(70_000))
  })
})

test('O11: archive status shows each segment: active, sealed, uploading, archived or lost', async () => {
  const home = at('states')
  const { logDirectory } = homeLayout(home)
  const db = new TimberLevel(home, { checkpoint: { checkpointAgeMs: 0 } })
  const write = async (): Promise<void> => {
    await db.put('a', '1')
    await timberline(['switch', '-h', home])
  }
  const states = async (): Promise<readonly string[]> => {
    const { out } = await timberline(['archive', 'status', '-h', home, '-a', at('archive'), '--json'])
    return (JSON.parse(out) as { segments: { state: string }[] }).segments.map(({ state }) => state)
  }
  await write()
  await outcome(['archive', 'run', '-h', home, '-a', at('archive'), '--once'])
  await write()
  expect((await states()).slice(-3)).toEqual(['archived', 'sealed', 'active'])
  // The object of the segment is stored, and the event that enters it is not.
  const identity = await readHomeIdentity(home)
  const store = directoryStore(at('archive'))
  const put: typeof store.put = async (name, content) => {
    if (!('read' in content) && Buffer.from(content).includes('segment.archived')) throw new Error('no room')
    return store.put(name, content)
  }
  const stop = new AbortController()
  const archive = await openArchive({ ...store, put })
  const shipper = runShipper({ logDirectory, archive, identity, name: 'archive', signal: stop.signal })
  await shipper.done.catch(() => undefined)
  stop.abort()
  expect((await states()).slice(-3)).toEqual(['archived', 'uploading', 'active'])
  // The archive is given up, and the home lets go what it alone lacks.
  await rm(join(logDirectory, 'confirmed.archive.json'))
  await write()
  await db.checkpoint()
  expect(await states()).toContain('lost')
  await db.close()
})

describe('O13: proquiet', () => {
  test('quiesce and resume, with a maximum length', async () => {
    const db = new TimberLevel(at('quiet'))
    await db.put('a', '1')
    expect((await timberline(['quiesce', '-h', at('quiet'), '--max-seconds', '3600'])).out).toMatch(
      /^quiesced at LSN \d+, until 2/,
    )
    const waiting = db.put('a', '2')
    expect(await db.get('a')).toBe('1')
    expect((await timberline(['stat', '-h', at('quiet')])).out).toContain('PAUSED')
    expect((await timberline(['resume', '-h', at('quiet')])).out).toMatch(/^resumed after /)
    await waiting
    await timberline(['quiesce', '-h', at('quiet'), '--max-seconds', '0.1'])
    await db.put('a', '3')
    const late = await timberline(['resume', '-h', at('quiet')])
    expect(late).toMatchObject({ code: 5, err: expect.stringContaining('ENGINE_QUIESCE_ENDED') })
    await db.close()
  })
})

describe('O14: several databases at one logical point', () => {
  test('a mark over two homes, to which each is recovered', async () => {
    const [orders, stock] = [new TimberLevel(at('orders')), new TimberLevel(at('stock'))]
    const copy = async (name: string, ...words: string[]): Promise<void> => {
      await outcome(['hotbackup', '-h', at(name), '-b', at(`${name}-backup`), ...words])
    }
    await orders.put('order', '1')
    await stock.put('order', '1')
    for (const name of ['orders', 'stock']) await copy(name)
    expect(await outcome(['mark', 'both', '-h', at('orders'), '-h', at('stock')])).toMatchObject({
      name: 'both',
      marks: [{ participant: at('orders') }, { participant: at('stock') }],
    })
    await orders.put('order', '2')
    await stock.put('order', '2')
    for (const name of ['orders', 'stock']) {
      await copy(name, '-u')
      const words = [
        'recover',
        '--from',
        at(`${name}-backup`),
        '-h',
        at(`${name}-then`),
        '--until-mark',
        'both',
      ]
      await outcome([...words, '--through'])
      const then = new TimberLevel(at(`${name}-then`))
      expect(await then.get('order')).toBe('1')
      await then.close()
    }
    await orders.close()
    await stock.close()
  })
})

test('O16: databases are created and cleared while a backup is made', async () => {
  const db = new TimberLevel(at('schema'))
  const sub = (name: string): ReturnType<typeof db.sublevel<string, string>> => db.sublevel(name, {})
  await sub('old').put('a', '1')
  await sub('kept').put('a', '1')
  await db.checkpoint()
  const changing = interrupted(/tables/, 'open', async () => {
    await sub('new').put('a', '2')
    await sub('old').clear()
  })
  await hotbackup({ home: at('schema'), target: at('schema-backup'), fileSystem: changing })
  await db.close()
  await outcome(['recover', '--from', at('schema-backup'), '-h', at('schema-then')])
  const then = new TimberLevel(at('schema-then'))
  expect(await then.keys().all()).toEqual(['!kept!a', '!new!a'])
  await then.close()
})

describe('O19: the archiver', () => {
  test('switches by time, into a list of archives, and on demand', async () => {
    const db = new TimberLevel(at('timed'))
    // The first checkpoint, which seals too, is out of the way.
    await db.checkpoint()
    await db.put('a', '1')
    const targets = ['-a', `east=${at('east')}`, '-a', `west=${at('west')}`]
    const { activeSegment } = await db.homeStatus()
    const archiver = begin(['archive', 'run', '-h', at('timed'), ...targets, '--switch-every', '0.2'])
    onTestFinished(() => void archiver.kill('SIGKILL'))
    for (const name of ['east', 'west']) {
      const status = ['archive', 'status', '-h', at('timed'), '-a', at(name), '--json']
      for (let state = ''; state !== 'archived';) {
        await new Promise((resolve) => setTimeout(resolve, 100))
        const { out } = await timberline(status)
        const { segments = [] } = JSON.parse(out) as { segments?: { segmentNumber: number; state: string }[] }
        state = segments.find(({ segmentNumber }) => segmentNumber === activeSegment)?.state ?? ''
      }
    }
    archiver.kill('SIGINT')
    expect((await archiver.ended).code).toBe(0)
    await db.put('a', '2')
    expect((await timberline(['switch', '-h', at('timed')])).out).toMatch(
      /^sealed log\.\d{10}, through LSN \d+$/m,
    )
    expect((await timberline(['switch', '-h', at('timed')])).out).toContain('nothing to seal')
    await db.close()
    expect((await timberline(['switch', '-h', at('timed')])).code).toBe(0)
  })

  test('stalls commits when the log is full, where that is the policy, and lets them go on when the archive is back', async () => {
    const told: string[] = []
    const db = new TimberLevel(at('full'), {
      checkpoint: { checkpointAgeMs: 0, logBytesMax: 200_000, logFullPolicy: 'stall' },
      log: { preallocateBytes: 0 },
      onEvent: ({ type }) => told.push(type),
    })
    await db.open()
    await outcome(['archive', 'init', '-h', at('full'), '-a', at('full-archive')])
    const writes: Promise<void>[] = []
    while (!told.includes('log.stalled')) {
      writes.push(db.put('a', 'x'.repeat(4000)))
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    const late = db.put('b', '1')
    expect((await timberline(['stat', '-h', at('full')])).out).toContain('STALLED')
    await outcome(['archive', 'run', '-h', at('full'), '-a', at('full-archive'), '--once'])
    await Promise.all([...writes, late])
    expect(told.indexOf('log.resumed')).toBeGreaterThan(told.indexOf('log.stalled'))
    await db.close()
  })

  test('keeps commits going instead, where that is the policy, and names what the archive will lack', async () => {
    const released: EngineEvent[] = []
    const db = new TimberLevel(at('released'), {
      checkpoint: { checkpointAgeMs: 0, logBytesMax: 200_000, logFullPolicy: 'release' },
      log: { preallocateBytes: 0 },
      onEvent: (event) => {
        if (event.type === 'log.released') released.push(event)
      },
    })
    await db.open()
    await outcome(['archive', 'init', '-h', at('released'), '-a', at('released-archive')])
    while (released.length === 0) await db.put('a', 'x'.repeat(4000))
    expect(released).toMatchObject([
      { archives: ['archive'], names: expect.arrayContaining(['log.0000000001']) },
    ])
    await db.close()
  })
})
