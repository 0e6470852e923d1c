/**
 * Situations of a user of Berkeley DB's tools, each made on both systems by the same steps. What a situation returns is words for what was
 * seen: exit code, names printed, what became of files, what the database holds afterwards.
 */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Result } from '../../packages/cli/test/terminal.ts'
import { SmallDisk } from './small-disk.ts'
import { stateOf, TOOLS, type LiveHome, type Side } from './berkeley-sides.ts'

/** A place for one situation on one side. */
export interface Place {
  readonly side: Side
  /** A path that nothing has. */
  path(name: string): string
}

type Situation = (place: Place) => Promise<string>

const FIRST = 400
const LATER = 700
const LAST = 1000

const words = (...facts: readonly (string | undefined)[]): string =>
  facts.filter((fact) => fact !== undefined).join('; ')
const exit = ({ code }: Result): string => `exit ${String(code)}`

/** Every file below a folder. */
function filesIn(path: string): readonly string[] {
  if (!existsSync(path)) return []
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(path, name)).isFile())
    .toSorted()
}

/** What a tool printed, in words: which of the files that there are. */
function printed({ side }: Place, home: string, { out }: Result, logs = side.logs(home)): string {
  const lines = out.split('\n').filter((line) => line !== '')
  if (lines.length === 0) return 'prints nothing'
  const isAbsolute = lines.every((line) => line.startsWith('/'))
  const names = lines.map((line) => line.slice(line.lastIndexOf('/') + 1)).join()
  const known = {
    'every log': logs,
    'the logs before the last': logs.slice(0, -1),
    'the data files': side.data(home),
  }
  const [what = 'something else'] = Object.entries(known).find(([, files]) => files.join() === names) ?? []
  return `prints ${what}${isAbsolute ? ', by absolute paths' : ''}`
}

/** What became of the logs. */
function kept({ side }: Place, home: string, before: readonly string[]): string | undefined {
  const after = side.logs(home)
  if (before.every((name) => after.includes(name))) return undefined
  return before.slice(0, -1).some((name) => after.includes(name))
    ? 'some logs are gone'
    : 'the logs before the last are gone'
}

/** What a database holds, in words. */
async function holding({ side }: Place, path: string): Promise<string> {
  const content = await side.content(path)
  if (content === 'refused') return 'an ordinary open is refused'
  const count = Number(content.split(':')[0])
  if (content !== stateOf(count)) return 'holds other records than were written'
  return count === LAST ? 'holds every record' : `holds the first ${String(count)} of ${String(LAST)} records`
}

async function home(place: Place, through: number): Promise<LiveHome> {
  const made = await place.side.make(place.path('home'))
  await made.write(through)
  return made
}

async function overwrite(path: string, position: number, bytes: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.write(Buffer.alloc(bytes, 0x5a), 0, bytes, position)
  await file.close()
}

/** db_archive with these letters; the logs that a checkpoint made needless are still there, if asked for. */
function archived(letters: readonly string[], when: 'before' | 'after' | 'after, by itself'): Situation {
  return async (place) => {
    const { path, checkpointKeepingLogs } = bound(await home(place, FIRST))
    const before = place.side.logs(path)
    if (when === 'after') await checkpointKeepingLogs()
    if (when === 'after, by itself') await place.side.run('checkpoint', ['-1', '-h', path])
    const logs = when === 'after' ? place.side.logs(path) : before
    const result = await place.side.run('archive', ['-h', path, ...letters])
    return words(exit(result), printed(place, path, result, logs), kept(place, path, logs))
  }
}

function bound(live: LiveHome): Pick<LiveHome, 'path' | 'checkpointKeepingLogs'> {
  return { path: live.path, checkpointKeepingLogs: () => live.checkpointKeepingLogs() }
}

/** A full backup of FIRST, its home gone on to LAST by way of LATER. */
async function backedUp(place: Place): Promise<{ live: LiveHome; target: string }> {
  const live = await home(place, FIRST)
  const target = place.path('backup')
  await place.side.run('hotbackup', ['-c', '-h', live.path, '-b', target])
  return { live, target }
}

const digits = (text: string): string => text.replace(/\D/g, '')

