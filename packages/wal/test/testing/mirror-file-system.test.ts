/**
 * What the mirror says of a power loss, on folders small enough to know each answer: our files by the model of the simulated disk,
 * LevelDB's by its promises or only by what was synced through the port. Tables are played by plain files here.
 */
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { MirrorFileSystem, type PowerLoss } from '../../src/testing/index.ts'

let folder = ''
let root = ''
let mirror = new MirrorFileSystem('/nowhere')
let written = 0

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'timberline-mirror-'))
  root = join(folder, 'root')
  mkdirSync(root)
  mirror = new MirrorFileSystem(root)
})
afterEach(() => rmSync(folder, { recursive: true }))

async function put(name: string, text: string, synced: boolean): Promise<void> {
  const file = await mirror.open(join(root, name), 'create')
  await file.write(Buffer.from(text), 0)
  if (synced) await file.sync()
  await file.close()
}

/** The files of a captured state as they are once written out. */
function stateOf(loss: PowerLoss): Record<string, string> {
  const image = mirror.capture({ seed: 1, ...loss })
  const target = join(folder, `written-${String((written += 1))}`)
  image.writeTo(target)
  return Object.fromEntries(image.paths.map((path) => [path, readFileSync(join(target, path), 'latin1')]))
}

const LOST = { writes: 'lost', names: 'lost' } as const
const KEPT = { writes: 'kept', names: 'kept' } as const

describe('our own files', () => {
  it('are written to the real folder, and survive as the simulated disk says', async () => {
    await put('synced', 'a', true)
    await mirror.syncDirectory(root)
    await put('unsynced', 'b', false)
    expect(readFileSync(join(root, 'unsynced'), 'utf8')).toBe('b')
    expect(stateOf(LOST)).toEqual({ '/synced': 'a' })
    expect(stateOf(KEPT)).toEqual({ '/synced': 'a', '/unsynced': 'b' })
    expect(stateOf({ writes: 'lost', names: 'kept' })).toEqual({ '/synced': 'a', '/unsynced': '' })
  })

  it('keep their hard links, and their state is the same whatever their numbers are', async () => {
    await put('one', 'a', true)
    await mirror.link(join(root, 'one'), join(root, 'two'))
    await mirror.syncDirectory(root)
    const image = mirror.capture(LOST)
    image.writeTo(join(folder, 'linked'))
    expect(statSync(join(folder, 'linked/two')).nlink).toBe(2)
    await put('three', 'c', false)
    expect(mirror.capture(LOST).fingerprint).toBe(image.fingerprint)
    expect(mirror.capture(KEPT).fingerprint).not.toBe(image.fingerprint)
  })

  it('may come back when their removal was not synced', async () => {
    await put('gone', 'a', true)
    await mirror.syncDirectory(root)
    await mirror.remove(join(root, 'gone'))
    expect(stateOf(LOST)).toEqual({ '/gone': 'a' })
    expect(stateOf(KEPT)).toEqual({})
  })
})

describe('what was frozen', () => {
  it('is written elsewhere, and goes on there with what is not durable, LevelDB’s files included', async () => {
    await put('synced', 'a', true)
    await mirror.makeDirectory(join(root, 'data'))
    await mirror.syncDirectory(root)
    await put('unsynced', 'b', false)
    writeFileSync(join(root, 'data/MANIFEST-000002'), 'first.')
    writeFileSync(join(root, 'data/000003.log'), 'log')
    writeFileSync(join(root, 'data/LOCK'), '')
    const frozen = await mirror.freeze()
    await put('later', 'c', true)
    const thawedRoot = join(folder, 'thawed')
    mirror = MirrorFileSystem.thaw(thawedRoot, frozen)
    root = thawedRoot
    expect(readdirSync(root).sort()).toEqual(['data', 'synced', 'unsynced'])
    expect(readdirSync(join(root, 'data')).sort()).toEqual(['000003.log', 'MANIFEST-000002'])
    expect(stateOf({ ...LOST, leveldb: 'synced', ownLog: 'gone' })).toEqual({ '/synced': 'a' })
    appendFileSync(join(root, 'data/MANIFEST-000002'), 'second.')
    const manifest = await mirror.open(join(root, 'data/MANIFEST-000002'), 'read')
    await manifest.sync()
    await manifest.close()
    await mirror.syncDirectory(join(root, 'data'))
    expect(stateOf({ ...LOST, leveldb: 'synced', ownLog: 'gone' })).toEqual({
      '/synced': 'a',
      '/data/MANIFEST-000002': 'first.second.',
    })
  })
})

