/**
 * Fault model: the power fails, the disk refuses or is full at any one operation of a call of a series, or one byte of a volume
 * is another one later. Afterwards the series holds the calls before it, exactly, and this one wholly or not at all; the next
 * call succeeds and leaves nothing over; and no changed byte is ever restored.
 */
import { failAt, failOn, FaultFileSystem, firstFault } from '@timberline/wal/testing'
import type { CrashFileSystem, CrashModel, Fault } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import { oneIn, operationsOf } from '../../../tools/matrix-sample.ts'
import { VOLUME_PAGE_BYTES } from '../src/index.ts'
import {
  blank,
  emptyDisk,
  type Files,
  namesOf,
  noise,
  put,
  read,
  readCalls,
  sums,
  writeCall,
} from './support/volume-scene.ts'
import { fingerprintOf } from './support/archive-scene.ts'

const FIRST: Files = { a: blank(150), b: Buffer.from('b') }
/** Two volumes more. */
const SECOND: Files = { ...FIRST, c: blank(101, 1) }
const THIRD: Files = { ...SECOND, d: Buffer.from('d') }
const [FIRST_SUMS, SECOND_SUMS, THIRD_SUMS] = [sums(FIRST), sums(SECOND), sums(THIRD)]

const disks = new Map<CrashModel, Promise<CrashFileSystem>>()

/** A disk of its own, all of it durable; what is on it was written once. */
async function diskWithFirst(model: CrashModel = 'posix'): Promise<CrashFileSystem> {
  const made = disks.get(model) ?? makeDiskWithFirst(model)
  disks.set(model, made)
  return (await made).ifCrashed({ writes: 'kept', names: 'kept' })
}

async function makeDiskWithFirst(model: CrashModel): Promise<CrashFileSystem> {
  const disk = await emptyDisk({ model })
  await writeCall(disk, FIRST)
  return disk
}

/** Tried of each loss of power. */
const OUTCOMES = 4

/** Whether the second call counts; whatever it is, nothing else is there. */
async function holds(disk: CrashFileSystem): Promise<boolean> {
  const calls = await readCalls(disk)
  expect(calls[0]).toEqual(FIRST_SUMS)
  expect(calls.slice(1)).toEqual(calls.length === 1 ? [] : [SECOND_SUMS])
  return calls.length === 2
}

async function nextCallIsWhole(disk: CrashFileSystem): Promise<void> {
  await writeCall(disk, THIRD)
  expect((await readCalls(disk)).at(-1)).toEqual(THIRD_SUMS)
  expect((await namesOf(disk)).filter((name) => !/^\/[abc]\/z\d+\.bp$/.test(name))).toEqual([])
}

