/** Berkeley DB and Timberline behind the same few verbs, so that one and the same situation can be made on both. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { cp, mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { placeHold } from '@timberline/wal'
import { timberline, type Result } from '../../packages/cli/test/terminal.ts'
import { contentOf } from '../support/running-application.ts'

/** Whether Debian's db5.3-util is there. */
export const hasBerkeley: boolean = spawnSync('db5.3_hotbackup', ['-V']).error === undefined

export const TOOLS = ['archive', 'checkpoint', 'hotbackup', 'printlog', 'recover', 'stat'] as const
export type Tool = (typeof TOOLS)[number]

/** A database that is in use. */
export interface LiveHome {
  readonly path: string
  /** Puts the records up to this one. */
  write(through: number): Promise<void>
  /** A checkpoint after which no log has been removed yet. */
  checkpointKeepingLogs(): Promise<void>
  /** Ends its use, as an application that is stopped does. */
  close(): Promise<void>
  /** Runs beside a process that has it open, and tells whether that process can go on. */
  surviving(act: () => Promise<void>): Promise<boolean>
}

/** One of the two systems. */
export interface Side {
  make(path: string): Promise<LiveHome>
  run(tool: Tool, words: readonly string[]): Promise<Result>
  /** Looks for damage. */
  verify(kind: 'log' | 'backup', path: string): Promise<Result>
  /** What an ordinary open gives; `refused` when it does not open. */
  content(path: string): Promise<string>
  /** Names of its log files, ascending, and of its data files. */
  logs(path: string): readonly string[]
  data(path: string): readonly string[]
  /** Folders of both, for whoever damages them. */
  folders(path: string): { readonly logs: string; readonly data: string }
  /** Brings the log written since into a backup; nothing is recovered yet. */
  addLogs(home: string, backup: string): Promise<void>
  /** Recovers a backup, in a folder of its own, to its end or to that time. */
  recoverBackup(backup: string, into: string, time?: string): Promise<Result>
  /** What bounds a printed record: the head of its line, as an argument of -b and -e. */
  bound(head: string): string
}

/** What the records 1 to n are, as `content` tells it. */
export function stateOf(n: number): string {
  return contentHash(Array.from({ length: n }, (_, index) => [keyOf(index + 1), valueOf(index + 1)]))
}

const keyOf = (n: number): string => `k${String(n).padStart(6, '0')}`
/** Repeated, so that a byte anywhere in a data file is likely one of a value. */
const valueOf = (n: number): string => `value-${String(n)}-`.repeat(20)

function contentHash(entries: readonly (readonly string[])[]): string {
  const text = entries.map(([key = '', value = '']) => `${key}=${value}\n`).join('')
  return `${String(entries.length)}:${createHash('sha256').update(text).digest('hex')}`
}

const LOG = /^log\.\d{10}$/
const namesIn = (path: string, pattern: RegExp): readonly string[] =>
  readdirSync(path)
    .filter((name) => pattern.test(name))
    .toSorted()

function berkeley(tool: string, words: readonly string[], input = ''): Result {
  const run = spawnSync(`db5.3_${tool}`, [...words], {
    input,
    encoding: 'utf8',
    env: { ...process.env, TZ: 'UTC' },
  })
  return { code: run.status ?? -1, out: run.stdout, err: run.stderr }
}

class BerkeleyHome implements LiveHome {
  readonly path: string
  #records = 0

  constructor(path: string) {
    this.path = path
  }

