// A log and an archive on one simulated disk, and few verbs to move them.
import { createHash } from 'node:crypto'
import { decodeSegment, type FileSystem, type Log, type LogRecord, openLog } from '@timberline/wal'
import { CrashFileSystem } from '@timberline/wal/testing'
import {
  type Archive,
  type ArchiveStore,
  createArchive,
  directoryStore,
  type RunShipperOptions,
  runShipper,
  type Shipper,
  streamSource,
} from '../../src/index.ts'

export const IDENTITY = { environmentId: 'e0'.repeat(16), timeline: 1 }
export const LOG = '/home/log'
export const ARCHIVE = '/backups/archive'

export function openTestLog(
  fileSystem: FileSystem,
  options: Partial<Parameters<typeof openLog>[0]> = {},
): Promise<Log> {
  return openLog({
    directory: LOG,
    identity: IDENTITY,
    fileSystem,
    segmentBytesMax: 64 * 1024,
    preallocateBytes: 0,
    ...options,
  })
}

export function openTestArchive(fileSystem: FileSystem): Promise<Archive> {
  return archiveOn(directoryStore(ARCHIVE, fileSystem))
}

export function archiveOn(store: ArchiveStore, environmentId = IDENTITY.environmentId): Promise<Archive> {
  return createArchive(store, { environmentId })
}

export interface Shipping {
  readonly shipper: Shipper
  readonly stop: () => Promise<void>
}

export function ship(
  fileSystem: FileSystem,
  archive: Archive,
  options: Partial<RunShipperOptions> = {},
): Shipping {
  const stop = new AbortController()
  const shipper = runShipper({
    logDirectory: LOG,
    archive,
    name: 'test',
    identity: IDENTITY,
    intervalMs: 20,
    signal: stop.signal,
    fileSystem,
    retryMs: { first: 5, max: 20 },
    ...options,
  })
  return {
    shipper,
    stop: async () => {
      stop.abort()
      await shipper.done
    },
  }
}

/** Waits until the archive holds segments through `segmentNumber` whole. */
export async function settled(shipper: Shipper, segmentNumber: number): Promise<void> {
  for (;;) {
    const { archivedSegment, uploadingSegment } = shipper.status()
    if (archivedSegment >= segmentNumber && uploadingSegment === undefined) return
    const { state, error } = shipper.status()
    if (state === 'failed') throw error
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Every record that the archive holds, decoded from segments and then pieces. */
export async function archivedRecords(archive: Archive, timeline = 1): Promise<LogRecord[]> {
  const { segments, pieces } = await archive.catalogue()
  const records: LogRecord[] = []
  for (const segment of segments.filter((one) => one.timeline === timeline)) {
    const source = streamSource(archive.fetchSegment(segment), { bytes: segment.bytes, path: segment.name })
    for await (const group of decodeSegment(source, { last: false, expect: { ...IDENTITY, timeline } })) {
      records.push(...group)
    }
  }
  const own = pieces.filter((one) => one.timeline === timeline)
  for (const number of new Set(own.map((piece) => piece.segmentNumber))) {
    const chain = own.filter((piece) => piece.segmentNumber === number)
    const bytes = chain.at(-1)?.endPosition ?? 0
    const source = streamSource(archive.fetchPieces(chain), { bytes, path: `pieces of ${number}` })
    for await (const group of decodeSegment(source, { last: true, expect: { ...IDENTITY, timeline } })) {
      records.push(...group)
    }
  }
  return records
}

export function payload(number: number): Buffer {
  return Buffer.from(`record ${number} `.padEnd(200 + (number % 7) * 30, `${number}`))
}

export async function appendRecords(log: Log, count: number): Promise<void> {
  const writes: Promise<unknown>[] = []
  for (let index = 0; index < count; index++) writes.push(log.commit(payload(log.nextLsn)))
  await Promise.all(writes)
}

/** Equal for disks on which the same files hold the same bytes. */
export function fingerprintOf(disk: CrashFileSystem): string {
  const hash = createHash('sha256')
  for (const { path, number, content } of disk.entries()) {
    hash.update(`${path} ${String(number)} ${String(content?.length)}\n`).update(content ?? '')
  }
  return hash.digest('hex')
}

export { CrashFileSystem }
