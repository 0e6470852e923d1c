/**
 * Fault model: the process dies at any moment (kill -9), again and again, in the middle of commits, checkpoints, segment
 * removal and recovery; sometimes LevelDB's folder is gone, too, afterwards. What was written is still there.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'
import { newestCheckpoint } from '../src/checkpoint/checkpoint-manifest.ts'
import { homeLayout } from '../src/home/home-layout.ts'
import { HomeFixture, expectedState } from './support/home-fixture.ts'
import { scratchFolder, seededRandom } from './support/scratch.ts'

const folder = scratchFolder()
const CHILD = fileURLToPath(new URL('support/checkpoint-child.ts', import.meta.url))
const KILLS = process.env['SOAK'] === '1' ? 200 : 10
const SEED = 20

interface Said {
  committed: number
  checkpoint: number
}

/** Runs the child until a random moment; what it had said by then. */
async function runAndKill(home: string, afterMs: number): Promise<Said> {
  const child = spawn(process.execPath, [testProgram(CHILD), home], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: Said = { committed: 0, checkpoint: 0 }
  let rest = ''
  let armed = false
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const [what, value] = line.split(' ')
      if (what === 'committed') said.committed = Number(value)
      if (what === 'checkpoint') said.checkpoint = Number(value)
      if (what === 'open' && !armed) {
        armed = true
        setTimeout(() => child.kill('SIGKILL'), afterMs)
      }
    }
  })
  await new Promise((resolve) => child.once('close', resolve))
  expect(child.signalCode).toBe('SIGKILL')
  return said
}

test(
  `nothing committed is lost and no checkpoint breaks in ${KILLS} kills (seed ${SEED})`,
  async () => {
    const home = join(folder, 'killed')
    const random = seededRandom(SEED)
    let rebuilt = 0
    for (let kill = 0; kill < KILLS; kill += 1) {
      const said = await runAndKill(home, random() * 250)
      const checkpoint = await newestCheckpoint(home)
      expect(checkpoint?.lsn ?? 0).toBeGreaterThanOrEqual(said.checkpoint)
      if (kill % 3 === 2) rmSync(homeLayout(home).dataDirectory, { recursive: true })
      const fixture = await HomeFixture.open(home)
      expect(fixture.lsn).toBeGreaterThanOrEqual(said.committed)
      expect(await fixture.state()).toEqual(expectedState(fixture.lsn))
      if (fixture.report.rebuilt) rebuilt += 1
      await fixture.close()
    }
    expect(rebuilt).toBeGreaterThanOrEqual(Math.floor(KILLS / 3))
  },
  KILLS * 5000,
)
