/** Berkeley DB's tools by their letters, row by row; what theirs answer in the same situations is compared in test/servers. */
import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { homeLayout, newestCheckpoint, TimberLevel } from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { commandTable, lettersOf } from 'timberline'
import { begin, outcome, timberline } from '../../packages/cli/test/terminal.ts'
import { contentOf } from '../support/running-application.ts'
import { ends0, isRefused, lines, openHome, Scenes, stateAfter, write } from './home-scenes.ts'

const scenes = new Scenes()
const open: TimberLevel<string, string>[] = []
beforeAll(() => scenes.begin())
afterEach(async () => {
  for (const db of open.splice(0)) await db.close()
})
afterAll(() => scenes.end())

async function liveHome(n: number): Promise<{ home: string; db: TimberLevel<string, string> }> {
  const live = await scenes.openHome(n)
  open.push(live.db)
  return live
}

const logsOf = async (home: string): Promise<readonly string[]> =>
  (await readdir(homeLayout(home).logDirectory)).filter((name) => /^log\.\d{10}$/.test(name)).toSorted()

describe('B13: db_hotbackup', () => {
  test('B13: -b -c -D -d -g -h -l -u -v -V mean the same', async () => {
    expect('bcDdghluvV'.split('').filter((letter) => !lettersOf('hotbackup').includes(letter))).toEqual([])
    const { home, db } = await liveHome(40)
    const target = scenes.path('backup')
    const before = (await newestCheckpoint(home))?.lsn ?? 0
    const all = ['hotbackup', '-c', '-v', '-g', '-D', '-h', home, '-d', 'data', '-l', 'log', '-b', target]
    const { err, out } = await ends0(all)
    // -v tells each step, -c took a checkpoint of all 40.
    expect(err).toMatch(
      /^hot backup started at .*Z, of [\s\S]*checkpoint\.taken[\s\S]*copied checkpoint\/tables\/[\s\S]*copied log\/log\.\d{10}[\s\S]*lowest numbered log file copied: \d+/,
    )
    expect(out).toMatch(/^backup +\d{8}-\d{6}F$/m)
    expect((await newestCheckpoint(home))?.lsn ?? 0).toBeGreaterThanOrEqual(before + 40)
    await write(db, 60)
    await ends0(['hotbackup', '-u', '-h', home, '-b', target])
    expect(await scenes.recovered(target)).toEqual(stateAfter(60))
    expect((await timberline(['hotbackup', '-V'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('B13: -d and -l confirm where the folders are, and -b is never the home', async () => {
    const { home } = await liveHome(5)
    const target = scenes.path('backup')
    for (const letter of ['-d', '-l'])
      await isRefused(
        ['hotbackup', '-h', home, letter, '/elsewhere', '-b', target],
        /CLI_DIRECTORY_ELSEWHERE/,
      )
    const onto = await isRefused(['hotbackup', '-h', home, '-b', home], /HOTBACKUP_TARGET_OVERLAPS/)
    expect(onto.code).toBe(6)
  })
})

describe('B14: db_archive', () => {
  test('B14: nothing, -a, -l, -s and -d list and remove as there, one name a line', async () => {
    const home = await scenes.closedHome(400)
    const { logDirectory, dataDirectory } = homeLayout(home)
    const logs = await logsOf(home)
    expect(logs.length).toBeGreaterThan(3)
    const list = async (...letters: string[]): Promise<readonly string[]> =>
      lines(await ends0(['archive', 'list', '-h', home, ...letters]))
    expect(await list()).toEqual(logs.slice(0, -1))
    expect(await list('-a')).toEqual(logs.slice(0, -1).map((name) => resolve(logDirectory, name)))
    expect(await list('-l')).toEqual(logs)
    expect(await list('-l', '-a')).toEqual(logs.map((name) => resolve(logDirectory, name)))
    const data = (await readdir(dataDirectory)).filter((name) => name.endsWith('.ldb')).toSorted()
    expect(data.length).toBeGreaterThan(0)
    expect(await list('-s')).toEqual(data)
    expect(await list('-s', '-a')).toEqual(data.map((name) => resolve(dataDirectory, name)))
    expect((await timberline(['archive', 'list', '-h', home, '-l', '-s'])).code).toBe(2)
    expect(await list('-d')).toEqual([])
    expect(await logsOf(home)).toEqual(logs.slice(-1))
    expect(await contentOf(home)).toEqual(stateAfter(400))
  })

  test('B14: names no log that recovery still needs', async () => {
    const { home, db } = await liveHome(400)
    expect((await logsOf(home)).length).toBeGreaterThan(3)
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual([])
    await ends0(['archive', 'list', '-d', '-h', home])
    await db.close()
    // Without its data files a home comes out of checkpoint and log.
    await rm(homeLayout(home).dataDirectory, { recursive: true })
    await ends0(['recover', '-c', '-h', home])
    expect(await contentOf(home)).toEqual(stateAfter(400))
  })

  test('B14: names no log that a backup still needs', async () => {
    const home = await scenes.closedHome(400)
    const logs = await logsOf(home)
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'hotbackup', fromSegment: 3 })
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual(logs.slice(0, 2))
    await ends0(['archive', 'list', '-d', '-h', home])
    expect(await logsOf(home)).toEqual(logs.slice(2))
    await hold.release()
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual(logs.slice(2, -1))
  })

  test('B14: names no log that any of its archives still needs', async () => {
    const home = await scenes.closedHome(400)
    const logs = await logsOf(home)
    const [near, far] = [scenes.path('near'), scenes.path('far')]
    await ends0(['archive', 'init', '-h', home, '-a', near, '--name', 'near'])
    await ends0(['archive', 'init', '-h', home, '-a', far, '--name', 'far'])
    await ends0(['archive', 'run', '-h', home, '-a', near, '--name', 'near', '--once'])
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual([])
    await ends0(['archive', 'list', '-d', '-h', home])
    expect(await logsOf(home)).toEqual(expect.arrayContaining([...logs]))
    await ends0(['archive', 'run', '-h', home, '-a', far, '--name', 'far', '--once'])
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual(logs.slice(0, -1))
    await ends0(['archive', 'list', '-d', '-h', home])
    await ends0(['hotbackup', '-h', home, '-a', far])
    expect(await scenes.recovered(far)).toEqual(stateAfter(400))
  })

  test('B14: -d beside the process that has the home open is done by that process', async () => {
    const { home, db } = await liveHome(1)
    const hold = await placeHold(homeLayout(home).logDirectory, { purpose: 'keep them for the checkpoint' })
    await write(db, 400)
    await db.checkpoint()
    const logs = await logsOf(home)
    await hold.release()
    expect(lines(await ends0(['archive', 'list', '-h', home]))).toEqual(logs.slice(0, -1))
    await ends0(['archive', 'list', '-d', '-h', home])
    expect(await logsOf(home)).toEqual(logs.slice(-1))
    await write(db, 420)
  })
})

describe('B15: db_recover', () => {
  test('B15: -c -e -f -v recover in place', async () => {
    const home = await scenes.closedHome(60)
    await rm(homeLayout(home).dataDirectory, { recursive: true })
    const { err, out } = await ends0(['recover', '-c', '-e', '-f', '-v', '-h', home])
    expect(err).toMatch(
      /^last valid log LSN: \d+\n(recovery started from LSN \d+\n)?recovery complete at \d{4}-/,
    )
    expect(out).toMatch(/data files +rebuilt from the checkpoint at LSN \d+/)
    expect(await contentOf(home)).toEqual(stateAfter(60))
  })

  test('B15: -t is an instant, by seconds as there or to the microsecond', async () => {
    const { home, db } = await liveHome(1)
    const archive = scenes.path('archive')
    await ends0(['archive', 'init', '-h', home, '-a', archive])
    await ends0(['hotbackup', '-h', home, '-a', archive])
    await write(db, 40)
    await ends0(['archive', 'run', '-h', home, '-a', archive, '--once'])
    const printed = await timberline(['printlog', '-h', home, '--json', '--kind', 'entry'])
    const records = JSON.parse(printed.out) as { committedAt: string; lsn: number }[]
    const wanted = records.at(-15)
    const recovered = scenes.path('recovered')
    const at = ['-t', wanted?.committedAt ?? '']
    expect(await outcome(['recover', '--from', archive, '-h', recovered, ...at])).toMatchObject({
      lsn: wanted?.lsn,
      committedAt: wanted?.committedAt,
    })
    expect(await contentOf(recovered)).toEqual(stateAfter(26))
    const early = ['recover', '--from', archive, '-h', scenes.path('early'), '-t', '200001010000.00']
    const refusal = await isRefused(early, /RECOVERY_NO_BASE[\s\S]*nearest after: lsn \d+ of \d{4}-/)
    expect(refusal.code).toBe(4)
    expect((await timberline(['recover', '--from', archive, '-h', recovered, '-t', 'notatime'])).code).toBe(2)
  })

  test('B15: a missing log is named, first, middle or all', async () => {
    for (const [missing, named] of [
      ['log.0000000003', /WAL_GAP .*log\.0000000003/],
      ['log.0000000001', /ENGINE_STATE_LOST .*missingLog=log\.0000000001/],
      ['', /RECOVERY_LOG_LOST/],
    ] as const) {
      const home = await scenes.closedHome(400)
      const { logDirectory, dataDirectory, checkpointDirectory } = homeLayout(home)
      await rm(join(logDirectory, missing), { recursive: true })
      // Nothing but the log is left to recover from.
      await rm(dataDirectory, { recursive: true })
      await rm(checkpointDirectory, { recursive: true })
      expect((await isRefused(['recover', '-c', '-h', home], named)).code).toBeGreaterThan(1)
    }
  })
})

describe('B16: db_checkpoint, db_printlog, db_stat, db_verify, db_log_verify', () => {
  test('B16: checkpoint -1 -k -p', async () => {
    const { home, db } = await liveHome(30)
    const { err, out } = await ends0(['checkpoint', '-1', '-v', '-h', home])
    expect(err).toBe('checkpoint begin\ncheckpoint complete\n')
    expect(out).toMatch(/^checkpoint at LSN \d+, .*: \d+ tables/)
    const lsn = (await newestCheckpoint(home))?.lsn ?? 0
    // It stays, and takes the next one after a kilobyte.
    const child = begin(['checkpoint', '-k', '1', '-p', '60', '-v', '-h', home])
    for (let n = 31; ((await newestCheckpoint(home))?.lsn ?? 0) <= lsn; n++) {
      await write(db, n)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    child.kill('SIGINT')
    expect(await child.ended).toMatchObject({ code: 0, out: expect.stringMatching(/\d+ checkpoints? taken/) })
    expect((await timberline(['checkpoint', '-1', '-k', '5', '-h', home])).code).toBe(2)
  })

  test('B16: printlog -b -e -r', async () => {
    const home = await scenes.closedHome(40)
    const lsns = async (...letters: string[]): Promise<readonly number[]> =>
      lines(await ends0(['printlog', '-h', home, ...letters])).flatMap((line) => {
        const [, lsn] = /^\[(\d+)\]/.exec(line) ?? []
        return lsn === undefined ? [] : [Number(lsn)]
      })
    expect(await lsns('-b', '7', '-e', '10')).toEqual([7, 8, 9, 10])
    expect(await lsns('-b', '7', '-e', '10', '-r')).toEqual([10, 9, 8, 7])
    const all = await lsns()
    expect(await lsns('-r')).toEqual(all.toReversed())
  })

  test('B16: stat and verify, of a home and its log', async () => {
    const home = await scenes.closedHome(400)
    expect((await ends0(['stat', '-h', home])).out).toMatch(/^log +\d+ segments, .*LSN 1 to \d+$/m)
    await ends0(['verify', '-h', home])
    await rm(join(homeLayout(home).logDirectory, 'log.0000000002'))
    const { code, out } = await timberline(['verify', '-h', home])
    expect({ code, out }).toMatchObject({ code: 1, out: expect.stringContaining('WAL_GAP') })
  })

  test('B16: each with --json', async () => {
    const home = await scenes.closedHome(20)
    const counterparts = ['checkpoint', 'printlog', 'stat', 'verify', 'archive list', 'hotbackup', 'recover']
    for (const name of counterparts) {
      const row = commandTable.find((candidate) => candidate.name === name)
      expect(
        row?.options.some((option) => option.name === 'json'),
        name,
      ).toBe(true)
    }
    for (const name of ['checkpoint', 'printlog', 'stat', 'verify', 'archive list', 'recover']) {
      const { out } = await ends0([...name.split(' '), '-h', home, '--json'])
      expect(typeof JSON.parse(out), name).toBe('object')
    }
  })
})

describe('B17: a hot backup', () => {
  test('B17: carries a label, and an ordinary open refuses it until recovery has run', async () => {
    const { home } = await liveHome(30)
    const target = scenes.path('backup')
    await ends0(['hotbackup', '-h', home, '-b', target])
    const refusal: unknown = await contentOf(target).catch((error: unknown) => (error as Error).cause)
    expect(refusal).toMatchObject({ code: expect.stringMatching(/^ENGINE_/) as string, hint: /recover/ })
    expect((await readdir(target)).includes('data')).toBe(false)
    await ends0(['recover', '-c', '-h', target])
    expect(await contentOf(target)).toEqual(stateAfter(30))
  })
})

describe('B18: log files', () => {
  test('B18: are named log.NNNNNNNNNN, counted from 1, and the highest is the last', async () => {
    const home = await scenes.closedHome(400)
    const db = await openHome(home)
    open.push(db)
    const logs = await logsOf(home)
    expect(logs[0]).toBe('log.0000000001')
    expect(logs).toEqual(logs.map((_, index) => `log.${String(index + 1).padStart(10, '0')}`))
    await db.switchSegment()
    const more = await logsOf(home)
    expect(more).toEqual([...logs, `log.${String(logs.length + 1).padStart(10, '0')}`])
    const { log } = (await outcome(['stat', '-h', home])) as { log: { activeSegment: number } }
    expect(log.activeSegment).toBe(more.length)
  })
})
