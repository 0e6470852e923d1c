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

let folder = ''
let writer: ChildProcess

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'timberline-live-readers-'))
  const program = `
    import { openLog } from '@timberline/wal'
    const identity = { environmentId: 'ab'.repeat(16), timeline: 1 }
    const log = await openLog({ directory: ${JSON.stringify(folder)}, identity, segmentBytesMax: 1 << 20 })
    process.stdout.write('open')
    // With pauses, because on a disk in memory nothing else holds it back, and the log grows faster than it can be read.
    for (let count = 1; ; count++) {
      await log.commit(Buffer.alloc(20 + Math.random() * 300, 1))
      if (count % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
    }`
  const flags = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', program]
  writer = spawn(process.execPath, flags, {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: new URL('..', import.meta.url),
  })
  if (writer.stdout !== null) await once(writer.stdout, 'data')
})

afterAll(async () => {
  writer.kill('SIGKILL')
  await rm(folder, { recursive: true, force: true })
})

test('a list of segments never takes a frame that is just being written for damage', async () => {
  const begunMs = performance.now()
  let lists = 0
  while (performance.now() - begunMs < 5000) {
    await listSegments(folder)
    lists++
  }
  expect(lists).toBeGreaterThan(20)
})

test('a whole reading of the log never does either', async () => {
  const begunMs = performance.now()
  let lastLsn = 0
  while (performance.now() - begunMs < 5000) {
    const [first] = await listSegments(folder)
    for await (const records of readLog({ directory: folder, fromLsn: first?.firstLsn ?? 1 }))
      lastLsn = records.at(-1)?.lsn ?? lastLsn
  }
  expect(lastLsn).toBeGreaterThan(100)
})
