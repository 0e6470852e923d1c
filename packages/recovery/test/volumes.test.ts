// Recovery from a series of volumes: to the end of each call, to anything in the log of any call, and what is refused.
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type BackupManifest,
  type CallIndex,
  CallWriter,
  type Extent,
  settleSeries,
} from '@timberline/archive'
import { nodeFileSystem } from '@timberline/wal'
import { describe, expect, test } from 'vitest'
import { planFor, recover } from '../src/index.ts'
import { backupTo, contentOf, digestOf, Environment, scratchFolder, sha256 } from './environment.ts'

interface Scene {
  readonly folder: string
  readonly env: Environment
  readonly volumes: { readonly prefix: string; readonly dirs: readonly string[]; readonly parity: number }
}

/**
 * Three calls: the first from the checkpoint at 5 through 9, the second with the same checkpoint and the log through 12, the
 * third from the checkpoint at 20 through 22; of the log between 12 and 20 nothing is left.
 */
async function scene(parity = 0): Promise<Scene> {
  const folder = await scratchFolder()
  const env = await Environment.create(join(folder, 'home'))
  const volumes = { prefix: 'z', dirs: [join(folder, 'a'), join(folder, 'b')], parity }
  for (const directory of volumes.dirs) await mkdir(directory)
  await env.writeMany(5)
  const checkpoint = await env.checkpoint()
  await env.writeMany(2)
  await env.log.roll()
  await env.writeMany(2)
  await addCall(
    volumes,
    join(folder, 's1'),
    await backupTo(env, join(folder, 's1'), { checkpoint, label: 'c1' }),
  )
  await env.mark('between')
  await env.writeMany(2)
  await addCall(
    volumes,
    join(folder, 's2'),
    await backupTo(env, join(folder, 's2'), { checkpoint, label: 'c2' }),
  )
  await env.log.roll()
  await env.writeMany(8)
  const later = await env.checkpoint()
  await env.writeMany(2)
  await addCall(
    volumes,
    join(folder, 's3'),
    await backupTo(env, join(folder, 's3'), { checkpoint: later, label: 'c3' }),
  )
  return { folder, env, volumes }
}

/** Puts a backup folder into a series, each file as what an earlier call holds of it and the rest. */
async function addCall(
  place: Scene['volumes'],
  set: string,
  { files, ...rest }: BackupManifest,
): Promise<void> {
  const identity = await readFile(join(set, 'timberline.json'))
  const { last, index } = await settleSeries(place, nodeFileSystem)
  const firstPage = last === undefined ? 0 : last.header.firstPage + last.header.pages
  const writer = new CallWriter(
    {
      ...place,
      seriesId: '5e'.repeat(16),
      volumePages: 100,
      parity: place.parity,
      call: 1 + (last?.header.call ?? 0),
      firstVolume: 1 + (last?.header.volume ?? 0),
      firstPage,
    },
    nodeFileSystem,
  )
  const extents: (readonly Extent[])[] = []
  for (const { name, bytes } of files) {
    const held = heldOf(index, name)
    const heldBytes = held.reduce((sum, extent) => sum + extent.bytes, 0)
    const at = writer.position
    await writer.append((await readFile(join(set, name))).subarray(heldBytes))
    extents.push([...held, { at, bytes: bytes - heldBytes }])
  }
  const at = writer.position
  await writer.append(identity)
  const all = [...files, { name: 'timberline.json', bytes: identity.length, sha256: sha256(identity) }]
  await writer.finish({
    manifest: { ...rest, files: all },
    extents: [...extents, [{ at, bytes: identity.length }]],
  })
  await writer.publish()
}

function heldOf(index: CallIndex | undefined, name: string): readonly Extent[] {
  const position = index?.manifest.files.findIndex((file) => file.name === name) ?? -1
  return index?.extents[position] ?? []
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'not refused'
}

