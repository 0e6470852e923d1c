/**
 * A PostgreSQL in a folder of its own, reached by a Unix socket there and by nothing else. PostgreSQL refuses to run as root, so
 * root lets it and its tools run as the user that the Debian package makes.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { appendFile, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const PROGRAMS = '/usr/lib/postgresql/15/bin'
const READY_MS_MAX = 120_000
const run = promisify(execFile)

/** Whether PostgreSQL 15 is here, and may be run. */
export function hasPostgres(): boolean {
  return existsSync(join(PROGRAMS, 'postgres')) && (process.getuid?.() !== 0 || userOfPackage() !== undefined)
}

/** `archive push` and `archive get` as a shell names them in a configuration. */
export interface ArchiveCommands {
  readonly archive: string
  readonly restore: string
}

/** Where a recovery ends; without it, at the end of what the archive has. */
export interface RecoveryTarget {
  readonly time?: string
}

export class PostgresCluster {
  /** Where its user may write; data, backups and log lie in it. */
  readonly folder: string
  readonly #identity: { readonly uid?: number; readonly gid?: number }
  #server: ChildProcess | undefined

  private constructor(folder: string) {
    this.folder = folder
    this.#identity = userOfPackage() ?? {}
  }

  /** A new cluster with segments of a megabyte, so that a small load fills many of them. */
  static async create(
    folder: string,
    { archive }: Pick<ArchiveCommands, 'archive'>,
  ): Promise<PostgresCluster> {
    const cluster = new PostgresCluster(folder)
    await cluster.makeFolder('')
    await cluster.run('initdb', [
      '-D',
      cluster.#data,
      '-U',
      'test',
      '--no-sync',
      '--wal-segsize=1',
      '-A',
      'trust',
    ])
    await appendFile(
      join(cluster.#data, 'postgresql.conf'),
      [
        "listen_addresses = ''",
        `unix_socket_directories = '${folder}'`,
        'fsync = off',
        'archive_mode = on',
        `archive_command = '${archive}'`,
        '',
      ].join('\n'),
    )
    return cluster
  }

  /** Makes a folder of this name that the server's user owns. */
  async makeFolder(name: string): Promise<string> {
    const path = join(this.folder, name)
    await mkdir(path, { recursive: true })
    await this.#give(path)
    return path
  }

  /** Runs a program of PostgreSQL, or any other, as the server's user. */
  async run(program: string, parameters: readonly string[]): Promise<string> {
    const own = join(PROGRAMS, program)
    const options = { ...this.#identity, cwd: this.folder, env: environment() }
    const { stdout } = await run(existsSync(own) ? own : program, parameters, options)
    return stdout.trim()
  }

  /** The rows of a statement, one a line. */
  query(statement: string): Promise<string> {
    return this.run('psql', [
      '-XqAt',
      '-v',
      'ON_ERROR_STOP=1',
      ...this.#where,
      '-d',
      'postgres',
      '-c',
      statement,
    ])
  }

  /** Begins to serve; resolves when it takes statements that write, rejects when it ended before. */
  async start(): Promise<void> {
    const exitCode = await this.#serve(async () => (await this.query('SELECT pg_is_in_recovery()')) === 'f')
    if (exitCode === undefined) return
    throw new Error(`postgres ended with ${String(exitCode)}:\n${await this.log()}`)
  }

  /** Begins to serve, and waits for it to give up by itself: resolves with its exit code. */
  async startInVain(): Promise<number> {
    const exitCode = await this.#serve(async () => (await this.query('SELECT pg_is_in_recovery()')) === 'f')
    if (exitCode === undefined) throw new Error('postgres serves')
    return exitCode
  }

  /** A base backup beside the data, without log: what it lacks must come from the archive. */
  async backUp(name: string): Promise<void> {
    await this.run('pg_basebackup', [
      ...this.#where,
      '-D',
      join(this.folder, name),
      '-X',
      'none',
      '-c',
      'fast',
    ])
  }

  /** Ends the server as a crash does. */
  async kill(): Promise<void> {
    await this.#end('SIGQUIT')
  }

  /** Removes the data, log and all, and puts a copy of a backup there that recovers when it is started. */
  async replaceBy(
    backup: string,
    { restore }: Pick<ArchiveCommands, 'restore'>,
    target: RecoveryTarget,
  ): Promise<void> {
    await this.kill()
    await rm(this.#data, { recursive: true })
    await this.run('cp', ['-a', join(this.folder, backup), this.#data])
    const settings = [`restore_command = '${restore}'`, "recovery_target_action = 'promote'"]
    if (target.time !== undefined) settings.push(`recovery_target_time = '${target.time}'`)
    await appendFile(join(this.#data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`)
    await this.write('data/recovery.signal', '')
    await rm(this.#logPath, { force: true })
  }

  /** Writes a file that the server's user owns. */
  async write(name: string, content: string): Promise<string> {
    const path = join(this.folder, name)
    await writeFile(path, content)
    await this.#give(path)
    return path
  }

  /** What the server wrote since the last start or replacement. */
  log(): Promise<string> {
    return readFile(this.#logPath, 'utf8')
  }

  async destroy(): Promise<void> {
    await this.kill()
    await rm(this.folder, { recursive: true, force: true })
  }

  get #data(): string {
    return join(this.folder, 'data')
  }

  get #logPath(): string {
    return join(this.folder, 'server.log')
  }

  get #where(): readonly string[] {
    return ['-h', this.folder, '-U', 'test']
  }

  /** Resolves with `undefined` once it is ready, or with the exit code when it ended. */
  async #serve(isReady: () => Promise<boolean>): Promise<number | undefined> {
    const log = openSync(this.#logPath, 'a')
    const server = spawn(join(PROGRAMS, 'postgres'), ['-D', this.#data], {
      ...this.#identity,
      cwd: this.folder,
      env: environment(),
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    this.#server = server
    const end = Date.now() + READY_MS_MAX
    for (;;) {
      if (server.exitCode !== null) return server.exitCode
      if (server.signalCode !== null) throw new Error(`postgres was ended by ${server.signalCode}`)
      if (await isReady().catch(() => false)) return undefined
      if (Date.now() > end) throw new Error(`postgres is not ready:\n${await this.log()}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const ended = new Promise((resolve) => server.once('exit', resolve))
    server.kill(signal)
    await ended
  }

  async #give(path: string): Promise<void> {
    const { uid, gid } = this.#identity
    if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
  }
}

/** Nobody's settings but those of this test; the program's temporary files go where everybody may write. */
function environment(): NodeJS.ProcessEnv {
  const { PATH, TMPDIR } = process.env
  return { PATH, LC_ALL: 'C', TZ: 'UTC', ...(TMPDIR === undefined ? {} : { TMPDIR }) }
}

function userOfPackage(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  try {
    const number = (letter: string): number =>
      Number(execFileSync('id', [letter, 'postgres'], { stdio: 'pipe' }))
    return { uid: number('-u'), gid: number('-g') }
  } catch {
    return undefined
  }
}
