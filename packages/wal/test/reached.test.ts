import { describe, expect, it } from 'vitest'
import { openReached, type ReachedPlace, ReachedWriter } from '../src/index.ts'
import { decodeReached, encodeReached } from '../src/promises/reached.ts'
import { CrashFileSystem, failAt, FaultFileSystem } from '../src/testing/index.ts'
import { DIRECTORY } from './log-scenario.ts'

const PATH = `${DIRECTORY}/reached.vault.json`

async function folder(): Promise<CrashFileSystem> {
  const disk = new CrashFileSystem()
  await disk.makeDirectory(DIRECTORY)
  await disk.syncDirectory('/')
  return disk
}

function place(lsn: number, timeline = 1): ReachedPlace {
  return { lsn, timeline }
}

describe('how far an archive has reached', () => {
  it('is unknown at first, then what was told last, and told to nobody after the end', async () => {
    const disk = await folder()
    const writer = new ReachedWriter({ directory: DIRECTORY, name: 'vault' }, disk)
    expect(await writer.tell(place(1))).toBe(false)
    const reached = await openReached(DIRECTORY, 'vault', disk)
    expect(await reached.read()).toBeUndefined()
    await writer.close()
    for (const next of [place(9), place(10), place(Number.MAX_SAFE_INTEGER, 3), place(2)]) {
      expect(await writer.tell(next)).toBe(true)
      expect(await reached.read()).toEqual(next)
    }
    await reached.close()
    await writer.close()
    expect(await writer.tell(place(11))).toBe(false)
  })

  it('is told by one write, and never to the file that another writer of the log had', async () => {
    const disk = await folder()
    const counted = new FaultFileSystem(disk)
    let nowMs = 0
    const writer = new ReachedWriter({ directory: DIRECTORY, name: 'vault' }, counted, () => nowMs)
    const before = await openReached(DIRECTORY, 'vault', disk)
    await writer.tell(place(500))
    await writer.tell(place(501))
    expect(counted.operations.map(({ kind }) => kind)).toEqual(['open', 'write', 'write'])
    // The writer of the log died, and another one opens it.
    const after = await openReached(DIRECTORY, 'vault', disk)
    expect(await after.read()).toBeUndefined()
    await writer.tell(place(502))
    expect(await after.read()).toBeUndefined()
    nowMs = 1000
    await writer.tell(place(503))
    expect(await after.read()).toEqual(place(503))
    await writer.close()
    await before.close()
  })

  it('is unknown while any byte of the record is another one, or missing', () => {
    const record = encodeReached(place(1234, 2))
    expect(record.toString()).toBe(
      '{"lsn":            1234,"timeline":               2,"check":"f0278cbc"}\n',
    )
    expect(decodeReached(record)).toEqual(place(1234, 2))
    for (let at = 0; at < record.length; at++) {
      const changed = Buffer.from(record)
      changed[at] = (changed[at] ?? 0) ^ 1
      expect(decodeReached(changed)).toBeUndefined()
      expect(decodeReached(record.subarray(0, at))).toBeUndefined()
    }
  })

  it('is unknown while a record is half written over another one', () => {
    const older = encodeReached(place(999_999))
    const newer = encodeReached(place(1_000_000))
    for (let at = 0; at <= newer.length; at++) {
      const mixed = Buffer.concat([newer.subarray(0, at), older.subarray(at)])
      const isWhole = mixed.equals(older) || mixed.equals(newer)
      expect(decodeReached(mixed) !== undefined).toBe(isWhole)
    }
  })

  it('is of no archive whose name is malformed, and of no folder that takes no file', async () => {
    const disk = await folder()
    const malformed = { code: 'WAL_INVALID', details: { name: '../x' } }
    await expect(openReached(DIRECTORY, '../x', disk)).rejects.toMatchObject(malformed)
    expect(() => new ReachedWriter({ directory: DIRECTORY, name: '../x' }, disk)).toThrow(
      expect.objectContaining(malformed) as Error,
    )
    const faulty = new FaultFileSystem(disk, failAt(2, 'EIO'))
    await expect(openReached(DIRECTORY, 'vault', faulty)).rejects.toMatchObject({ code: 'EIO' })
    expect(faulty.injected).toHaveLength(1)
    expect(await disk.status(PATH)).toBeUndefined()
    const unreadable = new FaultFileSystem(disk, failAt(1, 'EIO'))
    const writer = new ReachedWriter({ directory: DIRECTORY, name: 'vault' }, unreadable)
    await expect(writer.tell(place(1))).rejects.toMatchObject({ code: 'EIO' })
  })
})
