// Fault model: power fails before or after any operation of a put; what was not synced is lost, kept or torn.
import {
  countOperations,
  CrashFileSystem,
  crashAt,
  FaultFileSystem,
  failAt,
  failOn,
} from '@timberline/wal/testing'
import { TimberlineError } from '@timberline/wal'
import { describe, expect, it } from 'vitest'
import { type ArchiveStore, directoryStore } from '../src/index.ts'

const CONTENT = Buffer.alloc(20_000, 'content of an object ')
const NAME = 'piece/00000001/x'

describe('the directory store under power loss', () => {
  for (const model of ['posix', 'ext4'] as const) {
    it(`has an object whole or not at all, and for good once put has resolved (${model})`, async () => {
      const count = await countOperations((fs) => directoryStore('/a/b/archive', fs).put(NAME, CONTENT))
      expect(count).toBeGreaterThan(10)
      let present = 0
      for (let index = 1; index <= count + 1; index++) {
        for (let seed = 1; seed <= 8; seed++) {
          const disk = new CrashFileSystem({ seed, model })
          const faulty = new FaultFileSystem(disk, crashAt(index))
          const outcome = await directoryStore('/a/b/archive', faulty)
            .put(NAME, CONTENT)
            .catch(() => 'crashed')
          const store = directoryStore('/a/b/archive', disk.crash(seed))
          const found = await store.status(NAME)
          const isWhole = found !== undefined && (await store.get(NAME)).equals(CONTENT)
          present += isWhole ? 1 : 0
          // Absent is allowed only while nothing was promised.
          expect(isWhole || (found === undefined && outcome === 'crashed')).toBe(true)
          // Whatever was left, the next try succeeds and is durable.
          expect(['created', 'exists-same']).toContain(await store.put(NAME, CONTENT))
        }
      }
      expect(present).toBeGreaterThan(8)
    })

    it(`makes a name durable that an earlier put left behind (${model})`, async () => {
      const count = await countOperations((fs) => directoryStore('/archive', fs).put(NAME, CONTENT))
      for (let index = 1; index <= count; index++) {
        const disk = new CrashFileSystem({ seed: index, model })
        const faulty = new FaultFileSystem(disk, failAt(index, 'EIO'))
        await directoryStore('/archive', faulty)
          .put(NAME, CONTENT)
          .catch(() => undefined)
        await directoryStore('/archive', disk).put(NAME, CONTENT)
        const store = directoryStore('/archive', disk.crash({ names: 'lost', seed: index }))
        expect((await store.get(NAME)).equals(CONTENT)).toBe(true)
      }
    })
  }
})

