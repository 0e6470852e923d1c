/*
 * Bundles: pieces appended to one object. Fault model: power fails at any operation of an append, and what was not synced is lost,
 * kept or torn; or the device refuses one operation; or bytes of the object change by themselves. Held: what an append confirmed is
 * read from then on, what it did not is read whole or not at all, and damage to what was confirmed is found.
 */
import { readFile } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { countOperations, CrashFileSystem, crashAt, FaultFileSystem, failAt } from '@timberline/wal/testing'
import { describe, expect, it } from 'vitest'
import {
  type Archive,
  type ArchiveStore,
  directoryStore,
  memoryStore,
  openArchive,
  repairArchive,
  verifyArchive,
} from '../src/index.ts'
import { bundleName, parseBundleName, pieceName } from '../src/layout.ts'
import { BundleWriter } from '../src/shipping/bundle-writer.ts'
import { heldPieceOf } from '../src/shipping/held-pieces.ts'
import { removePieces } from '../src/shipping/ship-segment.ts'
import type { Shipment } from '../src/shipping/ship-survey.ts'
import { decodeParts, encodeEnd, encodePart, PART_HEAD_BYTES } from '../src/objects/piece-parts.ts'
import {
  appendRecords,
  ARCHIVE,
  archivedRecords,
  archiveOn,
  LOG,
  openTestArchive,
  openTestLog,
  payload,
  settled,
  ship,
} from './support/archive-scene.ts'

const BUNDLE = bundleName({ timeline: 1, segmentNumber: 1, epoch: 1, number: 1 })
/** One slot of time for all commits, so that they share a bundle. */
const now = (): number => 1_764_012_345_000_000
const PARTS = [1, 2, 3].map((number) => Buffer.alloc(9000, `part ${String(number)} `))

function nameAt(position: number, endPosition = position + 100): string {
  const lsns = { firstLsn: position + 1, lastLsn: position + 1, lastCommittedAtUs: 1_764_012_345_678_901 }
  return pieceName({ timeline: 1, segmentNumber: 1, position, endPosition, epoch: 1, ...lsns })
}

/** Appends until something fails; resolves with the count of parts that were confirmed. */
async function appendAll(store: ArchiveStore): Promise<number> {
  let confirmed = 0
  try {
    const object = await store.grow?.(BUNDLE)
    for (const [at, part] of PARTS.entries()) {
      await object?.append(encodePart(nameAt(at * 100), object.position, part))
      confirmed++
    }
    await object?.close()
  } catch {
    return confirmed
  }
  return confirmed
}

async function partsOf(store: ArchiveStore): Promise<readonly Buffer[]> {
  if ((await store.status(BUNDLE)) === undefined) return []
  const content = await store.get(BUNDLE)
  return decodeParts(content, 0).parts.map(({ position, bytes }) =>
    content.subarray(position, position + bytes),
  )
}

function bundleOf(parts: readonly Buffer[]): Buffer {
  let bundle = Buffer.alloc(0)
  for (const [at, part] of parts.entries()) {
    bundle = Buffer.concat([bundle, encodePart(nameAt(at * 100), bundle.length, part)])
  }
  return bundle
}

