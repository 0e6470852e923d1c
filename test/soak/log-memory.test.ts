/** A log is read in a bounded amount of memory, however long it is: at least 256 MiB, more where the run has time for it. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { testProgram } from '../../tools/test-programs.ts'
import { shareMs } from './soak-share.ts'

const SCRIPT = fileURLToPath(new URL('../../packages/wal/test/memory-reader.ts', import.meta.url))
const MIB = 1024 * 1024
const LOG_MIB = Math.min(4096, Math.max(256, Math.ceil(shareMs / 60_000) * 256))

it('a log of any length is read in less than 128 MiB of memory, the runtime included', () => {
  const directory = mkdtempSync(join(tmpdir(), 'timberline-soak-'))
  try {
    const run = (verb: string): string =>
      execFileSync(process.execPath, [testProgram(SCRIPT), verb, directory, String(LOG_MIB)], {
        encoding: 'utf8',
      })
    run('write')
    const { bytes, rssMax } = JSON.parse(run('read')) as { bytes: number; rssMax: number }
    console.log(`log memory: ${String(LOG_MIB)} MiB read in ${(rssMax / MIB).toFixed(0)} MiB of memory`)
    expect(bytes).toBeGreaterThanOrEqual(LOG_MIB * MIB)
    expect(rssMax).toBeLessThan(128 * MIB)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