describe('the directory store on a refusing disk', () => {
  it('removes with its next put the temporary file that it could not remove before', async () => {
    const disk = new CrashFileSystem()
    let isReadOnly = false
    const faulty = new FaultFileSystem(disk, ({ kind }) =>
      isReadOnly || kind === 'link' ? ((isReadOnly = true), 'EIO') : undefined,
    )
    const store = directoryStore('/archive', faulty)
    await expect(store.put(NAME, CONTENT)).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
    expect(await disk.list('/archive/.tmp')).toHaveLength(1)
    faulty.inject(undefined)
    await store.put(NAME, CONTENT)
    expect(await disk.list('/archive/.tmp')).toEqual([])
    expect(await store.get(NAME)).toEqual(CONTENT)
  })

  it('tries once with each put to remove what it can never remove, and puts all the same', async () => {
    let removals = 0
    const faulty = new FaultFileSystem(new CrashFileSystem(), ({ kind }) => {
      if (kind !== 'remove') return undefined
      removals += 1
      // Without an end a store that tries for ever would hang this test, which could not tell then.
      return removals < 100 ? 'EIO' : undefined
    })
    const store = directoryStore('/archive', faulty)
    for (const name of ['a/1', 'a/2', 'a/3']) expect(await store.put(name, CONTENT)).toBe('created')
    // Of the first its own; of the second its own and the first one's; of the third all three.
    expect(removals).toBe(6)
  })

  it('names every refusal as one that may pass, and leaves no object', async () => {
    const count = await countOperations((fs) => directoryStore('/archive', fs).put(NAME, CONTENT))
    let refused = 0
    for (let index = 1; index <= count; index++) {
      const disk = new CrashFileSystem()
      const faulty = new FaultFileSystem(disk, failAt(index, 'EIO'))
      const store = directoryStore('/archive', faulty)
      const error: unknown = await store.put(NAME, CONTENT).catch((cause: unknown) => cause)
      expect(faulty.injected).toHaveLength(1)
      const isRefused = error instanceof TimberlineError && error.code === 'ARCHIVE_STORE_FAILED'
      refused += isRefused && error.kind === 'unavailable' ? 1 : 0
      expect(isRefused || error === 'created').toBe(true)
      expect(['created', 'exists-same']).toContain(await store.put(NAME, CONTENT))
    }
    // All but the removal of the temporary file.
    expect(refused).toBe(count - 1)
  })

  it('puts nothing where its folder has disappeared', async () => {
    const disk = new CrashFileSystem()
    const store = directoryStore('/mount/archive', disk)
    await store.put('a/x', CONTENT)
    await disk.removeTree('/mount/archive')
    await expect(store.put('a/y', CONTENT)).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
    await expect(store.put('b/y', CONTENT)).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
    expect(await disk.status('/mount/archive')).toBeUndefined()
  })

  it('lets go of every file that it reads, whether whole, in part, left early or failing', async () => {
    const disk = new CrashFileSystem()
    await directoryStore('/archive', disk).put(NAME, Buffer.alloc(3 * 1024 * 1024))
    const reads: readonly ((store: ArchiveStore) => Promise<unknown>)[] = [
      (store) => store.get(NAME),
      (store) => store.get(NAME, { bytesMax: 10 }),
      (store) => store.getRange(NAME, { position: 5, bytes: 10 }),
      async (store) => {
        const chunks: Buffer[] = []
        for await (const chunk of store.getStream(NAME)) chunks.push(chunk)
        return chunks
      },
      async (store) => {
        for await (const chunk of store.getStream(NAME)) if (chunk.length > 0) return
      },
    ]
    for (const read of reads) {
      for (const isFailing of [false, true]) {
        const faulty = new FaultFileSystem(disk, isFailing ? failOn({ kind: 'read' }, 'EIO') : undefined)
        await read(directoryStore('/archive', faulty)).catch(() => undefined)
        const count = (wanted: string): number =>
          faulty.operations.filter(({ kind }) => kind === wanted).length
        expect([count('open'), count('close')]).toEqual([1, 1])
      }
    }
  })

  it('removes temporary files only when they are a day old', async () => {
    const disk = new CrashFileSystem({ nowMs: () => Date.now() - 25 * 3_600_000 })
    await disk.makeDirectory('/archive/.tmp')
    await (await disk.open('/archive/.tmp/old', 'create')).close()
    await directoryStore('/archive', disk).put('x', CONTENT)
    expect(await disk.list('/archive/.tmp')).toEqual([])
    const young = new CrashFileSystem({ nowMs: () => Date.now() })
    await young.makeDirectory('/archive/.tmp')
    await (await young.open('/archive/.tmp/young', 'create')).close()
    await directoryStore('/archive', young).put('x', CONTENT)
    expect(await young.list('/archive/.tmp')).toEqual(['young'])
  })
})

describe('what the directory store hands to the disk at a time', () => {
  const MIB = 1024 * 1024
  async function* chunks(bytes: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes; at += MIB / 4) yield Buffer.alloc(Math.min(MIB / 4, bytes - at), 'c')
  }

  /** Bytes written before each flush of the object, in KiB. */
  async function flushes(content: Parameters<ArchiveStore['put']>[1]): Promise<number[]> {
    const faulty = new FaultFileSystem(new CrashFileSystem())
    await directoryStore('/archive', faulty).put(NAME, content)
    const found: number[] = []
    let unflushed = 0
    for (const { kind, bytes = 0 } of faulty.operations) {
      if (kind === 'write') unflushed += bytes
      if (kind !== 'sync') continue
      found.push(unflushed / 1024)
      unflushed = 0
    }
    return found
  }

  it('is a MiB of a large object, so that whoever commits to that disk waits for no more', async () => {
    const bytes = 5 * MIB + 1024
    const inSlices = [1024, 1024, 1024, 1024, 1024, 1]
    expect(await flushes(Buffer.alloc(bytes, 'c'))).toEqual(inSlices)
    expect(await flushes({ bytes, read: () => chunks(bytes) })).toEqual(inSlices)
    expect(await flushes({ read: () => chunks(bytes) })).toEqual(inSlices)
  })

  it('is all of one up to 4 MiB, which is flushed once', async () => {
    expect(await flushes(Buffer.alloc(4 * MIB, 'c'))).toEqual([4096])
    expect(await flushes({ bytes: 4 * MIB, read: () => chunks(4 * MIB) })).toEqual([4096])
  })

  it.each([1, 3, 6])(
    "is refused by the name of the disk's error when flush %i of a large object fails",
    async (nth) => {
      const disk = new CrashFileSystem()
      const faulty = new FaultFileSystem(disk, failOn({ kind: 'sync' }, 'EIO', { after: nth - 1 }))
      const put = directoryStore('/archive', faulty).put(NAME, Buffer.alloc(5 * MIB + 1024, 'c'))
      await expect(put).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
      expect(await directoryStore('/archive', disk).status(NAME)).toBeUndefined()
    },
  )
})