describe('a bundle in a folder', () => {
  it('is one open file until it is closed, and none afterwards', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    expect(await appendAll(directoryStore(ARCHIVE, disk))).toBe(PARTS.length)
    const calls = disk.operations.filter(({ path }) => path.endsWith('.bundle')).map(({ kind }) => kind)
    expect(calls.filter((kind) => kind === 'open')).toHaveLength(1)
    expect(calls.at(-1)).toBe('close')
  })

  for (const model of ['posix', 'ext4'] as const) {
    it(`has every part that was confirmed, and of the next one all or nothing (${model})`, async () => {
      const count = await countOperations((fs) => appendAll(directoryStore(ARCHIVE, fs)))
      expect(count).toBeGreaterThan(10)
      let more = 0
      for (let index = 1; index <= count + 1; index++) {
        for (let seed = 1; seed <= 6; seed++) {
          const disk = new CrashFileSystem({ seed, model })
          const confirmed = await appendAll(
            directoryStore(ARCHIVE, new FaultFileSystem(disk, crashAt(index))),
          )
          const found = await partsOf(directoryStore(ARCHIVE, disk.crash(seed)))
          expect(found.length).toBeGreaterThanOrEqual(confirmed)
          expect(found.length).toBeLessThanOrEqual(confirmed + 1)
          for (const [at, part] of found.entries()) expect(PARTS[at]?.equals(part)).toBe(true)
          more += found.length - confirmed
        }
      }
      // Some unconfirmed part was whole, so that the other side of the rule was seen, too.
      expect(more).toBeGreaterThan(0)
    })
  }

  it('takes nothing behind an operation that failed, whichever it was', async () => {
    const count = await countOperations((fs) => appendAll(directoryStore(ARCHIVE, fs)))
    let refused = 0
    for (let index = 1; index <= count; index++) {
      const disk = new CrashFileSystem()
      const faulty = new FaultFileSystem(disk, failAt(index, 'EIO'))
      const object = await directoryStore(ARCHIVE, faulty)
        .grow?.(BUNDLE)
        .catch(() => undefined)
      if (object === undefined) continue
      for (const part of PARTS) {
        const { position } = object
        const isFailed = await object.append(part).then(
          () => false,
          () => true,
        )
        if (!isFailed) continue
        refused++
        await expect(object.append(part)).rejects.toMatchObject({ code: 'ARCHIVE_STORE_FAILED' })
        expect(object.position).toBe(position)
        break
      }
    }
    // A write, a flush and a read of each part.
    expect(refused).toBe(3 * PARTS.length)
  })

  it('grows by one write, one flush and one read a part, and mostly not in length', async () => {
    const counted = new FaultFileSystem(new CrashFileSystem())
    const store = directoryStore(ARCHIVE, counted)
    const object = await store.grow?.(BUNDLE)
    await object?.append(Buffer.alloc(100, 1))
    const bytes = (await store.status(BUNDLE))?.bytes
    const before = counted.operations.length
    for (let at = 0; at < 20; at++) await object?.append(Buffer.alloc(100, 1))
    const kinds = counted.operations.slice(before).map(({ kind }) => kind)
    expect(kinds).toEqual(Array.from({ length: 20 }, () => ['write', 'sync', 'read']).flat())
    expect((await store.status(BUNDLE))?.bytes).toBe(bytes)
    await object?.close()
  })
})

describe('the parts of a bundle', () => {
  it('are laid out as in the worked example', async () => {
    const object = Buffer.from('TLOBJECT and so on')
    const part = encodePart(nameAt(0), 0, object)
    const text = await readFile(new URL('../FORMAT.md', import.meta.url), 'utf8')
    const example = text.slice(text.indexOf('### Worked bundle'), text.indexOf('### Who reads a bundle'))
    const hex = [...example.matchAll(/^0000\w{4}((?: {1,2}[0-9a-f]{2})+)/gm)].map((line) => line[1]).join('')
    expect(part.toString('hex')).toBe(hex.replaceAll(' ', ''))
    expect(part.readUInt32LE(28)).toBe(crc32(object))
    expect(part.readUInt32LE(156)).toBe(crc32(part.subarray(0, 156)))
  })

  it('are read from any place where one ends, and zeros behind them say nothing', () => {
    const bundle = bundleOf(PARTS)
    const second = PART_HEAD_BYTES + 9000
    const padded = Buffer.concat([bundle, Buffer.alloc(5000)])
    expect(decodeParts(padded, 0)).toMatchObject({ endPosition: bundle.length })
    expect(decodeParts(padded, 0).parts).toHaveLength(3)
    const rest = decodeParts(padded.subarray(second), second)
    const parts = decodeParts(padded, 0).parts.slice(1)
    expect(rest).toEqual({ parts, endPosition: bundle.length, isDamaged: false })
  })

  it('end before one that is torn, wherever it is', () => {
    const bundle = bundleOf(PARTS)
    const third = 2 * (PART_HEAD_BYTES + 9000)
    for (let bytes = third; bytes < bundle.length; bytes += 97) {
      expect(decodeParts(bundle.subarray(0, bytes), 0).parts).toHaveLength(2)
      const zeroed = Buffer.concat([bundle.subarray(0, bytes), Buffer.alloc(bundle.length - bytes)])
      expect(decodeParts(zeroed, 0)).toMatchObject({ endPosition: third })
    }
  })

  it('that others stand behind are told though they are not whole, and none is made of their content', () => {
    const inner = encodePart(nameAt(900), 4000, Buffer.alloc(50, 7))
    const parts = [Buffer.concat([Buffer.alloc(3000), inner]), Buffer.alloc(500, 5), Buffer.alloc(600, 6)]
    const whole = decodeParts(bundleOf(parts), 0)
    expect(whole.parts).toHaveLength(3)
    const damagedBody = bundleOf(parts)
    damagedBody.writeUInt8(1, whole.parts[1]?.position ?? 0)
    expect(decodeParts(damagedBody, 0)).toEqual(whole)
    const damagedHead = bundleOf(parts)
    damagedHead.writeUInt8(0, (whole.parts[1]?.position ?? 0) - PART_HEAD_BYTES)
    const missing = { parts: [whole.parts[0], whole.parts[2]], isDamaged: true }
    expect(decodeParts(damagedHead, 0)).toMatchObject(missing)
  })
})

