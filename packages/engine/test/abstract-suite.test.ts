import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const program = fileURLToPath(new URL('./support/abstract-suite.ts', import.meta.url))
// The suite opens 1,500 databases; what it checks does not depend on the disk.
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

interface SuiteCount {
  readonly tests: number
  readonly assertions: number
  readonly failures: readonly string[]
}

async function runSuite(variant: 'classic' | 'memory'): Promise<SuiteCount> {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', program, variant], {
    env: { ...process.env, TMPDIR: scratch },
    maxBuffer: 64 * 1024 * 1024,
  })
  const lines = stdout.split('\n')
  const comments = lines.filter((line) => /^# (?!tests |pass |fail |ok)/.test(line))
  return {
    tests: comments.length,
    assertions: lines.filter((line) => line.startsWith('ok ')).length,
    failures: lines.filter((line) => line.startsWith('not ok ')),
  }
}

test("TimberLevel passes abstract-level's suite, as many tests as classic-level runs", async () => {
  const { tests, assertions, failures } = await runSuite('classic')
  expect(failures).toEqual([])
  // What classic-level 3.0.0 itself runs with its own manifest and encodings.
  expect(tests).toBeGreaterThanOrEqual(1509)
  expect(assertions).toBeGreaterThanOrEqual(5168)
}, 600_000)

test("TimberMemoryLevel passes abstract-level's suite, as many tests as memory-level runs", async () => {
  const { tests, assertions, failures } = await runSuite('memory')
  expect(failures).toEqual([])
  expect(tests).toBeGreaterThanOrEqual(1464)
  expect(assertions).toBeGreaterThanOrEqual(5120)
}, 600_000)
