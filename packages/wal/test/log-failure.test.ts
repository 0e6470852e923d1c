import { describe, expect, it } from 'vitest'
import { readLog, type FileSystem } from '../src/index.ts'
import { CrashFileSystem, failOn, FaultFileSystem } from '../src/testing/index.ts'
import { DIRECTORY, openMemoryLog } from './log-scenario.ts'

async function payloads(fileSystem: FileSystem): Promise<string[]> {
  const found: string[] = []
  for await (const group of readLog({ directory: DIRECTORY, fromLsn: 1, fileSystem })) {
    found.push(...group.map((record) => record.payload.toString()))
  }
  return found
}

async function settled(promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  return (await Promise.allSettled(promises)).map((result) =>
    result.status === 'rejected' ? (result.reason as unknown) : 'resolved',
  )
}

const WRITE = { kind: ['write', 'writeNow'], path: 'log.0' } as const
const SYNC = { kind: ['sync', 'syncNow'], path: 'log.0' } as const

describe('a failed write', () => {
  it('rejects the whole group and everything queued with one error, of known outcome', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const failed: unknown[] = []
    const log = await openMemoryLog(disk, { onFailed: (error) => failed.push(error) })
    await log.commit(Buffer.from('kept'))
    disk.inject(failOn(WRITE, 'ENOSPC'))
    // More than one group: the second is queued while the first fails.
    const errors = await settled(Array.from({ length: 40 }, () => log.commit(Buffer.alloc(100_000))))
    expect(new Set(errors).size).toBe(1)
    expect(errors[0]).toMatchObject({
      code: 'WAL_WRITE_FAILED',
      kind: 'unavailable',
      details: { outcome: 'rejected', lsn: 2 },
      cause: { code: 'ENOSPC' },
    })
    expect(failed).toEqual([errors[0]])
    expect(() => log.append(Buffer.from('x'))).toThrow(
      expect.objectContaining({ code: 'WAL_FAILED', cause: errors[0] }),
    )
    await expect(log.sync()).rejects.toMatchObject({ code: 'WAL_FAILED' })
    await log.close()
    const again = await openMemoryLog(disk)
    expect(again.nextLsn).toBe(2)
    expect(await payloads(disk)).toEqual(['kept'])
  })

  it('that wrote half a group leaves nothing of it', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('kept'))
    disk.inject(failOn(WRITE, 'short'))
    await expect(log.commit(Buffer.alloc(5000))).rejects.toMatchObject({ details: { outcome: 'rejected' } })
    expect((await openMemoryLog(disk)).opened).toMatchObject({ tornBytes: 0, lastLsn: 1 })
  })

  it('has an unknown outcome when the file cannot be cut back', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    disk.inject(failOn({ kind: ['write', 'writeNow', 'truncate'] }, 'EIO', { once: false }))
    await expect(log.commit(Buffer.from('x'))).rejects.toMatchObject({
      code: 'WAL_WRITE_FAILED',
      details: { outcome: 'unknown' },
    })
  })

  it('on a full disk comes before anything is lost, and the log goes on once there is room', async () => {
    const disk = new CrashFileSystem({ capacityBytes: 40_000 })
    let acknowledged = 0
    const log = await openMemoryLog(disk, { preallocateBytes: 8192 })
    const error: unknown = await (async () => {
      for (;;) {
        await log.commit(Buffer.alloc(700, 'x'))
        acknowledged += 1
      }
    })().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'WAL_WRITE_FAILED', cause: { code: 'ENOSPC' } })
    expect(acknowledged).toBeGreaterThan(40)
    disk.capacityBytes = 80_000
    const again = await openMemoryLog(disk)
    expect(again.nextLsn).toBe(acknowledged + 1)
    await again.commit(Buffer.from('more'))
    expect(await payloads(disk)).toHaveLength(acknowledged + 1)
  })
})

describe('a failed sync', () => {
  it('has an unknown outcome, is not tried again, and closes the log', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('kept'))
    disk.inject(failOn(SYNC, 'EIO'))
    const before = disk.operations.length
    const errors = await settled([log.commit(Buffer.from('a')), log.commit(Buffer.from('b'))])
    expect(errors[0]).toBe(errors[1])
    expect(errors[0]).toMatchObject({ code: 'WAL_SYNC_FAILED', details: { outcome: 'unknown', lsn: 2 } })
    await log.close()
    const syncs = disk.operations.slice(before).filter((operation) => operation.kind.startsWith('sync'))
    expect(syncs).toHaveLength(1)
  })

  it('of records whose pages then count as clean is made good by reopening: what is found is written again', async () => {
    const disk = new CrashFileSystem()
    const faulty = new FaultFileSystem(disk)
    const log = await openMemoryLog(faulty)
    await log.commit(Buffer.from('kept'))
    faulty.inject(failOn(SYNC, 'EIO'))
    await expect(log.commit(Buffer.from('seen after reopening'))).rejects.toMatchObject({
      code: 'WAL_SYNC_FAILED',
    })
    const again = await openMemoryLog(disk)
    expect(again.durableLsn).toBe(2)
    // A promise was made by durableLsn; the power cut holds it to it.
    expect(await payloads(disk.crash({ writes: 'lost', names: 'lost' }))).toEqual([
      'kept',
      'seen after reopening',
    ])
  })

  it('while a segment is sealed rejects what waits, and reopening goes on', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const log = await openMemoryLog(disk)
    await log.commit(Buffer.from('kept'))
    disk.inject(failOn(SYNC, 'EIO'))
    await expect(log.roll()).rejects.toMatchObject({
      code: 'WAL_WRITE_FAILED',
      details: { outcome: 'rejected' },
    })
    const again = await openMemoryLog(disk)
    await again.commit(Buffer.from('more'))
    expect(await payloads(disk)).toEqual(['kept', 'more'])
  })

  it('in the background reaches callers through the stopped log', async () => {
    const disk = new FaultFileSystem(new CrashFileSystem())
    const failed: unknown[] = []
    const log = await openMemoryLog(disk, { onFailed: (error) => failed.push(error) })
    await log.commit(Buffer.from('a'), { durable: false })
    disk.inject(failOn(SYNC, 'EIO'))
    await expect.poll(() => failed.length, { timeout: 3000 }).toBe(1)
    expect(() => log.append(Buffer.from('b'))).toThrow(expect.objectContaining({ code: 'WAL_FAILED' }))
  })
})

describe('a refusal outside of a commit', () => {
  it.each(['open', 'close', 'removeSegmentsBelow'] as const)(
    'while the log does %s has a code and a next step',
    async (doing) => {
      const disk = new FaultFileSystem(new CrashFileSystem())
      const log = await openMemoryLog(disk)
      await log.commit(Buffer.from('kept'))
      await log.roll()
      disk.inject(failOn({ kind: ['list', 'close'] }, 'EMFILE'))
      const done = {
        open: () => openMemoryLog(disk),
        close: () => log.close(),
        removeSegmentsBelow: () => log.removeSegmentsBelow(2),
      }[doing]()
      await expect(done).rejects.toMatchObject({
        code: 'WAL_IO_FAILED',
        details: { systemCode: 'EMFILE' },
        cause: { code: 'EMFILE' },
      })
    },
  )
})