describe('a new home from a series of volumes', () => {
  test('has the state at the end of its last call, proved by the digest', async () => {
    const { folder, env, volumes } = await scene()
    const home = join(folder, 'restored')
    const report = await recover({ from: { volumes }, home })
    expect(report).toMatchObject({
      lsn: 22,
      timeline: 2,
      base: { label: 'c3', lsn: 20 },
      source: `${join(folder, 'a/z*.bp')} + ${join(folder, 'b/z*.bp')}`,
    })
    expect(report.proofs).toEqual([{ lsn: 22, hex: digestOf(env.content(22), 22).hex, recordedBy: 'backup' }])
    expect(await contentOf(home)).toEqual(env.content(22))
  })

  test('can be had at every LSN that the log of any call holds, and at marks', async () => {
    const { folder, env, volumes } = await scene()
    for (const lsn of [5, 6, 7, 8, 9, 10, 11, 12, 20, 21]) {
      const home = join(folder, `r${String(lsn)}`)
      const report = await recover({ from: { volumes }, home, target: { type: 'lsn', lsn, edge: 'through' } })
      expect(report.lsn).toBe(lsn)
      expect(await contentOf(home)).toEqual(env.content(lsn))
    }
    const target = { type: 'mark', name: 'between', edge: 'before' } as const
    expect((await recover({ from: { volumes }, home: join(folder, 'm'), target })).lsn).toBe(9)
  })

  test('in log that no call holds is refused with the nearest points, before the first call too', async () => {
    const { folder, volumes } = await scene()
    const at = (lsn: number) =>
      recover({
        from: { volumes },
        home: join(folder, 'x'),
        target: { type: 'lsn', lsn, edge: 'through' },
      })
    await expect(at(15)).rejects.toMatchObject({
      code: 'RECOVERY_LOG_GAP',
      details: { reachableBeforeLsn: 12, reachableAfterLsn: 20 },
    })
    expect(await codeOf(at(4))).toBe('RECOVERY_NO_BASE')
    expect(await codeOf(at(23))).toBe('RECOVERY_TARGET_AFTER_END')
  })

  test('is planned without being made', async () => {
    const { volumes } = await scene()
    expect(await planFor({ from: { volumes } })).toMatchObject({ possible: true, base: { label: 'c3' } })
  })

  test('is that of an earlier call when the volumes of later ones are taken away', async () => {
    const { folder, env, volumes } = await scene()
    await rm(join(folder, 'a/z3.bp'))
    expect((await recover({ from: { volumes }, home: join(folder, 'two') })).lsn).toBe(12)
    await rm(join(folder, 'a/z2.bp'))
    expect((await recover({ from: { volumes }, home: join(folder, 'one') })).lsn).toBe(9)
    expect(await contentOf(join(folder, 'one'))).toEqual(env.content(9))
  })

  test('may have its volumes spread over the folders', async () => {
    const { folder, volumes } = await scene()
    await rename(join(folder, 'a/z2.bp'), join(folder, 'b/z2.bp'))
    expect((await recover({ from: { volumes }, home: join(folder, 'x') })).lsn).toBe(22)
    const half = { ...volumes, dirs: [join(folder, 'a')] }
    const attempt = recover({ from: { volumes: half }, home: join(folder, 'y') })
    expect(await codeOf(attempt)).toBe('ARCHIVE_VOLUME_MISSING')
  })
})

test('a volume that parity makes up for is told among the warnings, of a plan too, and costs nothing else', async () => {
  const { folder, env, volumes } = await scene(4)
  await rm(join(folder, 'a/z1.bp'))
  const told = [expect.stringMatching(/^z1\.bp is missing; .*z1-1\.parity/)]
  expect(await planFor({ from: { volumes } })).toMatchObject({ possible: true, warnings: told })
  expect(await nodeFileSystem.list(join(folder, 'a'))).not.toContain('z1.bp')
  const report = await recover({ from: { volumes }, home: join(folder, 'x') })
  expect(report).toMatchObject({ lsn: 22, warnings: told })
  expect(await contentOf(join(folder, 'x'))).toEqual(env.content(22))
  const early = { type: 'lsn', lsn: 7, edge: 'through' } as const
  await recover({ from: { volumes }, home: join(folder, 'y'), target: early })
  expect(await contentOf(join(folder, 'y'))).toEqual(env.content(7))
})

describe('what is refused, before anything is written', () => {
  test('a wrong prefix, wrong order, damage, and another source beside it', async () => {
    const { folder, volumes } = await scene()
    const home = join(folder, 'x')
    const attempt = (): Promise<string> => codeOf(recover({ from: { volumes }, home }))
    expect(await codeOf(recover({ from: { volumes: { ...volumes, prefix: 'y' } }, home }))).toBe(
      'ARCHIVE_VOLUMES_ABSENT',
    )
    const both = { volumes, backup: join(folder, 's1') }
    expect(await codeOf(recover({ from: both, home }))).toBe('RECOVERY_OPTION_INVALID')
    await rename(join(folder, 'a/z2.bp'), join(folder, 'z'))
    await rename(join(folder, 'a/z3.bp'), join(folder, 'a/z2.bp'))
    await rename(join(folder, 'z'), join(folder, 'a/z3.bp'))
    expect(await attempt()).toBe('ARCHIVE_VOLUME_ORDER')
    await rename(join(folder, 'a/z3.bp'), join(folder, 'a/z2.bp'))
    const path = join(folder, 'a/z1.bp')
    const content = await readFile(path)
    content[content.length - 1] = (content.at(-1) ?? 0) ^ 1
    await writeFile(path, content)
    expect(await attempt()).toBe('ARCHIVE_VOLUME_DAMAGED')
    expect(await nodeFileSystem.status(home)).toBeUndefined()
  })

  test('a stop asked for while volumes are read', async () => {
    const { folder, volumes } = await scene()
    const fileSystem = { ...nodeFileSystem }
    const stop = new AbortController()
    const list = fileSystem.list.bind(nodeFileSystem)
    fileSystem.list = (path) => {
      stop.abort()
      return list(path)
    }
    const attempt = recover({ from: { volumes }, home: join(folder, 'x'), signal: stop.signal, fileSystem })
    expect(await codeOf(attempt)).toBe('RECOVERY_ABORTED')
  })
})
