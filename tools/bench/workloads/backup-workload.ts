/** Hot backups of a live home, against copying a closed one, and what they do to its writer. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { hotbackup } from '@timberline/hotbackup'
import { BESIDE_WRITERS_MB_PER_S } from '../../../packages/cli/src/copy-rate.ts'
import { withFolder } from '../folder.ts'
import { type OpenPeer, openPeer } from '../peers.ts'
import { RECORD_BYTES } from '../records.ts'
import { median } from '../statistics.ts'
import { copyTree } from './closed-copy.ts'
import { timed } from './timing.ts'
import { type Beside, fill, writeFor } from './writers.ts'

const run = promisify(execFile)

const SETTLE_MS = 2000

/** Beside one writer. */
export interface Limited extends Beside {
  readonly mbPerS: number
}

/** As fast as it goes with flushes in a sixth of the time, or as peers go; megabytes are those of keys and values. */
export interface BackupResult extends Limited {
  /** The same beside a backup that spares nobody. Absent for peers, none of whom does. */
  readonly unsparing?: Limited
  /** Absent for peers. */
  readonly quiet?: QuietCopies
  /** The same beside a backup that keeps to the limit that the command has beside writers; bytes are those of files. Absent for peers. */
  readonly limited?: Limited
}

/** With no writer but for one of them; bytes are those of the files. */
export interface QuietCopies {
  /** Beside the writer, sparing nobody. */
  readonly besideMbPerS: number
  readonly backupMbPerS: number
  readonly backupWithDigestMbPerS: number
  readonly copyMbPerS: number
}

export async function measureBackup(work: { records: number; seconds: number }): Promise<BackupResult> {
  return withFolder(async (folder) => {
    const home = join(folder, 'home')
    const filled = await openPeer('timberline', home)
    await fill(filled, work.records)
    await filled.close()
    const quiet = await withSettled(home, () => quietBackups(folder, home))
    // Each on a home of its own, as peers have: LevelDB merges once in some sixteen seconds of this writer, and would do so in one of them.
    const beside = async (seconds: number, ...limit: readonly string[]): Promise<Limited & Loop> => {
      const own = join(folder, 'own')
      await run('cp', ['-a', home, own])
      // What the copying leaves in memory would be written some day in between.
      await run('sync', ['-f', own])
      const result = await withSettled(own, async (db) => {
        const loop = await backupLoop([own, join(folder, 'b4'), String(seconds), ...limit])
        const without = await writeFor(db, { writers: 1, seconds })
        const [during, done] = await Promise.all([writeFor(db, { writers: 1, seconds }), loop.run()])
        return { mbPerS: done.bytes / 1000 / done.spentMs, without, during, ...done }
      })
      await rm(own, { recursive: true })
      return result
    }
    // A whole one: in the first seconds of it, its beginning would weigh several times as much.
    const wholeSeconds = (await treeBytes(join(home, 'checkpoint', 'tables'))) / 1e6 / BESIDE_WRITERS_MB_PER_S
    const limited = await beside(Math.max(work.seconds, wholeSeconds), String(BESIDE_WRITERS_MB_PER_S))
    const shared = await beside(work.seconds)
    const full = await beside(work.seconds, 'full')
    const ofRecords = ({ copies, spentMs, without, during }: Limited & Loop): Limited => ({
      mbPerS: (copies * work.records * RECORD_BYTES) / 1e6 / (spentMs / 1000),
      without,
      during,
    })
    const unsparing = ofRecords(full)
    return { ...ofRecords(shared), limited, unsparing, quiet: { ...quiet, besideMbPerS: full.mbPerS } }
  })
}

/** With a home that is open, when LevelDB has sorted what the load has left: that is neither a writer nor a backup. */
async function withSettled<T>(home: string, work: (db: OpenPeer) => Promise<T>): Promise<T> {
  const db = await openPeer('timberline', home)
  await pause(SETTLE_MS)
  const result = await work(db)
  await db.close()
  return result
}

/** Three times in turn, because one copy of so little says little; all of the same tables, which nobody changes meanwhile. */
async function quietBackups(folder: string, home: string): Promise<Omit<QuietCopies, 'besideMbPerS'>> {
  const warm = await hotbackup({ home, target: join(folder, 'warm'), digest: false, checkpoint: true })
  const tables = join(home, 'checkpoint', 'tables')
  const copied = warm.bytes / 1e6
  const tableBytes = (await treeBytes(tables)) / 1e6
  const rates: { backup: number; digest: number; copy: number }[] = []
  for (const turn of ['1', '2', '3']) {
    const at = (name: string): string => join(folder, name + turn)
    const backupMs = await timed(() => hotbackup({ home, target: at('plain'), digest: false }))
    const copyMs = await timed(() => copyTree(tables, at('copy')))
    const digestMs = await timed(() => hotbackup({ home, target: at('digest') }))
    rates.push({ backup: copied / backupMs, digest: copied / digestMs, copy: tableBytes / copyMs })
  }
  const perS = (kind: 'backup' | 'digest' | 'copy'): number => median(rates.map((rate) => rate[kind])) * 1000
  return { backupMbPerS: perS('backup'), backupWithDigestMbPerS: perS('digest'), copyMbPerS: perS('copy') }
}

interface Loop {
  /** Backups, the last one by the share of it that was copied. */
  readonly copies: number
  readonly bytes: number
  readonly spentMs: number
}

/** From another process, as in life; a backup that shared the writer's event loop would measure itself. */
async function backupLoop(words: readonly string[]): Promise<{ run: () => Promise<Loop> }> {
  const script = fileURLToPath(new URL('./backup-loop.ts', import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'close')
  await once(child.stdout, 'data')
  return {
    run: async () => {
      child.stdin.write('go\n')
      const [code] = await ended
      if (code !== 0) throw new Error(`the backup process ended with ${String(code)}`)
      return JSON.parse(output.slice(output.indexOf('\n') + 1)) as Loop
    },
  }
}

async function treeBytes(folder: string): Promise<number> {
  const names = await readdir(folder)
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}
