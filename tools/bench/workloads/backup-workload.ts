/** Hot backups of a live home, against copying a closed one, and what they do to its writer. */
import { execFile, spawn } from 'node:child_process'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hotbackup } from '@timberline/hotbackup'
import { openPeer } from '../peers.ts'
import { withFolder } from '../run.ts'
import { type CommitResult, fill, writeFor } from './commit-workload.ts'

const run = promisify(execFile)
/** Bytes of a key and its value. */
const RECORD_BYTES = 116

export interface BackupResult {
  /** Of keys and values, while one writer goes on. */
  readonly mbPerS: number
  readonly without: CommitResult
  readonly during: CommitResult
  /** Absent for peers. */
  readonly quiet?: QuietCopies
}

/** With no writer; bytes are those of the files. */
export interface QuietCopies {
  readonly backupMbPerS: number
  readonly backupWithDigestMbPerS: number
  readonly copyMbPerS: number
}

export async function measureBackup(work: { records: number; seconds: number }): Promise<BackupResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = await openPeer('timberline', home)
    await fill(db, work.records)
    const quiet = await quietBackups(folder, home)
    const without = await writeFor(db, 1, work.seconds)
    const [during, { backups, spentMs }] = await Promise.all([
      writeFor(db, 1, work.seconds),
      backupsFor(home, join(folder, 'b4'), work.seconds),
    ])
    await db.close()
    const mbPerS = (backups * work.records * RECORD_BYTES) / 1e6 / (spentMs / 1000)
    const copyMbPerS = await copyClosed(join(home, 'data'), join(folder, 'copy'))
    return { mbPerS, without, during, quiet: { ...quiet, copyMbPerS } }
  })
}

async function quietBackups(folder: string, home: string): Promise<Omit<QuietCopies, 'copyMbPerS'>> {
  const backup = await hotbackup({ home, target: join(folder, 'b1'), digest: false, checkpoint: true })
  const backupMs = await timed(() => hotbackup({ home, target: join(folder, 'b2'), digest: false }))
  const digestMs = await timed(() => hotbackup({ home, target: join(folder, 'b3') }))
  const copied = backup.bytes / 1e6
  return { backupMbPerS: copied / (backupMs / 1000), backupWithDigestMbPerS: copied / (digestMs / 1000) }
}

/** LevelDB removes files while it is open, which no `cp` outlives. */
async function copyClosed(data: string, to: string): Promise<number> {
  const megabytes = (await treeBytes(data)) / 1e6
  return megabytes / ((await timed(() => copyTree(data, to))) / 1000)
}

async function backupsFor(
  home: string,
  target: string,
  seconds: number,
): Promise<{ backups: number; spentMs: number }> {
  // From another process, as in life; a backup that shared the writer's event loop would measure itself.
  const script = fileURLToPath(new URL('./backup-loop.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, home, target, String(seconds)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`the backup process ended with ${String(code)}`)
  return JSON.parse(output) as { backups: number; spentMs: number }
}

export async function copyTree(from: string, to: string): Promise<void> {
  await run('cp', ['-a', from, to])
  for (const name of await readdir(to)) {
    const handle = await open(join(to, name), 'r')
    await handle.sync()
    await handle.close()
  }
}

async function treeBytes(folder: string): Promise<number> {
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}