describe('the end of a bundle', () => {
  const end = (bundle: Buffer): Buffer => Buffer.concat([bundle, encodeEnd(bundle.length), Buffer.alloc(900)])

  it('holds no piece, and what comes later stands behind it', () => {
    const ended = end(bundleOf(PARTS.slice(0, 1))).subarray(0, -900)
    const more = Buffer.concat([ended, encodePart(nameAt(100), ended.length, Buffer.from('more'))])
    const { parts, endPosition, isDamaged } = decodeParts(more, 0)
    expect(parts.map(({ name }) => name)).toEqual([nameAt(0), nameAt(100)])
    expect([endPosition, isDamaged]).toEqual([more.length, false])
  })

  it('tells damage to the last piece from a torn one', () => {
    const inBody = end(bundleOf(PARTS))
    const last = decodeParts(inBody, 0).parts[2]
    inBody.writeUInt8(0, last?.position ?? 0)
    expect(decodeParts(inBody, 0).parts).toHaveLength(3)
    const inHead = end(bundleOf(PARTS))
    inHead.writeUInt8(0, (last?.position ?? 0) - 100)
    expect(decodeParts(inHead, 0)).toMatchObject({ isDamaged: true, parts: { length: 2 } })
  })
})

/** A folder with an archive in which the newest pieces stand in a bundle, and its log. */
async function bundledScene(): Promise<{ disk: CrashFileSystem; archive: Archive; store: ArchiveStore }> {
  const disk = new CrashFileSystem()
  const log = await openTestLog(disk, { now })
  const { shipper, stop } = ship(disk, await openTestArchive(disk), { intervalMs: 1000 })
  for (let count = 0; count < 4; count++) {
    await appendRecords(log, 2)
    await shipper.flush()
  }
  await stop()
  await log.close()
  const store = directoryStore(ARCHIVE, disk)
  return { disk, archive: await openArchive(store), store }
}

async function overwrite(disk: CrashFileSystem, at: { name: string; position: number }): Promise<void> {
  const handle = await disk.open(`${ARCHIVE}/${at.name}`, 'write')
  const byte = Buffer.alloc(1)
  await handle.read(byte, at.position)
  byte.writeUInt8(byte.readUInt8(0) ^ 1, 0)
  await handle.write(byte, at.position)
  await handle.close()
}

async function findings(archive: Archive): Promise<string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(archive, { strays: true })) found.push(`${code} ${name}`)
  return found
}