describe('a call of a series', () => {
  it.each(['posix', 'ext4'] as const)(
    'that loses its power at any operation counts wholly or not at all (%s)',
    async (model) => {
      const disk = await diskWithFirst(model)
      const left: CrashFileSystem[] = []
      const watched = new FaultFileSystem(disk, ({ index }) => {
        for (let outcome = 0; outcome < OUTCOMES; outcome += 1)
          left.push(disk.ifCrashed(index * OUTCOMES + outcome))
        return undefined
      })
      await writeCall(watched, SECOND)
      const count = left.length / OUTCOMES
      // The last one is after the call, which must not be lost then.
      left.push(disk.crash(1))
      const states = new Map(left.map((after) => [fingerprintOf(after), after]))
      const seen = { before: 0, after: 0 }
      for (const after of states.values()) {
        seen[(await holds(after)) ? 'after' : 'before'] += 1
        await nextCallIsWhole(after)
      }
      console.log(`${model}: ${String(count)} operations, ${String(states.size)} states, the call was`, seen)
      expect(seen.before).toBeGreaterThan(seen.after)
      expect(seen.after).toBeGreaterThan(0)
    },
  )

  it.each(['EIO', 'EIO-after', 'short'] satisfies Fault[])(
    'that meets %s at any operation stands, or leaves nothing',
    async (fault) => {
      const clean = new FaultFileSystem(await diskWithFirst())
      await writeCall(clean, SECOND)
      let failed = 0
      let tried = 0
      for (const index of oneIn(2, operationsOf(clean.operations.length))) {
        tried += 1
        const disk = await diskWithFirst()
        const before = await namesOf(disk)
        const faulty = new FaultFileSystem(disk, failAt(index, fault))
        const error: unknown = await writeCall(faulty, SECOND).then(
          () => undefined,
          (reason: unknown) => reason,
        )
        expect(await holds(disk), `operation ${String(index)}`).toBe(error === undefined)
        const left = (await namesOf(disk)).filter((name) => !before.includes(name))
        // One fault can hit the removal after another cause; a part that stays counts for nothing.
        const counting = left.filter((name) => !name.endsWith('.part'))
        expect(counting).toHaveLength(error === undefined ? 2 : 0)
        failed += error === undefined ? 0 : 1
        await nextCallIsWhole(disk)
      }
      // A full disk at a write only sends it to the next folder.
      expect(failed).toBeGreaterThan(fault === 'short' ? 2 : tried / 2)
    },
  )

  it('that cannot give all names, nor take them back, is finished by the next', async () => {
    const disk = await diskWithFirst()
    const broken = failOn({ kind: 'rename' }, 'EIO', { once: false, after: 1 })
    await expect(writeCall(new FaultFileSystem(disk, broken), SECOND)).rejects.toMatchObject({ code: 'EIO' })
    const names = (await namesOf(disk)).map((name) => name.replace(/\d+\.part$/, 'PID.part'))
    expect(names).toEqual(['/a/z1.bp', '/a/z2.bp', '/a/z3.bp', '/a/z4.bp.PID.part'])
    expect(await holds(disk)).toBe(true)
    await nextCallIsWhole(disk)
    expect(await namesOf(disk)).toContain('/a/z4.bp')
  })

  it('never takes the name of a volume that somebody else has written meanwhile', async () => {
    const disk = await diskWithFirst()
    const faulty = new FaultFileSystem(disk, (operation) => {
      // Just before the first name is given, it is taken.
      if (operation.kind === 'rename') void put(disk, '/a/z4.bp', blank(1))
      return undefined
    })
    await expect(writeCall(faulty, SECOND)).rejects.toMatchObject({ code: 'ARCHIVE_CONFLICT' })
    expect(await read(disk, '/a/z4.bp')).toHaveLength(VOLUME_PAGE_BYTES)
  })

  it('leaves a part alone that a living process writes', async () => {
    const disk = await diskWithFirst()
    await put(disk, `/b/z3.bp.${String(process.ppid)}.part`, Buffer.from('x'))
    await put(disk, '/b/z3.bp.4194304.part', Buffer.from('x'))
    await writeCall(disk, SECOND)
    expect((await namesOf(disk)).filter((name) => name.startsWith('/b'))).toEqual([
      `/b/z3.bp.${String(process.ppid)}.part`,
    ])
  })
})

