/**
 * Fault model: the power fails right after a checkpoint was taken; of names, only those in synced folders survive (the stricter
 * POSIX reading), of LevelDB's folder only what was synced through the port.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { MirrorFileSystem } from '@timberline/wal/testing'
import { expect, test } from 'vitest'
import { TimberLevel } from '../src/timber-level.ts'
import { scratchFolder } from './support/scratch.ts'

const folder = scratchFolder()

test('the first checkpoint of a home is not lost with the name of its folder', async () => {
  const root = join(folder, 'disk')
  const home = join(root, 'base')
  mkdirSync(root)
  const mirror = new MirrorFileSystem(root)
  await mirror.makeDirectory(home)
  await mirror.syncDirectory(root)
  const db = new TimberLevel(home, { fileSystem: mirror, log: { preallocateBytes: 0 } })
  await db.put('a', '1')
  const { lsn } = await db.checkpoint()
  const image = mirror.capture({ writes: 'lost', names: 'lost', leveldb: 'synced', ownLog: 'gone' })
  const inCheckpoint = image.paths.filter((path) => path.startsWith('/base/checkpoint/'))
  expect(inCheckpoint.filter((path) => path.endsWith('.json'))).toHaveLength(1)
  expect(inCheckpoint.filter((path) => path.endsWith('.ldb')).length).toBeGreaterThan(0)
  // The log below it has gone, so that without it nothing could be opened once LevelDB's folder is damaged.
  expect(image.paths).not.toContain('/base/log/log.0000000001')
  image.writeTo(join(folder, 'after'))
  await db.close()
  const after = new TimberLevel(join(folder, 'after/base'))
  expect(await after.get('a')).toBe('1')
  expect(after.opened?.log.lastLsn).toBeGreaterThanOrEqual(lsn)
  await after.close()
})