describe('pieces in a bundle', () => {
  it('are pieces like all others to whoever lists, reads and verifies', async () => {
    const { archive, store } = await bundledScene()
    const names: string[] = []
    for await (const { name } of store.list('piece/')) names.push(name)
    expect(names.filter((name) => parseBundleName(name) !== undefined)).toEqual(names)
    const pieces = await archive.listPieces(1)
    expect(pieces).toHaveLength(4)
    expect(pieces.every(({ within }) => within?.name === names[0])).toBe(true)
    expect(await archivedRecords(archive)).toHaveLength(8)
    expect(await findings(archive)).toEqual([])
  })

  it('are found damaged when they were confirmed, and mended beside their bundle', async () => {
    const { disk, archive } = await bundledScene()
    const [, second] = await archive.listPieces()
    await overwrite(disk, {
      name: second?.within?.name ?? '',
      position: (second?.within?.position ?? 0) + 100,
    })
    const reopened = await openTestArchive(disk)
    expect(await findings(reopened)).toEqual([`ARCHIVE_OBJECT_DAMAGED ${second?.name ?? ''}`])
    const steps: string[] = []
    for await (const { name, outcome } of repairArchive({
      archive: reopened,
      home: LOG.replace('/log', ''),
      fileSystem: disk,
      apply: true,
    }))
      steps.push(`${outcome} ${name}`)
    expect(steps).toEqual([`repaired ${second?.name ?? ''}`])
    const mended = await openTestArchive(disk)
    expect(await findings(mended)).toEqual([])
    expect(await archivedRecords(mended)).toHaveLength(8)
  })

  it('leave a hole that is found when the head of a confirmed one is damaged', async () => {
    const { disk, archive } = await bundledScene()
    const [, second] = await archive.listPieces()
    const position = (second?.within?.position ?? 0) - PART_HEAD_BYTES + 40
    await overwrite(disk, { name: second?.within?.name ?? '', position })
    const found = await findings(await openTestArchive(disk))
    expect(found).toContain(`ARCHIVE_OBJECT_DAMAGED ${second?.within?.name ?? ''}`)
    expect(found.join()).toContain('ARCHIVE_OBJECT_MISSING')
  })

  it.each([
    ['object', 100],
    ['head', -100],
  ])('are found damaged at the very end of a bundle, in the %s', async (_, offset) => {
    const { disk, archive } = await bundledScene()
    const last = (await archive.listPieces()).at(-1)
    await overwrite(disk, {
      name: last?.within?.name ?? '',
      position: (last?.within?.position ?? 0) + offset,
    })
    const reader = await openTestArchive(disk)
    const name = offset > 0 ? last?.name : last?.within?.name
    expect(await findings(reader)).toContain(`ARCHIVE_OBJECT_DAMAGED ${name ?? ''}`)
  })

  it('are put anew by a shipper that begins, before it tells anybody of them', async () => {
    const { disk } = await bundledScene()
    const log = await openTestLog(disk, { now })
    const archive = await openTestArchive(disk)
    const { shipper, stop } = ship(disk, archive, { intervalMs: 1000 })
    await shipper.flush()
    const before = await archive.listPieces()
    expect(before).toHaveLength(1)
    expect(before[0]).toMatchObject({ position: 0, lastLsn: 8, epoch: 2 })
    expect(before[0]?.within).toBeUndefined()
    await appendRecords(log, 1)
    await shipper.flush()
    expect((await archive.listPieces()).map(({ within }) => within !== undefined)).toEqual([false, true])
    await log.roll()
    await settled(shipper, 1)
    await stop()
    await log.close()
    expect(await findings(archive)).toEqual([])
    expect(await archive.listPieces()).toEqual([])
  })

  it('go on in another bundle after a flush that failed, and nothing is told before that', async () => {
    const disk = new CrashFileSystem()
    let isFailing = false
    const faulty = new FaultFileSystem(disk, ({ kind, path }) =>
      isFailing && kind === 'sync' && path.endsWith('.bundle') ? ((isFailing = false), 'EIO') : undefined,
    )
    const log = await openTestLog(disk, { now })
    const archive = await archiveOn(directoryStore(ARCHIVE, faulty))
    const { shipper, stop } = ship(disk, archive, { intervalMs: 1000 })
    await appendRecords(log, 2)
    await shipper.flush()
    isFailing = true
    const toldAt: number[] = []
    shipper.events$.subscribe((event) => {
      if (event.type === 'ship.retried') toldAt.push(shipper.status().shippedLsn)
      // One that would try for ever in the same bundle.
      if (toldAt.length > 3) void stop()
    })
    await appendRecords(log, 1)
    expect(await shipper.flush().catch(() => 0)).toBe(3)
    expect(toldAt).toEqual([2])
    await stop()
    await log.close()
    const pieces = await archive.listPieces()
    const numbers = pieces.map(({ within }) => parseBundleName(within?.name ?? '')?.number)
    expect(numbers).toEqual([1, 2])
    // The power fails: what the failed flush left is gone, and nothing of it is missed.
    const after = await openTestArchive(disk.crash({ seed: 1 }))
    expect(await archivedRecords(after)).toHaveLength(3)
  })

  it('are put when they are flushed, and not before', async () => {
    const inner = memoryStore('memory:', { grows: true })
    let flush = (): void => undefined
    const flushed = new Promise<void>((resolve) => (flush = resolve))
    const store: ArchiveStore = {
      ...inner,
      grow: async (name) => ({ position: 0, append: () => flushed, close: async () => inner.delete(name) }),
    }
    const writer = new BundleWriter(await archiveOn(store), { timeline: 1, epoch: 1 }, new Map())
    const lsns = { firstLsn: 1, lastLsn: 1, lastCommittedAtUs: now() }
    const tail = { segmentNumber: 1, position: 0, endPosition: 100, ...lsns, marks: [] }
    let isPut = false
    const putting = writer.put(nameAt(0), tail, Buffer.alloc(100)).then(() => (isPut = true))
    for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
    expect(isPut).toBe(false)
    flush()
    expect(await putting).toBe(true)
  })

  it('hold the file open while they come, and let go of it when none has come for a second', async () => {
    const inner = memoryStore('memory:', { grows: true })
    const open = new Set<string>()
    const store: ArchiveStore = {
      ...inner,
      async grow(name) {
        let position = 0
        open.add(name)
        const append = async (part: Uint8Array): Promise<void> => void (position += part.length)
        return {
          get position() {
            return position
          },
          append,
          close: async () => void open.delete(name),
        }
      },
    }
    let clockMs = 0
    const reign = { timeline: 1, epoch: 1, nowMs: () => clockMs }
    const writer = new BundleWriter(await archiveOn(store), reign, new Map())
    const put = async (): Promise<void> => {
      const lsns = { firstLsn: 1, lastLsn: 1, lastCommittedAtUs: now() }
      const tail = { segmentNumber: 1, position: 0, endPosition: 100, ...lsns, marks: [] }
      await writer.put(nameAt(0), tail, Buffer.alloc(100))
    }
    await put()
    clockMs = 900
    await put()
    for (clockMs of [1000, 1500, 1899]) await writer.settle()
    expect(open.size).toBe(1)
    clockMs = 1900
    await writer.settle()
    expect(open.size).toBe(0)
    await put()
    expect([...open]).toEqual([bundleName({ timeline: 1, segmentNumber: 1, epoch: 1, number: 2 })])
  })

  it('keep it while one of them is needed', async () => {
    const { archive, store } = await bundledScene()
    const held = (await archive.listPieces()).map(heldPieceOf)
    const shipment = { archive, signal: new AbortController().signal } as unknown as Shipment
    expect(await removePieces(shipment, held.slice(0, 3), held.slice(3))).toBe(0)
    expect(await store.status(held[0]?.bundle ?? '')).toBeDefined()
    expect(await removePieces(shipment, held)).toBe(1)
    expect(await store.status(held[0]?.bundle ?? '')).toBeUndefined()
  })

  it('that a reader looks at again and again are read once', async () => {
    const inner = memoryStore('memory:', { grows: true })
    let bytes = 0
    const store: ArchiveStore = {
      ...inner,
      async getRange(name, range) {
        const content = await inner.getRange(name, range)
        bytes += content.length
        return content
      },
    }
    const disk = new CrashFileSystem()
    const log = await openTestLog(disk, { now })
    const { shipper, stop } = ship(disk, await archiveOn(inner), { intervalMs: 1000 })
    const reader = await openArchive(store)
    for (let count = 1; count <= 10; count++) {
      await log.commit(payload(count))
      await shipper.flush()
      expect(await reader.listPieces(1)).toHaveLength(count)
    }
    const [object] = await reader.listPieces(1)
    expect(bytes).toBe((await inner.status(object?.within?.name ?? ''))?.bytes)
    await stop()
    await log.close()
  })
})
