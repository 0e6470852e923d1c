/**
 * The main job on real data, in less than a minute: a Level application that is logged, copied hot, archived, destroyed, and
 * recovered twice: to its last commit, and to the moment before a mistake. Every figure printed was measured in this run.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { createArchive, directoryStore, runShipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { table } from '../bench/statistics.ts'
import type { Answer, Order } from './application.ts'

const rows: string[][] = []
const folder = await mkdtemp(join(tmpdir(), 'timberline-demo-'))
try {
  await run(join(folder, 'home'), join(folder, 'archive'))
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(`\n${table(['what happened', 'took', 'size', 'log at LSN'], rows)}`)

async function run(home: string, archivePath: string): Promise<void> {
  console.log('1. an application opens a database by its new constructor and loads 135,000 cities')
  const application = await startApplication(home)
  const loaded = await step('load the cities', () => tell(application, 'load'))
  const identity = await readHomeIdentity(home)
  const archive = await createArchive(directoryStore(archivePath), { environmentId: identity.environmentId })

  console.log('2. another process ships its log, once a second, while it goes on writing')
  const stop = new AbortController()
  const { logDirectory } = homeLayout(home)
  const shipper = runShipper({
    logDirectory,
    archive,
    name: 'demo',
    identity,
    intervalMs: 1000,
    signal: stop.signal,
  })
  await tell(application, 'write')

  console.log('3. a hot backup goes into the archive, data files first, then logs')
  const backup = await step(
    'hot backup under writes',
    () => hotbackup({ home, target: { archive } }),
    async () => archivePath,
  )
  rows.at(-1)?.splice(3, 1, String(backup.manifest.endLsn))

  console.log('4. somebody clears a whole country by mistake; the application goes on')
  await pauseAfter(application, 1500)
  const beforeMistake = await tell(application, 'digest')
  const mistake = await step('the mistake: one clear()', () => tell(application, 'mistake'))
  await tell(application, 'write')
  await pauseAfter(application, 1500)
  const last = await tell(application, 'digest')

  console.log('5. the machine dies: the process is killed and its home deleted, log and all')
  await step('ship the last second', () => shipper.flush())
  stop.abort()
  await shipper.done.catch(() => undefined)
  application.kill('SIGKILL')
  await rm(home, { recursive: true, force: true })

  console.log('6. recovery from the archive alone, to the last commit and to the moment before the mistake')
  const latest = join(folder, 'recovered-latest')
  await step(
    'recover to the last commit',
    () => recover({ from: { archive }, home: latest }),
    async () => latest,
  )
  await compare('last commit', latest, last)
  const earlier = join(folder, 'recovered-before-the-mistake')
  const target = { type: 'lsn', lsn: mistake.lsn, edge: 'before' } as const
  await step(
    'recover to before the mistake',
    () => recover({ from: { archive }, home: earlier, target }),
    async () => earlier,
  )
  await compare('before the mistake', earlier, beforeMistake)
  console.log(`   ${String(loaded.records)} cities loaded, ${String(last.lsn - loaded.lsn)} commits since`)
}

/** Proves by digest that the recovered database is the one that was lost, as it was at that LSN. */
async function compare(name: string, home: string, expected: Answer): Promise<void> {
  const db = new TimberLevel<string, unknown>(home, { valueEncoding: 'json' })
  const { hex, entries } = await db.digest()
  await db.close()
  const same = hex === expected.digest
  console.log(
    `   ${same ? 'EQUAL' : 'DIFFERENT'}: ${name}, ${String(entries)} records, sha256 ${hex.slice(0, 16)}…`,
  )
  rows.push([
    `   digest, ${name}`,
    same ? 'equal' : 'DIFFERENT',
    `${String(entries)} records`,
    String(expected.lsn),
  ])
  if (!same) process.exitCode = 1
}

async function step<T>(title: string, work: () => Promise<T>, place?: () => Promise<string>): Promise<T> {
  const begin = performance.now()
  const result = await work()
  const seconds = `${((performance.now() - begin) / 1000).toFixed(2)} s`
  const size = place === undefined ? '' : `${((await treeBytes(await place())) / 1e6).toFixed(1)} MB`
  const lsn = typeof result === 'object' && result !== null && 'lsn' in result ? String(result.lsn) : ''
  rows.push([title, seconds, size, lsn])
  return result
}

async function startApplication(home: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('./application.ts', import.meta.url)), [home], {
    execArgv: ['--import', 'tsx'],
  })
  await new Promise<void>((resolve, reject) => {
    child.once('message', () => resolve())
    child.once('exit', (code) => reject(new Error(`the application ended with ${String(code)}`)))
  })
  return child
}

async function tell(application: ChildProcess, order: Order): Promise<Answer> {
  return new Promise((resolve, reject) => {
    application.once('message', (answer) => resolve(answer as Answer))
    application.once('error', reject)
    application.send(order)
  })
}

async function pauseAfter(application: ChildProcess, ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
  await tell(application, 'pause')
}

async function treeBytes(path: string): Promise<number> {
  const names = await readdir(path, { recursive: true })
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(path, name))).size))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}
