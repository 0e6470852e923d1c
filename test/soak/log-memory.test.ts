import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const SCRIPT = fileURLToPath(new URL('../../packages/wal/test/memory-reader.ts', import.meta.url))
const MIB = 1024 * 1024

it('a log of 1 GiB is read in less than 128 MiB of memory, the runtime included', () => {
  const directory = mkdtempSync(join(tmpdir(), 'timberline-soak-'))
  try {
    const run = (verb: string): string =>
      execFileSync(process.execPath, ['--import', 'tsx', SCRIPT, verb, directory, '1024'], {
        encoding: 'utf8',
      })
    run('write')
    const { bytes, rssMax } = JSON.parse(run('read')) as { bytes: number; rssMax: number }
    expect(bytes).toBeGreaterThanOrEqual(1024 * MIB)
    expect(rssMax).toBeLessThan(128 * MIB)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
})
