/** Hot backup against `cp -r` plus fsync of the same home, and what a backup does to the longest commit. */
import { spawn } from 'node:child_process'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { hotbackup } from '@timberline/hotbackup'
import { openPeer } from './peers.ts'
import { fill, withFolder, writeFor } from './workloads.ts'

export interface BackupResult {
  readonly backupMbPerS: number
  readonly backupWithDigestMbPerS: number
  readonly copyMbPerS: number
  /** Longest commit of one steady writer in a span without a backup, and in a span of equal length with backups. */
  readonly longestMsWithout: number
  readonly longestMsWith: number
}

/** One home of `records` records: `cp -r` + fsync and a hot backup in turn, then the pauses of a writer. */
export async function measureBackup(work: { records: number; seconds: number }): Promise<BackupResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const db = await openPeer('timberline', home)
    await fill(db, work.records)
    const megabytes = (await treeBytes(join(home, 'data'))) / 1e6
    const copyMs = await timed(() => copyTree(join(home, 'data'), join(folder, 'copy')))
    const backup = await hotbackup({ home, target: join(folder, 'b1'), digest: false, checkpoint: true })
    const backupMs = await timed(() => hotbackup({ home, target: join(folder, 'b2'), digest: false }))
    const digestMs = await timed(() => hotbackup({ home, target: join(folder, 'b3') }))
    const copied = backup.bytes / 1e6
    const without = await writeFor(db, 1, work.seconds)
    const other = backupsFor(home, join(folder, 'b4'), work.seconds)
    const during = await writeFor(db, 1, work.seconds)
    await other
    await db.close()
    return {
      backupMbPerS: copied / (backupMs / 1000),
      backupWithDigestMbPerS: copied / (digestMs / 1000),
      copyMbPerS: megabytes / (copyMs / 1000),
      longestMsWithout: without.longestMs,
      longestMsWith: during.longestMs,
    }
  })
}

async function backupsFor(home: string, target: string, seconds: number): Promise<void> {
  // From another process, as in life; a backup that shared the writer's event loop would measure itself.
  const script = fileURLToPath(new URL('./backup-loop.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, home, target, String(seconds)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`the backup process ended with ${String(code)}`)
}

async function copyTree(from: string, to: string): Promise<void> {
  await command('cp', ['-r', from, to])
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

async function timed(run: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await run()
  return performance.now() - begin
}

async function command(name: string, args: readonly string[]): Promise<void> {
  const child = spawn(name, args, { stdio: 'ignore' })
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`${name} ended with ${String(code)}`)
}
