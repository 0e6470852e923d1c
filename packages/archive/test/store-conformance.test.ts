import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CrashFileSystem } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { directoryStore, memoryStore, openStore, storeConformance } from '../src/index.ts'

describe.each(storeConformance)('$title', ({ run }) => {
  it('in memory', () => run(memoryStore()))

  it('in a directory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-store-'))
    try {
      await run(directoryStore(join(folder, 'made', 'when', 'needed')))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('in a directory of the simulated disk', () =>
    run(directoryStore('/deep/archive', new CrashFileSystem())))
})

describe('openStore', () => {
  it('takes paths and dir: and file: addresses', () => {
    expect(openStore('/backups/app').url).toBe('/backups/app')
    expect(openStore('dir:/backups/app').url).toBe('/backups/app')
    expect(openStore('file:///backups/app').url).toBe('/backups/app')
  })

  it('refuses an address that it does not know', () => {
    for (const url of ['', 'dir:', 's4://bucket', 'ftp://host/x']) {
      expect(() => openStore(url)).toThrow(expect.objectContaining({ code: 'ARCHIVE_URL_UNKNOWN' }))
    }
  })
})
