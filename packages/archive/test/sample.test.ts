// A sample finds damage exactly in what it reads, for every object and many seeds; what listing can tell it always finds.
import { describe, expect, it } from 'vitest'
import {
  type ArchiveStore,
  countingStore,
  openArchive,
  verifyArchive,
  type VerifyProgress,
  type VerifySample,
} from '../src/index.ts'
import { sampleOf } from '../src/checking/sample.ts'
import { copyOf, finishedArchive, namesOf } from './support/finished-archive.ts'

const hasContent = (name: string): boolean =>
  ['segment/', 'piece/', 'file/'].some((prefix) => name.startsWith(prefix)) ||
  (name.startsWith('backup/') && !name.endsWith('manifest.json'))

async function scene(): Promise<{ readonly store: ArchiveStore; readonly names: readonly string[] }> {
  const store = await finishedArchive()
  await (await openArchive(store)).putObject('file/pushed', Buffer.alloc(2000, 'pushed '))
  const names = (await namesOf(store)).filter(hasContent)
  expect(names).toHaveLength(7)
  return { store, names }
}

async function found(
  store: ArchiveStore,
  sample?: VerifySample,
): Promise<{ readonly names: string[]; readonly seen: VerifyProgress | undefined }> {
  const names: string[] = []
  let seen: VerifyProgress | undefined
  const onProgress = (now: VerifyProgress): void => void (seen = now)
  for await (const finding of verifyArchive(await openArchive(store), { sample, onProgress }))
    names.push(finding.name)
  return { names, seen }
}

function flipped(store: ArchiveStore, name: string): Promise<ArchiveStore> {
  return copyOf(store, (one, content) => {
    if (one === name) content.writeUInt8(content.readUInt8(80) ^ 1, 80)
    return content
  })
}

describe('a sample', () => {
  it('finds a flipped byte exactly when the seed takes the object, whatever the object', async () => {
    const { store, names } = await scene()
    let hits = 0
    for (const name of names) {
      const damaged = await flipped(store, name)
      for (let seed = 0; seed < 40; seed++) {
        const sample = { seed: String(seed), ...(seed % 2 === 0 ? { share: 0.3 } : { count: 2 }) }
        const isTaken = sampleOf(names, sample).has(name)
        hits += isTaken ? 1 : 0
        expect((await found(damaged, sample)).names, `${name}, seed ${seed}`).toEqual(isTaken ? [name] : [])
      }
    }
    expect(hits).toBeGreaterThan(40)
    expect(hits).toBeLessThan(200)
  })

  it('finds with any seed what is gone or was cut, by listing alone', async () => {
    const { store, names } = await scene()
    // Nothing says that a pushed file was ever there, nor the newest piece.
    const newest = names.findLast((name) => name.startsWith('piece/'))
    for (const name of names) {
      for (const part of [undefined, 0.5]) {
        if (name === 'file/pushed' || (part === undefined && name === newest)) continue
        if (part !== undefined && name.startsWith('piece/')) continue
        const damaged = await copyOf(store, (one, content) => {
          if (one !== name) return content
          return part === undefined ? undefined : content.subarray(0, Math.min(60, content.length * part))
        })
        for (let seed = 0; seed < 10; seed++) {
          const { names: said } = await found(damaged, { seed: String(seed), count: 1 })
          expect(said, `${name} cut to ${part}`).not.toEqual([])
        }
      }
    }
  })

  it('reads what it takes and nothing more, and says how much that was', async () => {
    const { store, names } = await scene()
    for (const count of [1, 3]) {
      const counting = countingStore(store)
      const { names: said, seen } = await found(counting, { seed: 'a', count })
      expect(said).toEqual([])
      // Pieces that were all taken are read once more, as the segment that they are.
      const taken = [...sampleOf(names, { seed: 'a', count })].filter((name) => name.startsWith('piece/'))
      expect(counting.counts.getStream).toBe(count + (taken.length === 2 ? 2 : 0))
      expect(seen).toMatchObject({ objectsKnown: names.length, objectsToRead: count, objectsRead: count })
    }
    await store.delete('file/pushed')
    const { seen } = await found(store)
    expect(seen).toMatchObject({ objectsKnown: 6, objectsRead: 6, bytesRead: seen?.bytesToRead })
  })

  it('comes round to every object with other seeds, and to the same ones with the same seed', () => {
    const names = Array.from({ length: 50 }, (_, at) => `segment/${at}`)
    const taken = new Set<string>()
    for (let seed = 0; seed < 100; seed++) {
      const sample = { seed: String(seed), share: 0.1 }
      const chosen = sampleOf(names, sample)
      expect(chosen.size).toBe(5)
      expect(sampleOf(names.toReversed(), sample)).toEqual(chosen)
      for (const name of chosen) taken.add(name)
    }
    expect(taken.size).toBe(50)
  })

  it('takes one of few, all when more are asked for, and nothing else than a share or a count', () => {
    expect(sampleOf(['a', 'b'], { seed: '', share: 0.01 }).size).toBe(1)
    expect(sampleOf(['a', 'b'], { seed: '', count: 9 }).size).toBe(2)
    for (const bad of [
      {},
      { share: 0 },
      { share: 1.1 },
      { count: 0 },
      { count: 1.5 },
      { share: 0.5, count: 1 },
    ]) {
      expect(() => sampleOf(['a'], { seed: '', ...bad })).toThrow(
        expect.objectContaining({ code: 'ARCHIVE_OPTION_INVALID' }),
      )
    }
  })

  it('takes no hole that retention made for a gap', async () => {
    const { store } = await scene()
    const plain = await copyOf(store, (_, content) => content)
    const archive = await openArchive(plain)
    const [, second] = (await archive.catalogue()).segments
    const segments = [{ timeline: 1, fromSegment: 2, throughSegment: 2 }]
    const decision = { backups: [], segments, timelines: [] }
    await archive.appendEvent({ type: 'retention.decided', decision })
    await plain.delete(second?.name ?? '')
    expect((await found(plain)).names).toEqual([])
  })

  it('tells nothing of what retention let go while it ran', async () => {
    const { store } = await scene()
    const plain = await copyOf(store, (_, content) => content)
    let isListed = false
    const moving: ArchiveStore = {
      ...plain,
      async *list(prefix, options) {
        if (prefix === 'segment/' && !isListed) {
          isListed = true
          const archive = await openArchive(plain)
          const [first] = (await archive.catalogue()).segments
          const segments = [{ timeline: 1, fromSegment: 1, throughSegment: 1 }]
          const decision = { backups: [], segments, timelines: [] }
          await archive.appendEvent({ type: 'retention.decided', decision })
          await plain.delete(first?.name ?? '')
        }
        yield* plain.list(prefix, options)
      },
    }
    expect((await found(moving)).names).toEqual([])
    expect(isListed).toBe(true)
    const gone = await copyOf(store, (name, content) =>
      name.startsWith('segment/00000001/0000000001') ? undefined : content,
    )
    expect((await found(gone)).names).toHaveLength(1)
  })
})