/** The second of the clock, when it is over: [[CC]YY]MMDDhhmm.SS */
async function secondThatPassed(): Promise<string> {
  const sleepUntil = (ms: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, ms - Date.now()))
  // The next one, by what the clock says now: a timer may be over a moment too early, in the second before.
  const atMs = Math.floor(Date.now() / 1000) * 1000 + 1000
  await sleepUntil(atMs + 1100)
  const text = digits(new Date(atMs).toISOString())
  return `${text.slice(0, 12)}.${text.slice(12, 14)}`
}

/** All situations, by the words that the table of the document has for them. */
export const situations: Readonly<Record<string, Situation>> = {
  'a mistyped home': async (place) => {
    const { side } = place
    const empty = place.path('empty')
    await mkdir(empty)
    const codes: string[] = []
    for (const tool of ['archive', 'checkpoint', 'recover', 'printlog', 'stat'] as const) {
      const letters = tool === 'checkpoint' ? ['-1'] : []
      codes.push(`${tool} ${String((await side.run(tool, [...letters, '-h', empty])).code)}`)
    }
    const made = filesIn(empty)
    return words(`exit codes ${codes.join(', ')}`, made.length === 0 ? undefined : `${made.join()} is made`)
  },
  '`db_archive` before a checkpoint': archived([], 'before'),
  '`db_archive` when a checkpoint made logs needless': archived([], 'after'),
  '… right after `db_checkpoint -1`': archived([], 'after, by itself'),
  '`db_archive -a`': archived(['-a'], 'after'),
  '`db_archive -l`': archived(['-l'], 'after'),
  '`db_archive -l -a`': archived(['-l', '-a'], 'after'),
  '`db_archive -s`': archived(['-s'], 'after'),
  '`db_archive -s -a`': archived(['-s', '-a'], 'after'),
  '`db_archive -l -s`': archived(['-l', '-s'], 'after'),
  '`db_archive -d`': archived(['-d'], 'after'),
  '`db_archive -d -v`': archived(['-d', '-v'], 'after'),
  '`db_checkpoint -1 -v`': async (place) => {
    const { path } = await home(place, 10)
    const result = await place.side.run('checkpoint', ['-1', '-v', '-h', path])
    const tells = /checkpoint begin[\s\S]*checkpoint complete/.test(result.err)
    return words(exit(result), tells ? 'tells on stderr that it begins and is complete' : 'tells nothing')
  },
  '`db_checkpoint` without `-1`, `-k`, `-p`': async (place) => {
    const { path } = await home(place, 10)
    return exit(await place.side.run('checkpoint', ['-h', path]))
  },
  '`db_hotbackup` to a new folder': async (place) => {
    const live = await home(place, LAST)
    const target = place.path('backup')
    const result = await place.side.run('hotbackup', ['-h', live.path, '-b', target])
    const opens = await holding(place, target)
    const into = place.path('recovered')
    await place.side.recoverBackup(target, into)
    return words(exit(result), opens, `recovered, it ${await holding(place, into)}`)
  },
  '`db_hotbackup -v`': async (place) => {
    const { path } = await home(place, 10)
    const target = place.path('backup')
    const { out, err } = await place.side.run('hotbackup', ['-v', '-h', path, '-b', target])
    const isTold = (stream: string): boolean => stream.includes('hot backup started at')
    const told = isTold(out) ? 'stdout' : isTold(err) ? 'stderr' : 'nowhere'
    const files = filesIn(target).map((name) => name.slice(name.lastIndexOf('/') + 1))
    const copied = files.filter((name) => name.startsWith('log.') || /^kv\.db$|\.ldb$/.test(name))
    const names = copied.every((name) => `${out}${err}`.includes(name))
      ? 'names every file copied'
      : 'names no files'
    const text = `${out}${err}`
    const tells =
      /hot backup started at[\s\S]*lowest numbered log file copied: \d[\s\S]*backup completed at/.test(text)
    return words(`on ${told}`, names, tells ? 'tells when it begins and ends, and the lowest log' : undefined)
  },
  '`db_hotbackup` over an older backup, and the disk gets full': async (place) => onSmallDisk(place, 'old'),
  '`db_hotbackup` to a new folder, and the disk gets full': async (place) => onSmallDisk(place, 'new'),
  '`db_hotbackup` with `-b` equal to `-h`': async (place) => {
    const live = await home(place, LAST)
    const before = filesIn(live.path).length
    const result = await place.side.run('hotbackup', ['-h', live.path, '-b', live.path])
    const after = filesIn(live.path).length
    await live.close().catch(() => undefined)
    const left = after < before / 2 ? 'the home is deleted' : `the home ${await holding(place, live.path)}`
    return words(exit(result), left)
  },
  '`db_hotbackup -u`': async (place) => {
    const { live, target } = await backedUp(place)
    await live.write(LAST)
    const result = await place.side.run('hotbackup', ['-u', '-h', live.path, '-b', target])
    const into = place.path('recovered')
    await place.side.recoverBackup(target, into)
    return words(exit(result), `recovered, it ${await holding(place, into)}`)
  },
  '`db_hotbackup -u` without a backup to update': async (place) => {
    const live = await home(place, FIRST)
    await live.checkpointKeepingLogs()
    await place.side.run('archive', ['-d', '-h', live.path])
    const target = place.path('none')
    const result = await place.side.run('hotbackup', ['-u', '-h', live.path, '-b', target])
    return words(
      exit(result),
      filesIn(target).length === 0 ? 'leaves nothing' : 'leaves logs that are no backup',
    )
  },
  '`db_hotbackup -c -u`': async (place) => {
    const { live, target } = await backedUp(place)
    await live.write(LAST)
    const before = place.side.logs(live.path)
    const result = await place.side.run('hotbackup', ['-c', '-u', '-h', live.path, '-b', target])
    return words(exit(result), kept(place, live.path, before) ?? 'every log stays in the home')
  },
  '`db_recover -c`': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    const result = await place.side.run('recover', ['-c', '-h', live.path])
    return words(exit(result), await holding(place, live.path))
  },
  '`db_recover -c -v`': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    const { out, err } = await place.side.run('recover', ['-c', '-v', '-h', live.path])
    const tells = /last valid log LSN: .*\d[\s\S]*recovery start[a-z]+ from .*\d[\s\S]*recovery complete at/i
    return tells.test(out)
      ? 'on stdout; tells where it begins and ends'
      : words(tells.test(err) ? 'on stderr; tells where it begins and ends' : 'tells nothing')
  },
  '`db_recover -e -f -v`': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    const result = await place.side.run('recover', ['-e', '-f', '-v', '-h', live.path])
    return words(exit(result), await holding(place, live.path))
  },
  '`db_recover -t` to a second between two commits': async (place) => {
    const { live, target } = await backedUp(place)
    await live.write(LATER)
    const time = await secondThatPassed()
    await live.write(LAST)
    await place.side.addLogs(live.path, target)
    const into = place.path('recovered')
    return words(exit(await place.side.recoverBackup(target, into, time)), await holding(place, into))
  },
  '`db_recover -t` to a time before the backup': async (place) => {
    const { target } = await backedUp(place)
    const result = await place.side.recoverBackup(target, place.path('recovered'), '200001010000.00')
    const names = /earliest time is|nearest after/.test(result.err)
      ? 'names the earliest time there is'
      : undefined
    return words(exit(result), names)
  },
  '`db_recover -t notatime`': async (place) => {
    const { target } = await backedUp(place)
    const result = await place.side.recoverBackup(target, place.path('recovered'), 'notatime')
    return words(
      exit(result),
      /\b2084\b/.test(result.err) ? 'reads it as a time in 2084' : 'says that it is no time',
    )
  },
  '`db_recover -c` with a log missing in the middle': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    const logs = place.side.logs(live.path)
    const missing = logs[2] ?? ''
    await rm(join(place.side.folders(live.path).logs, missing))
    const result = await place.side.run('recover', ['-c', '-h', live.path])
    const number = String(Number(missing.slice(4)))
    const names = new RegExp(`${missing}|=${number}\\b|\\[${number}\\]`).test(result.err)
    return words(exit(result), names ? 'names it' : 'does not name it', await opens(place, live.path))
  },
  '`db_recover -c` with every log gone': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    for (const name of place.side.logs(live.path)) await rm(join(place.side.folders(live.path).logs, name))
    return exit(await place.side.run('recover', ['-c', '-h', live.path]))
  },
  '`db_recover` beside a process that has the database open': async (place) => {
    const live = await home(place, FIRST)
    let result: Result | undefined
    const goesOn = await live.surviving(async () => {
      result = await place.side.run('recover', ['-h', live.path])
    })
    return words(result && exit(result), goesOn ? 'the process goes on' : 'the process fails from then on')
  },
  'a byte of the data changed in a backup, then recovery': async (place) => {
    const { side } = place
    const { target } = await backedUp(place)
    await changeData(place, target)
    const into = place.path('recovered')
    const result = await side.recoverBackup(target, into)
    return words(exit(result), result.code === 0 ? await holding(place, into) : undefined)
  },
  '… then `db_verify`': async (place) => {
    const { target } = await backedUp(place)
    await changeData(place, target)
    return exit(await place.side.verify('backup', target))
  },
  '16 bytes overwritten in the last log, whole records behind them': async (place) => {
    const { side } = place
    const { live, target } = await backedUp(place)
    await live.write(LATER)
    await live.write(LAST)
    await live.close()
    await side.addLogs(live.path, target)
    const name = side.logs(live.path).at(-1) ?? ''
    await overwrite(join(side.folders(target).logs, name), 3000, 16)
    const into = place.path('recovered')
    const result = await side.recoverBackup(target, into)
    return words(exit(result), result.code === 0 ? await holding(place, into) : undefined)
  },
  'the same in a middle log, then `db_log_verify`': async (place) => {
    const live = await home(place, LAST)
    await live.close()
    const name = place.side.logs(live.path)[1] ?? ''
    await overwrite(join(place.side.folders(live.path).logs, name), 3000, 16)
    return exit(await place.side.verify('log', live.path))
  },
  '`-V` of each tool': async ({ side }) => {
    const codes: string[] = []
    for (const tool of TOOLS) {
      const { code, out } = await side.run(tool, ['-V'])
      codes.push(`${tool} ${/\d+\.\d+\.\d+/.test(out) ? String(code) : 'without a version'}`)
    }
    return `exit codes ${codes.join(', ')}`
  },
  '`db_printlog -b -e`': async (place) => {
    const { path } = await home(place, FIRST)
    const heads = await headsOf(place, path)
    const bounds = [10, 20].map((at) => place.side.bound(heads[at] ?? ''))
    const some = await headsOf(place, path, '-b', bounds[0] ?? '', '-e', bounds[1] ?? '')
    const isSame = some.join() === heads.slice(10, 21).join()
    return isSame ? 'prints from the one through the other' : `prints ${String(some.length)} records`
  },
  '`db_printlog -r`': async (place) => {
    const { path } = await home(place, FIRST)
    const heads = await headsOf(place, path)
    const isReverse = (await headsOf(place, path, '-r')).join() === heads.toReversed().join()
    return isReverse ? 'prints the newest first' : 'prints another order'
  },
}