  write(through: number): Promise<void> {
    const lines: string[] = []
    for (let n = this.#records + 1; n <= through; n++) lines.push(` ${keyOf(n)}`, ` ${valueOf(n)}`)
    const head = ['VERSION=3', 'format=print', 'type=btree', 'HEADER=END']
    const { code, err } = berkeley(
      'load',
      ['-h', this.path, 'kv.db'],
      [...head, ...lines, 'DATA=END', ''].join('\n'),
    )
    if (code !== 0) return Promise.reject(new Error(err))
    this.#records = through
    return Promise.resolve()
  }

  checkpointKeepingLogs(): Promise<void> {
    berkeley('checkpoint', ['-1', '-h', this.path])
    return Promise.resolve()
  }

  close(): Promise<void> {
    return removeRegions(this.path)
  }

  async surviving(act: () => Promise<void>): Promise<boolean> {
    const child: ChildProcess = spawn('db5.3_checkpoint', ['-v', '-p', '60', '-h', this.path])
    let told = ''
    child.stderr?.on('data', (chunk: Buffer) => (told += chunk.toString()))
    // It has the environment open once it tells of its first checkpoint.
    while (!told.includes('BDB5124')) await new Promise((resolve) => setTimeout(resolve, 10))
    await act()
    const ended = once(child, 'close')
    child.kill('SIGINT')
    await ended
    return !told.includes('PANIC')
  }
}

/** The files that a running environment shares; a copy of an environment has none. */
async function removeRegions(path: string): Promise<void> {
  for (const name of await readdir(path)) if (name.startsWith('__db.')) await rm(join(path, name))
}

/** Berkeley DB 5.3 by Debian's tools alone. */
export const there: Side = {
  async make(path) {
    await mkdir(path)
    await writeFile(join(path, 'DB_CONFIG'), 'set_lg_max 65536\nset_lg_bsize 16384\n')
    // With -e it leaves an environment with transactions behind, which the other tools join.
    berkeley('recover', ['-e', '-h', path])
    return new BerkeleyHome(path)
  },
  // Its db_stat must be told what of.
  run: (tool, words) => Promise.resolve(berkeley(tool, tool === 'stat' ? ['-l', ...words] : words)),
  verify: (kind, path) =>
    Promise.resolve(
      kind === 'log' ? berkeley('log_verify', ['-h', path]) : berkeley('verify', ['-h', path, 'kv.db']),
    ),
  content(path) {
    const { code, out } = berkeley('dump', ['-p', '-h', path, 'kv.db'])
    if (code !== 0) return Promise.resolve('refused')
    const lines = out
      .slice(out.indexOf('HEADER=END'))
      .split('\n')
      .filter((line) => line.startsWith(' '))
    const entries = Array.from({ length: lines.length / 2 }, (_, at) =>
      lines.slice(2 * at, 2 * at + 2).map((line) => line.slice(1)),
    )
    return Promise.resolve(contentHash(entries))
  },
  logs: (path) => namesIn(path, LOG),
  data: (path) => namesIn(path, /^kv\.db$/),
  folders: (path) => ({ logs: path, data: path }),
  async addLogs(home, backup) {
    for (const name of namesIn(home, LOG)) await cp(join(home, name), join(backup, name))
  },
  async recoverBackup(backup, into, time) {
    await cp(backup, into, { recursive: true })
    return berkeley('recover', ['-c', '-v', ...(time === undefined ? [] : ['-t', time]), '-h', into])
  },
  bound: (head) => head.replace(/^\[(\d+)\]\[(\d+)\].*$/, '$1/$2'),
}

class TimberlineHome implements LiveHome {
  readonly path: string
  readonly #db: TimberLevel<string, string>
  #records = 0

  constructor(path: string) {
    this.path = path
    this.#db = new TimberLevel<string, string>(path, { log: { segmentBytesMax: 64 * 1024 } })
  }

  async open(): Promise<void> {
    await this.#db.open()
    // The first checkpoint comes by itself, at no time that a test could know, if none was asked for.
    await this.#db.checkpoint()
  }

  async write(through: number): Promise<void> {
    while (this.#records < through) {
      const group = Array.from(
        { length: Math.min(25, through - this.#records) },
        (_, at) => this.#records + at + 1,
      )
      await Promise.all(group.map((n) => this.#db.put(keyOf(n), valueOf(n))))
      this.#records += group.length
    }
  }

  async checkpointKeepingLogs(): Promise<void> {
    const hold = await placeHold(homeLayout(this.path).logDirectory, { purpose: 'keep the logs' })
    await this.#db.checkpoint()
    await hold.release()
  }

  async close(): Promise<void> {
    if (this.#db.status !== 'open') return
    // A clean close ends in a checkpoint, which would remove what nobody needs.
    const hold = await placeHold(homeLayout(this.path).logDirectory, { purpose: 'keep the logs' })
    await this.#db.close()
    await hold.release()
  }

  async surviving(act: () => Promise<void>): Promise<boolean> {
    await act()
    return this.write(this.#records + 1).then(
      () => true,
      () => false,
    )
  }
}

/** What {@link here} has opened; to be closed after each situation. */
export const opened: LiveHome[] = []

/** Timberline by its command; the application is this process. */
export const here: Side = {
  async make(path) {
    const home = new TimberlineHome(path)
    await home.open()
    opened.push(home)
    return home
  },
  run: (tool, words) => timberline([...(tool === 'archive' ? ['archive', 'list'] : [tool]), ...words]),
  verify: (kind, path) => timberline(['verify', kind === 'log' ? '-h' : '-b', path]),
  async content(path) {
    try {
      const { state } = await contentOf(path)
      return contentHash([...state])
    } catch {
      return 'refused'
    }
  },
  logs: (path) => namesIn(homeLayout(path).logDirectory, LOG),
  data: (path) => namesIn(homeLayout(path).dataDirectory, /\.ldb$/),
  folders: (path) => ({ logs: homeLayout(path).logDirectory, data: join(path, 'checkpoint/tables') }),
  async addLogs(home, backup) {
    const { code, err } = await timberline(['hotbackup', '-u', '-h', home, '-b', backup])
    if (code !== 0) throw new Error(`the update of the backup ended with ${String(code)}: ${err}`)
  },
  recoverBackup: (backup, into, time) =>
    timberline(['recover', '--from', backup, '-h', into, ...(time === undefined ? [] : ['-t', time])]),
  bound: (head) => head.replace(/^\[(\d+)\].*$/, '$1'),
}