describe('files of LevelDB', () => {
  const inData = (name: string): string => join(root, 'data', name)

  beforeEach(async () => {
    await mirror.makeDirectory(join(root, 'data'))
    writeFileSync(inData('MANIFEST-000002'), 'first.')
    writeFileSync(inData('000005.dbtmp'), 'MANIFEST-000002\n')
    renameSync(inData('000005.dbtmp'), inData('CURRENT'))
    writeFileSync(inData('LOCK'), '')
    writeFileSync(inData('000004.ldb'), 'table 4')
    const manifest = await mirror.open(inData('MANIFEST-000002'), 'read')
    await manifest.sync()
    await manifest.close()
    await mirror.syncDirectory(join(root, 'data'))
    await mirror.syncDirectory(root)
    appendFileSync(inData('MANIFEST-000002'), 'second.')
    writeFileSync(inData('000006.ldb'), 'table 6')
    writeFileSync(inData('000007.log'), 'x'.repeat(10_000))
  })

  it('are as they are now when LevelDB’s promises hold', () => {
    expect(stateOf({ ...LOST, leveldb: 'promised', ownLog: 'gone' })).toEqual({
      '/data/000004.ldb': 'table 4',
      '/data/000006.ldb': 'table 6',
      '/data/CURRENT': 'MANIFEST-000002\n',
      '/data/MANIFEST-000002': 'first.second.',
    })
  })

  it('go back to what was synced through the port when nothing else holds', async () => {
    // The port looks, and so learns what there is; it makes nothing durable.
    await (await mirror.open(inData('CURRENT'), 'read')).close()
    const before = {
      '/data/000004.ldb': 'table 4',
      '/data/CURRENT': 'MANIFEST-000002\n',
      '/data/MANIFEST-000002': 'first.',
    }
    expect(stateOf({ ...LOST, leveldb: 'synced', ownLog: 'gone' })).toEqual(before)
    expect(stateOf({ ...KEPT, leveldb: 'synced', ownLog: 'gone' })).toEqual({
      ...before,
      '/data/000006.ldb': 'table 6',
      '/data/MANIFEST-000002': 'first.second.',
    })
  })

  it('have the old CURRENT or the new one, never none', async () => {
    writeFileSync(inData('MANIFEST-000009'), 'new')
    writeFileSync(inData('000009.dbtmp'), 'MANIFEST-000009\n')
    renameSync(inData('000009.dbtmp'), inData('CURRENT'))
    rmSync(inData('MANIFEST-000002'))
    await (await mirror.open(inData('CURRENT'), 'read')).close()
    const seen = new Set<string | undefined>()
    for (let seed = 1; seed <= 40; seed += 1) {
      seen.add(stateOf({ seed, leveldb: 'synced' })['/data/CURRENT'])
    }
    expect(seen).toEqual(new Set(['MANIFEST-000002\n', 'MANIFEST-000009\n']))
  })

  it('have their own log damaged in each way', () => {
    const logOf = (ownLog: PowerLoss['ownLog']): string | undefined =>
      stateOf({ leveldb: 'promised', seed: 3, ...(ownLog === undefined ? {} : { ownLog }) })[
        '/data/000007.log'
      ]
    expect(logOf('kept')).toBe('x'.repeat(10_000))
    expect(logOf('gone')).toBeUndefined()
    expect(logOf('cut')).toMatch(/^x*$/)
    expect(logOf('cut')?.length).toBeLessThan(10_000)
    expect(logOf('zeroed')).toMatch(/^x*\0+$/)
    expect(logOf('zeroed')).toHaveLength(10_000)
    expect(logOf('garbled')).toHaveLength(10_000)
    expect(logOf('garbled')).not.toMatch(/^x*$/)
    expect(logOf('pierced')?.replaceAll('x', '').length).toBeGreaterThan(0)
  })

  it('share their bytes with the links that the port made of them', async () => {
    await mirror.makeDirectory(join(root, 'tables'))
    await mirror.syncDirectory(root)
    await mirror.link(inData('000006.ldb'), join(root, 'tables/000006.ldb'))
    await mirror.syncDirectory(join(root, 'tables'))
    for (const leveldb of ['promised', 'synced'] as const) {
      const target = join(folder, leveldb)
      mirror.capture({ writes: 'lost', names: 'kept', leveldb }).writeTo(target)
      expect(readFileSync(join(target, 'tables/000006.ldb'), 'utf8')).toBe('table 6')
      expect(statSync(join(target, 'data/000006.ldb')).ino).toBe(
        statSync(join(target, 'tables/000006.ldb')).ino,
      )
    }
    // Its name in the folder of links was synced, that in LevelDB's own was not.
    const lost = stateOf({ ...LOST, leveldb: 'synced' })
    expect(Object.keys(lost)).toContain('/tables/000006.ldb')
    expect(Object.keys(lost)).not.toContain('/data/000006.ldb')
  })

  it('come back from a removal of their own log that was not synced', async () => {
    await mirror.remove(inData('000007.log'))
    const seen = new Set<boolean>()
    for (let seed = 1; seed <= 40; seed += 1) {
      seen.add('/data/000007.log' in stateOf({ seed, leveldb: 'synced' }))
    }
    expect(seen).toEqual(new Set([true, false]))
  })

  it('never bring a lock into another run of the machine', async () => {
    writeFileSync(join(root, 'lock.json'), '{}')
    await (await mirror.open(join(root, 'lock.json'), 'read')).close()
    await mirror.link(inData('LOCK'), join(root, 'LOCK'))
    await mirror.remove(inData('LOCK'))
    expect(Object.keys(stateOf(KEPT)).filter((path) => /lock/i.test(path))).toEqual([])
  })
})
