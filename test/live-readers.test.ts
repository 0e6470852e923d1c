/**
 * Readers beside a running writer. A reader's looks at a file are not one moment: it may see zeros where a frame is about to be,
 * and the frames after it when it looks further. That is a race and no damage, for every reader of a live log.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listSegments, readLog } from '@timberline/wal'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { testProgram } from '../tools/test-programs.ts'

/** Long enough for hundreds of looks, each of which meets the writer at another moment; on a busy machine it takes longer. */
const LOOKING_MS = 800
const LOOKS_MIN = 20

let folder = ''
let writer: ChildProcess

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-live-readers-'))
  const program = fileURLToPath(new URL('support/endless-writer.ts', import.meta.url))
  writer = spawn(process.execPath, [testProgram(program), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (writer.stdout !== null) await once(writer.stdout, 'data')
})

afterAll(async () => {
  writer.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('a list of segments never takes a frame that is just being written for damage', async () => {
  const begunMs = performance.now()
  let lists = 0
  let lastLsn = 0
  while (performance.now() - begunMs < LOOKING_MS || lists < LOOKS_MIN) {
    const before = lastLsn
    lastLsn = (await listSegments(folder)).at(-1)?.lastLsn ?? 0
    expect(lastLsn).toBeGreaterThanOrEqual(before)
    lists++
  }
  expect(lastLsn).toBeGreaterThan(0)
})

test('a whole reading of the log never does either', async () => {
  const begunMs = performance.now()
  let lastLsn = 0
  while (performance.now() - begunMs < LOOKING_MS) {
    const [first] = await listSegments(folder)
    for await (const records of readLog({ directory: folder, fromLsn: first?.firstLsn ?? 1 }))
      lastLsn = records.at(-1)?.lsn ?? lastLsn
  }
  expect(lastLsn).toBeGreaterThan(0)
})
