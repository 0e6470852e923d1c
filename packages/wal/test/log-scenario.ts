import { join } from 'node:path'
import {
  openLog,
  readFileWhole,
  segmentName,
  type FileSystem,
  type Log,
  type OpenLogOptions,
} from '../src/index.ts'
import { CrashFileSystem } from '../src/testing/index.ts'

export const IDENTITY = { environmentId: '00112233445566778899aabbccddeeff', timeline: 1 }
export const DIRECTORY = '/log'

/** A clock that goes on by ten microseconds a look, so that files come out the same each time. */
export function tickingClock(startUs = 1_700_000_000_000_000): () => number {
  let us = startUs
  return () => (us += 10)
}

/** Opens a log in a file system in memory, with a ticking clock and nothing written ahead unless asked. */
export function openMemoryLog(fileSystem: FileSystem, options: Partial<OpenLogOptions> = {}): Promise<Log> {
  return openLog({
    directory: DIRECTORY,
    identity: IDENTITY,
    fileSystem,
    now: tickingClock(),
    preallocateBytes: 0,
    segmentAgeMsMax: 0,
    ...options,
  })
}

export function segmentContent(fileSystem: FileSystem, number: number): Promise<Buffer> {
  return readFileWhole(join(DIRECTORY, segmentName(number)), fileSystem)
}

/** Commits all payloads in one turn of the loop: one group. */
export async function commitGroup(log: Log, ...payloads: readonly (string | Buffer)[]): Promise<void> {
  await Promise.all(payloads.map((payload) => log.commit(Buffer.from(payload))))
}

export interface GoldenFiles {
  /** One record, sealed: the worked example of FORMAT.md. */
  readonly tiny: Buffer
  /** Several groups, all kinds of records, sealed. */
  readonly sealed: Buffer
  /** Linked to `sealed`; several groups and a fence, no seal, no space written ahead. */
  readonly unsealed: Buffer
  /** The same with space written ahead. */
  readonly zeroFilled: Buffer
}

/** The histories whose files are kept in `golden/`. */
export async function goldenFiles(): Promise<GoldenFiles> {
  const tinyDisk = new CrashFileSystem()
  const tinyLog = await openMemoryLog(tinyDisk)
  await commitGroup(tinyLog, 'hi')
  await tinyLog.roll()
  await tinyLog.close()

  const disk = new CrashFileSystem()
  await twoSegments(disk, 0)
  const filledDisk = new CrashFileSystem()
  await twoSegments(filledDisk, 4096)
  return {
    tiny: await segmentContent(tinyDisk, 1),
    sealed: await segmentContent(disk, 1),
    unsealed: await segmentContent(disk, 2),
    zeroFilled: await segmentContent(filledDisk, 2),
  }
}

async function twoSegments(fileSystem: FileSystem, preallocateBytes: number): Promise<void> {
  const now = tickingClock()
  const log = await openMemoryLog(fileSystem, { now, preallocateBytes })
  await commitGroup(log, 'alpha', '', Buffer.alloc(300, 'pattern '))
  await log.commit(Buffer.from('before-import'), { kind: 'mark' })
  await log.commit(Buffer.from([0x81, 0xa1, 0x61, 0x01]), { kind: 'note' })
  await log.commit(Buffer.from('not waited for'), { durable: false })
  await commitGroup(log, 'omega')
  await log.roll()
  await commitGroup(log, 'one', 'two')
  await log.commit(Buffer.from('three'), { durable: false })
  await log.close()
  const again = await openMemoryLog(fileSystem, { now, preallocateBytes })
  await commitGroup(again, 'four')
  await commitGroup(again, 'five', 'sechs')
  await again.commit(Buffer.from('seven'))
  // Left as a killed process leaves it: close() would add a fence behind the last group.
  const content = await segmentContent(fileSystem, 2)
  await again.close()
  const path = join(DIRECTORY, segmentName(2))
  const handle = await fileSystem.open(path, 'write')
  await handle.truncate(0)
  await handle.write(content, 0)
  await handle.close()
}
