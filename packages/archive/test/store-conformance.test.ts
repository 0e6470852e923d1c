import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CrashFileSystem } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { directoryStore, memoryStore, openStore, storeConformance } from '../src/index.ts'

describe.each(storeConformance)('$title', (check) => {
  it('in memory', async () => {
    await expect(check.run(memoryStore())).resolves.toBeUndefined()
  })

  it('in memory, where objects can grow', async () => {
    await expect(check.run(memoryStore('memory:', { grows: true }))).resolves.toBeUndefined()
  })

  it('in a directory', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'timberline-store-'))
    try {
      const store = directoryStore(join(folder, 'made', 'when', 'needed'))
      await expect(check.run(store)).resolves.toBeUndefined()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('in a directory of the simulated disk', async () => {
    const store = directoryStore('/deep/archive', new CrashFileSystem())
    await expect(check.run(store)).resolves.toBeUndefined()
  })
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
