import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { testProgram } from '../../../tools/test-programs.ts'

const SCRIPT = fileURLToPath(new URL('./memory-reader.ts', import.meta.url))
const MIB = 1024 * 1024

it('a log of 256 MiB is read in less than 128 MiB of memory, the runtime included', () => {
  const directory = mkdtempSync(join(tmpdir(), 'timberline-wal-'))
  try {
    const run = (verb: string): string =>
      execFileSync(process.execPath, ['--expose-gc', testProgram(SCRIPT), verb, directory, '256'], {
        encoding: 'utf8',
      })
    run('write')
    const { bytes, rssMax } = JSON.parse(run('read')) as { bytes: number; rssMax: number }
    expect(bytes).toBeGreaterThanOrEqual(256 * MIB)
    expect(rssMax).toBeLessThan(128 * MIB)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}, 300_000)
