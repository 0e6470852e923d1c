/**
 * One line, one writer: a home that was copied, an older copy that was put back, and two processes on one home all meet the same
 * archive. Fault model: people. Expected each time: one goes on, the other stops with a named error, and from that moment
 * on nothing in the archive comes from it; what the one that goes on has acknowledged as archived is recovered exactly.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Archive,
  createArchive,
  openArchive,
  openStore,
  runShipper,
  type Shipper,
  verifyArchive,
} from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover } from '@timberline/recovery'
import { expect, onTestFinished } from 'vitest'

/** The address of a new archive; `folder` is there for it, and removed after the test. */
export type ArchiveAt = (folder: string) => string

/** A history of two writers, to be run against any store. */
export interface FencingScenario {
  readonly title: string
  run(archiveAt: ArchiveAt): Promise<void>
}

interface Scene {
  readonly folder: string
  readonly url: string
  readonly home: string
}

/** A home with ten entries, a backup of it, and its log so far, in an archive. */
async function begin(archiveAt: ArchiveAt): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'timberline-fencing-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const scene = { folder, url: archiveAt(folder), home: join(folder, 'home') }
  await write(scene.home, 'first', 10)
  const { environmentId } = await readHomeIdentity(scene.home)
  const archive = await createArchive(openStore(scene.url), { environmentId })
  await hotbackup({ home: scene.home, target: { archive } })
  await archive.close()
  await ship(scene, scene.home)
  return scene
}

async function write(home: string, prefix: string, count: number): Promise<void> {
  const db = new TimberLevel(home)
  for (let index = 0; index < count; index++) await db.put(`${prefix}/${String(index)}`, prefix)
  await db.close()
}

interface Shipping {
  readonly archive: Archive
  readonly shipper: Shipper
  readonly stop: AbortController
}

const HEARTBEAT_MS = 100

async function shipping(scene: Scene, home: string): Promise<Shipping> {
  const archive = await openArchive(openStore(scene.url))
  const identity = await readHomeIdentity(home)
  const stop = new AbortController()
  const { logDirectory } = homeLayout(home)
  // Who has shipped all it has learns by its heartbeat alone that another one owns the archive.
  const heartbeatMs = HEARTBEAT_MS
  const shipper = runShipper({ archive, logDirectory, name: 'a', identity, heartbeatMs, signal: stop.signal })
  return { archive, shipper, stop }
}

/** Ships all that a home has, once. */
async function ship(scene: Scene, home: string): Promise<number> {
  const { archive, shipper, stop } = await shipping(scene, home)
  try {
    return await shipper.flushWhole()
  } finally {
    stop.abort()
    try {
      await shipper.done
    } finally {
      await archive.close()
    }
  }
}

async function refusal(scene: Scene, home: string): Promise<string> {
  return ship(scene, home).then(
    () => 'shipped',
    (error: { code?: string }) => error.code ?? 'no code',
  )
}

/** Every object with its content. */
async function objects(scene: Scene): Promise<ReadonlyMap<string, string>> {
  const store = openStore(scene.url)
  const found = new Map<string, string>()
  for await (const { name } of store.list('')) found.set(name, (await store.get(name)).toString('base64'))
  return found
}

async function recovered(scene: Scene): Promise<ReadonlyMap<string, string>> {
  const archive = await openArchive(openStore(scene.url))
  const home = join(scene.folder, 'recovered')
  const findings: unknown[] = []
  for await (const finding of verifyArchive(archive)) findings.push(finding)
  expect(findings).toEqual([])
  await recover({ from: { archive }, home })
  await archive.close()
  const db = new TimberLevel(home)
  try {
    return new Map(await db.iterator().all())
  } finally {
    await db.close()
    await rm(home, { recursive: true })
  }
}

function count(content: ReadonlyMap<string, string>, prefix: string): number {
  return [...content.values()].filter((value) => value === prefix).length
}

