/** A Virtuoso in a folder of its own, reached at a port of the loopback that the system gave, and its restore. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

const READY_MS_MAX = 120_000

/** Whether Debian's virtuoso-opensource-7-bin is here. */
export const hasVirtuoso: boolean =
  spawnSync('virtuoso-t', ['-?']).error === undefined && spawnSync('isql-vt', ['-?']).error === undefined

/** What a program said, and how it ended. */
export interface Said {
  readonly code: number
  readonly text: string
}

/** One server with its database. */
export class VirtuosoServer {
  readonly folder: string
  readonly #port: number
  readonly #process: ChildProcess

  private constructor(folder: string, port: number) {
    this.folder = folder
    this.#port = port
    this.#process = spawn('virtuoso-t', ['-f', '-c', 'virtuoso.ini'], { cwd: folder, stdio: 'ignore' })
  }

  /** Begins a new database, and waits until it answers. */
  static async start(folder: string): Promise<VirtuosoServer> {
    const port = await freePort()
    await writeConfiguration(folder, port)
    const server = new VirtuosoServer(folder, port)
    for (const beginMs = Date.now(); server.ask('select 1;').includes('CL033');) {
      if (Date.now() - beginMs > READY_MS_MAX) throw new Error('Virtuoso did not begin to answer')
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return server
  }

  /** Runs statements, and gives all that was printed. */
  ask(...statements: readonly string[]): string {
    const words = [
      `127.0.0.1:${String(this.#port)}`,
      'dba',
      'dba',
      'VERBOSE=OFF',
      'ERRORS=STDOUT',
      'PROMPT=OFF',
    ]
    const run = spawnSync('isql-vt', words, { input: `${statements.join('\n')}\n`, encoding: 'utf8' })
    return run.stdout
  }

  /** Ends it as a power cut would: nobody needs its database any more. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return
    const ended = once(this.#process, 'close')
    this.#process.kill('SIGKILL')
    await ended
  }
}

/** Restores a series into a folder, which is made if it is missing. */
export async function restoreVirtuoso(prefix: string, dirs: readonly string[], into: string): Promise<Said> {
  // A restore listens nowhere.
  await writeConfiguration(into, 1)
  const words = ['-f', '-c', 'virtuoso.ini', '+restore-backup', prefix, '+backup-dirs', dirs.join()]
  const run = spawnSync('virtuoso-t', words, { cwd: into, encoding: 'utf8', timeout: 60_000 })
  return { code: run.status ?? -1, text: run.stdout + run.stderr }
}

async function writeConfiguration(folder: string, port: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const lines = [
    '[Database]',
    'DatabaseFile = virtuoso.db',
    'ErrorLogFile = virtuoso.log',
    'LockFile = virtuoso.lck',
    'TransactionFile = virtuoso.trx',
    '[TempDatabase]',
    'DatabaseFile = virtuoso-temp.db',
    'TransactionFile = virtuoso-temp.trx',
    '[Parameters]',
    `ServerPort = 127.0.0.1:${String(port)}`,
    'NumberOfBuffers = 2000',
    'MaxDirtyBuffers = 1500',
    // Checkpoints are the backups' own.
    'CheckpointInterval = 0',
    'DirsAllowed = .',
  ]
  await writeFile(join(folder, 'virtuoso.ini'), `${lines.join('\n')}\n`)
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port was given')
  return address.port
}
