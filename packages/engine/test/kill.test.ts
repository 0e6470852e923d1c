/**
 * Fault model: the writing process is killed (SIGKILL) at a random moment, also while it opens, takes checkpoints and removes
 * segments. Expected: every commit whose promise had resolved is there, and the state is a whole prefix of the commits.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { TimberLevel } from '../src/timber-level.ts'
import { stateAfter } from './support/numbered-commits.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
const program = fileURLToPath(new URL('./support/writer-child.ts', import.meta.url))
/** The soak before each merge kills at least ten more writers, of ten kinds. */
const KILLS = process.env['SOAK'] === '1' ? 200 : 7

/** Lets a child write for a while, kills it, and returns the highest number it had acknowledged. */
async function writeAndKill(home: string, seed: number, ms: number): Promise<number> {
  const child = spawn(process.execPath, [testProgram(program), home, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let acknowledged = 0
  let kill: NodeJS.Timeout | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    // Starting takes longer than the writing; the clock begins when the home is open.
    kill ??= setTimeout(() => child.kill('SIGKILL'), ms)
    if (/^\d+$/.test(line)) acknowledged = Math.max(acknowledged, Number(line))
  }
  return acknowledged
}

test(`no acknowledged commit is lost in ${KILLS} kills of the writer`, async () => {
  const seed = 20_261_124
  const random = seededRandom(seed)
  const home = join(folder, 'home')
  let count = 0
  let replayed = 0
  for (let kill = 1; kill <= KILLS; kill += 1) {
    const acknowledged = await writeAndKill(home, kill, 5 + random() * 250)
    const db = new TimberLevel(home)
    const state = new Map(await db.iterator().all())
    replayed += db.opened?.state.replayed ?? 0
    count = Number(state.get('next') ?? 1) - 1
    expect(count, `seed ${seed}, kill ${kill}`).toBeGreaterThanOrEqual(acknowledged)
    expect(state, `seed ${seed}, kill ${kill}`).toEqual(stateAfter(count))
    await db.close()
  }
  expect(count).toBeGreaterThan(KILLS * 5)
  expect(replayed).toBeGreaterThan(KILLS)
}, 1_200_000)
