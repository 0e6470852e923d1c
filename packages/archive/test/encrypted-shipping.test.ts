/*
 * A host that writes into an encrypted archive and holds no key. Fault model: the store does what it is asked and loses its answer,
 * once at each put; or another copy of the home ships into the archive.
 */
import { generateX25519Identity, identityToRecipient } from 'age-encryption'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  type Archive,
  archiveError,
  type ArchiveStore,
  createArchive,
  memoryStore,
  openArchive,
  verifyArchive,
} from '../src/index.ts'
import {
  appendRecords,
  archivedRecords,
  archiveOn,
  CrashFileSystem,
  IDENTITY,
  openTestLog,
  payload,
  settled,
  ship,
} from './support/archive-scene.ts'

let identity = ''
let recipient = ''

beforeAll(async () => {
  identity = await generateX25519Identity()
  recipient = await identityToRecipient(identity)
})

async function encryptedOn(store: ArchiveStore): Promise<Archive> {
  const archive = await archiveOn(store)
  if ((await archive.catalogue()).recipients === undefined) await archive.setRecipients([recipient])
  return archive
}

const readerOf = (store: ArchiveStore): Promise<Archive> => openArchive(store, { identities: [identity] })

async function lsnsIn(store: ArchiveStore): Promise<number[]> {
  return (await archivedRecords(await readerOf(store))).map(({ lsn }) => lsn)
}

async function findings(store: ArchiveStore): Promise<string[]> {
  const found: string[] = []
  for await (const { code, name } of verifyArchive(await readerOf(store), { strays: true }))
    found.push(`${code} ${name}`)
  return found
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1)

/** Stores, and then says of the put with this number that nobody knows. */
function losingAnswer(store: ArchiveStore, number: number): ArchiveStore & { readonly puts: () => number } {
  let puts = 0
  return {
    ...store,
    puts: () => puts,
    async put(name, content) {
      const outcome = await store.put(name, content)
      if (++puts !== number) return outcome
      throw archiveError('ARCHIVE_STORE_FAILED', 'the answer was lost')
    },
  }
}

/** Pieces, a whole segment, and a piece of the next one. */
async function shipStory(store: ArchiveStore): Promise<void> {
  const disk = new CrashFileSystem()
  const log = await openTestLog(disk)
  const { shipper, stop } = ship(disk, await createArchive(store, IDENTITY), { intervalMs: 10_000 })
  await appendRecords(log, 3)
  await shipper.flush()
  await appendRecords(log, 2)
  await log.roll()
  await shipper.flush()
  await settled(shipper, 1)
  await appendRecords(log, 2)
  await shipper.flush()
  await stop()
  await log.close()
}

describe('a shipper without a key', () => {
  it('takes its own objects for its own when the answer to any put is lost', async () => {
    const store = memoryStore()
    await encryptedOn(store)
    const counted = losingAnswer(store, 0)
    await shipStory(counted)
    expect(counted.puts()).toBeGreaterThan(6)
    for (let number = 1; number <= counted.puts(); number++) {
      const own = memoryStore()
      await encryptedOn(own)
      await shipStory(losingAnswer(own, number))
      expect(await lsnsIn(own), `put ${number}`).toEqual(upTo(7))
      expect(await findings(own), `put ${number}`).toEqual([])
    }
  })

  it('goes on after a restart from what the names of pieces say', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const log = await openTestLog(disk)
    for (let run = 1; run <= 3; run++) {
      await appendRecords(log, 4)
      const { shipper, stop } = ship(disk, await encryptedOn(store))
      await shipper.flush()
      await stop()
    }
    const pieces = (await (await readerOf(store)).catalogue()).pieces
    expect(new Set(pieces.map(({ epoch }) => epoch))).toEqual(new Set([1, 2, 3]))
    expect(await lsnsIn(store)).toEqual(upTo(12))
    await log.close()
  })

  it('is refused by the pieces of a copy of its home that went another way', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const log = await openTestLog(disk, { now: clockFrom(1_764_000_000_000_000) })
    await appendRecords(log, 2)
    await log.close()
    const outcomes: unknown[] = []
    for (const [index, copy] of [disk.crash(1), disk.crash(1)].entries()) {
      const own = await openTestLog(copy, { now: clockFrom(1_764_000_100_000_000 + index) })
      await own.commit(payload(own.nextLsn))
      const { shipper, stop } = ship(copy, await encryptedOn(store))
      outcomes.push(await Promise.race([shipper.flush(), shipper.done]).catch((error: unknown) => error))
      await stop().catch(() => undefined)
      await own.close()
    }
    expect(outcomes).toEqual([3, expect.objectContaining({ code: 'ARCHIVE_CONFLICT' })])
    expect((await (await readerOf(store)).catalogue()).owner?.epoch).toBe(1)
  })

  it('removes a segment that was put and never entered, whose bytes nobody could take up again', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const archive = await encryptedOn(store)
    const log = await openTestLog(disk)
    await appendRecords(log, 4)
    await log.roll()
    await archive.putObject('segment/00000001/0000000001-0000000000000000', Buffer.from('left over'))
    const { shipper, stop } = ship(disk, archive)
    await settled(shipper, 1)
    await stop()
    expect(await findings(store)).toEqual([])
    const [segment] = (await archive.catalogue()).segments
    expect(segment?.name).toBe('segment/00000001/0000000001-0000000000000001')
    await log.close()
  })

  it('encrypts from its next object on when recipients are set while it runs', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const log = await openTestLog(disk)
    const { shipper, stop } = ship(disk, await archiveOn(store), { intervalMs: 10_000 })
    await appendRecords(log, 2)
    await shipper.flush()
    await (await archiveOn(store)).setRecipients([recipient])
    await appendRecords(log, 2)
    await shipper.flush()
    await stop()
    const begins: string[] = []
    for await (const { name } of store.list('piece/'))
      begins.push((await store.get(name)).toString('latin1', 0, 3))
    expect(begins).toEqual(['TLO', 'age'])
    expect(await lsnsIn(store)).toEqual(upTo(4))
    await log.close()
  })
})

describe('a shipper with a wrong key', () => {
  it('stops with one clear error and has changed nothing', async () => {
    const disk = new CrashFileSystem()
    const store = memoryStore()
    const log = await openTestLog(disk)
    await appendRecords(log, 2)
    const first = ship(disk, await encryptedOn(store))
    await first.shipper.flush()
    await first.stop()
    const stranger = await openArchive(store, { identities: [await generateX25519Identity()] })
    const second = ship(disk, stranger)
    await expect(second.shipper.done).rejects.toMatchObject({ code: 'ARCHIVE_KEY_WRONG' })
    expect((await (await readerOf(store)).catalogue()).owner?.epoch).toBe(1)
    await log.close()
  })
})

function clockFrom(beginUs: number): () => number {
  let nowUs = beginUs
  return () => (nowUs += 1000)
}