describe('a folder without room', () => {
  /** From the n-th write or sync on, nothing more goes into a folder. */
  const fullAfter = (folder: string, after: number) =>
    failOn({ kind: ['write', 'sync'], path: new RegExp(`^/${folder}/.*part`) }, 'ENOSPC', {
      once: false,
      after,
    })
  const noRoomFor = (folder: string) =>
    failOn({ kind: 'open', path: new RegExp(`^/${folder}/.*part`) }, 'ENOSPC', { once: false })

  it('at any write, sync or beginning of a file sends the volume to the next one', async () => {
    const clean = new FaultFileSystem(await diskWithFirst())
    await writeCall(clean, SECOND)
    const writes = clean.operations.filter(
      ({ kind, path }) => ['write', 'sync'].includes(kind) && path.includes('part'),
    ).length
    const used = new Set<string>()
    for (let after = 0; after < writes; after += 1) {
      for (const second of [
        undefined,
        fullAfter('b', 0),
        fullAfter('b', 1),
        fullAfter('b', 3),
        noRoomFor('b'),
      ]) {
        const disk = await diskWithFirst()
        const injector =
          second === undefined ? fullAfter('a', after) : firstFault(fullAfter('a', after), second)
        const paths = await writeCall(new FaultFileSystem(disk, injector), SECOND)
        for (const path of paths) used.add(path)
        expect(await holds(disk)).toBe(true)
        expect((await namesOf(disk)).filter((name) => name.endsWith('part'))).toEqual([])
      }
    }
    const all = ['/a/z3.bp', '/b/z3.bp', '/b/z4.bp', '/c/z3.bp', '/c/z4.bp']
    expect([...used].toSorted()).toEqual(all)
  })

  it('with none behind it is one error, and all files of this call are gone, none of the earlier ones', async () => {
    const clean = new FaultFileSystem(await diskWithFirst())
    await writeCall(clean, SECOND)
    const writes = clean.operations.filter(
      ({ kind, path }) => kind === 'write' && path.includes('part'),
    ).length
    for (let after = 0; after < writes; after += 1) {
      const disk = await diskWithFirst()
      const before = await namesOf(disk)
      const injector = firstFault(fullAfter('a', after), fullAfter('b', 1), fullAfter('c', 0))
      await expect(writeCall(new FaultFileSystem(disk, injector), SECOND)).rejects.toMatchObject({
        code: 'ARCHIVE_VOLUMES_FULL',
        kind: 'unavailable',
        cause: { code: 'ENOSPC' },
      })
      expect(await namesOf(disk)).toEqual(before)
      expect(await holds(disk)).toBe(false)
      await nextCallIsWhole(disk)
    }
  })

  it('does not cost a byte of what was written into it', async () => {
    const disk = await emptyDisk()
    const files = { a: noise(350 * VOLUME_PAGE_BYTES, 'a') }
    const injector = firstFault(fullAfter('a', 4), fullAfter('b', 7))
    await writeCall(new FaultFileSystem(disk, injector), files, { volumePages: 300 })
    expect(await namesOf(disk)).toEqual(['/b/z1.bp', '/c/z2.bp'])
    expect(await readCalls(disk)).toEqual([sums(files)])
  })
})

describe('whoever reads a series', () => {
  it('leaves none of its files open, whether it is whole or damaged', async () => {
    const disk = await emptyDisk()
    await writeCall(disk, FIRST)
    const watched = new FaultFileSystem(disk)
    expect(await readCalls(watched)).toEqual([FIRST_SUMS])
    expect(watched.openPaths).toEqual([])
    for (const name of await namesOf(disk)) {
      const content = await read(disk, name)
      await put(disk, name, content.subarray(0, content.length - VOLUME_PAGE_BYTES))
      await expect(readCalls(watched)).rejects.toMatchObject({ code: 'ARCHIVE_VOLUME_DAMAGED' })
      expect(watched.openPaths).toEqual([])
      await put(disk, name, content)
    }
  })
})

describe('one changed byte', () => {
  it('anywhere in a series is refused by name, and so is any cut and any byte too many', async () => {
    const disk = await emptyDisk()
    await writeCall(disk, { a: blank(101) })
    let tried = 0
    for (const name of await namesOf(disk)) {
      const content = await read(disk, name)
      const tryWith = async (changed: Buffer): Promise<void> => {
        tried += 1
        await put(disk, name, changed)
        await expect(readCalls(disk), name).rejects.toMatchObject({ code: 'ARCHIVE_VOLUME_DAMAGED' })
      }
      for (const at of oneIn(4, [...content.keys()])) {
        const changed = Buffer.from(content)
        changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
        await tryWith(changed)
      }
      for (let bytes = 0; bytes < content.length; bytes += 97) await tryWith(content.subarray(0, bytes))
      await tryWith(Buffer.concat([content, Buffer.alloc(1)]))
      await put(disk, name, content)
    }
    expect(await readCalls(disk)).toHaveLength(1)
    console.log(`${String(tried)} damaged series, all refused`)
    expect(tried).toBeGreaterThan(1000)
  })
})

describe('a volume that is written', () => {
  it('is handed to the disk a MiB at a time, so that whoever commits to that disk waits for no more', async () => {
    const disk = new FaultFileSystem(await emptyDisk())
    await writeCall(disk, { a: noise(3 * 1024 * 1024, 'a') }, { volumePages: 1000 })
    const flushed: number[] = []
    let bytes = 0
    for (const operation of disk.operations) {
      if (!operation.path.includes('part')) continue
      if (operation.kind === 'write') bytes += operation.bytes ?? 0
      if (operation.kind !== 'sync') continue
      flushed.push(bytes / 1024 / 1024)
      bytes = 0
    }
    expect(flushed.length).toBeGreaterThanOrEqual(4)
    expect(Math.max(...flushed)).toBeLessThan(1.5)
  })
})