/** Heads of the printed records. */
async function headsOf(
  { side }: Place,
  path: string,
  ...letters: readonly string[]
): Promise<readonly string[]> {
  const { out } = await side.run('printlog', ['-h', path, ...letters])
  return out.split('\n').filter((line) => line.startsWith('['))
}

/** What an ordinary open says, where that may be an older state. */
async function opens(place: Place, path: string): Promise<string> {
  const held = await holding(place, path)
  return held.startsWith('an ordinary') ? held : 'an ordinary open serves what is there'
}

/** Changes a byte in the middle of the largest data file. */
async function changeData({ side }: Place, backup: string): Promise<void> {
  const folder = side.folders(backup).data
  const names = (await readdir(folder)).filter((name) => /^kv\.db$|\.ldb$/.test(name))
  const [path = ''] = names
    .map((name) => join(folder, name))
    .toSorted((a, b) => statSync(b).size - statSync(a).size)
  await overwrite(path, Math.floor(statSync(path).size / 2) + 777, 1)
}

async function onSmallDisk(place: Place, kind: 'old' | 'new'): Promise<string> {
  const { side } = place
  const disk = SmallDisk.mount(place.path('disk'), { bytes: 1_500_000, inodes: 10_000 })
  try {
    const live = await home(place, FIRST)
    const target = join(disk.path, 'backup')
    if (kind === 'old') await side.run('hotbackup', ['-h', live.path, '-b', target])
    await live.write(LAST)
    disk.fill('space', 3)
    const result = await side.run('hotbackup', ['-h', live.path, '-b', target])
    if (kind === 'new')
      return words(exit(result), filesIn(target).length === 0 ? 'leaves nothing' : 'leaves a part of it')
    const into = place.path('recovered')
    const { code } = await side.recoverBackup(target, into)
    const old = code === 0 ? `the older one ${await holding(place, into)}` : 'neither of them is left'
    return words(exit(result), old)
  } finally {
    disk.unmount()
  }
}