/** All of them. */
export const fencingScenarios: readonly FencingScenario[] = [
  {
    title:
      'a copied home that was started elsewhere is refused once its original went on, and changes nothing',
    async run(archiveAt) {
      const scene = await begin(archiveAt)
      const copy = join(scene.folder, 'copy')
      await cp(scene.home, copy, { recursive: true })
      await write(scene.home, 'original', 5)
      await write(copy, 'copy', 7)
      await ship(scene, scene.home)
      const before = await objects(scene)
      for (let tries = 0; tries < 2; tries++) expect(await refusal(scene, copy)).toBe('ARCHIVE_CONFLICT')
      expect(await objects(scene)).toEqual(before)
      const content = await recovered(scene)
      expect([count(content, 'first'), count(content, 'original'), count(content, 'copy')]).toEqual([
        10, 5, 0,
      ])
    },
  },
  {
    title:
      'of a running home and its copy, the one that claims the archive last has it; the other stops by name',
    async run(archiveAt) {
      const scene = await begin(archiveAt)
      const copy = join(scene.folder, 'copy')
      await cp(scene.home, copy, { recursive: true })
      const original = await shipping(scene, scene.home)
      await original.shipper.flush()
      await write(copy, 'copy', 7)
      await ship(scene, copy)
      const before = await objects(scene)
      await write(scene.home, 'original', 5)
      await expect(original.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_FENCED' })
      await original.archive.close()
      expect(await refusal(scene, scene.home)).toBe('ARCHIVE_CONFLICT')
      expect(await objects(scene)).toEqual(before)
      const content = await recovered(scene)
      expect([count(content, 'first'), count(content, 'original'), count(content, 'copy')]).toEqual([
        10, 0, 7,
      ])
    },
  },
  {
    title: 'an older copy of a home that was put back is refused, because the archive knows more',
    async run(archiveAt) {
      const scene = await begin(archiveAt)
      const old = join(scene.folder, 'old')
      await cp(scene.home, old, { recursive: true })
      await write(scene.home, 'original', 5)
      await ship(scene, scene.home)
      const before = await objects(scene)
      expect(await refusal(scene, old)).toBe('ARCHIVE_AHEAD')
      expect(await objects(scene)).toEqual(before)
    },
  },
  {
    title: 'two processes that archive one home never both succeed, and nothing is lost between them',
    async run(archiveAt) {
      const scene = await begin(archiveAt)
      await write(scene.home, 'second', 5)
      const both = await Promise.all([shipping(scene, scene.home), shipping(scene, scene.home)])
      const outcomes = await Promise.allSettled(both.map(({ shipper }) => shipper.flush()))
      const fenced = await Promise.race(
        both.map(({ shipper }, index) =>
          shipper.done.then(
            () => -1,
            (error: { code?: string }) => {
              expect(error.code).toBe('ARCHIVE_FENCED')
              return index
            },
          ),
        ),
      )
      const winner = both[1 - fenced]
      expect(outcomes[1 - fenced]?.status).toBe('fulfilled')
      expect(await winner?.shipper.flush()).toBeGreaterThan(10)
      for (const { stop } of both) stop.abort()
      await Promise.allSettled(both.map(({ shipper }) => shipper.done))
      await Promise.all(both.map(({ archive }) => archive.close()))
      const content = await recovered(scene)
      expect([count(content, 'first'), count(content, 'second')]).toEqual([10, 5])
    },
  },
  {
    title: 'a restored home archives on a timeline of its own, beside the old one, which stays whole',
    async run(archiveAt) {
      const scene = await begin(archiveAt)
      const archive = await openArchive(openStore(scene.url))
      const home = join(scene.folder, 'restored')
      const report = await recover({ from: { archive }, home })
      // From its first shipper on, the home keeps its log for the archive.
      await ship(scene, home)
      await write(home, 'restored', 3)
      await write(scene.home, 'original', 5)
      await ship(scene, home)
      await ship(scene, scene.home)
      const { timelines } = await archive.catalogue()
      expect(timelines.map(({ timeline, parent }) => [timeline, parent])).toEqual([
        [1, undefined],
        [report.timeline, 1],
      ])
      for (const [timeline, own, other] of [
        [1, 'original', 'restored'],
        [report.timeline, 'restored', 'original'],
      ] as const) {
        const again = join(scene.folder, `again-${String(timeline)}`)
        await recover({ from: { archive }, home: again, timeline })
        const db = new TimberLevel(again)
        const content = new Map(await db.iterator().all())
        await db.close()
        expect(count(content, own)).toBeGreaterThan(0)
        expect(count(content, other)).toBe(0)
      }
      await archive.close()
    },
  },
]
