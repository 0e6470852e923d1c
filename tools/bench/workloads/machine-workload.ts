/** What the machine does at most, with nobody's database in the way: the bounds beside which the figures stand. */
import { createHash } from 'node:crypto'
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { withFolder } from '../folder.ts'
import { quantile } from '../statistics.ts'

export interface MachineResult {
  /** Of a record of 256 bytes over zeros that are there, one write and one fdatasync after another. */
  readonly flushesPerSecond: number
  readonly flushP50Ms: number
  readonly flushP99Ms: number
  /** Into new files of 2 MiB, an fsync for each. */
  readonly writeMbPerS: number
  readonly sha256MbPerS: number
}

const SPACE_BYTES = 8 * 1024 * 1024
const LOG_RECORD_BYTES = 256
const FILE_BYTES = 2 * 1024 * 1024
const FILES = 64

export async function measureMachine({ seconds }: { seconds: number }): Promise<MachineResult> {
  return withFolder((folder) => {
    const waits = flushes(join(folder, 'log'), { seconds, recordBytes: LOG_RECORD_BYTES })
    const chunk = Buffer.alloc(FILE_BYTES, 7)
    const writeMs = timed(() => {
      for (let file = 0; file < FILES; file++) writeWhole(join(folder, String(file)), chunk)
    })
    const hashMs = timed(() => {
      const hash = createHash('sha256')
      for (let file = 0; file < FILES; file++) hash.update(chunk)
      hash.digest()
    })
    const megabytes = (FILES * FILE_BYTES) / 1e6
    return Promise.resolve({
      flushesPerSecond: (waits.length * 1000) / waits.reduce((sum, wait) => sum + wait, 0),
      flushP50Ms: quantile(waits, 0.5),
      flushP99Ms: quantile(waits, 0.99),
      writeMbPerS: (megabytes / writeMs) * 1000,
      sha256MbPerS: (megabytes / hashMs) * 1000,
    })
  })
}

/** The milliseconds of each; calls on this thread, since a way to another one is nothing of the disk's. */
export function flushes(
  path: string,
  { seconds, recordBytes }: { readonly seconds: number; readonly recordBytes: number },
): readonly number[] {
  const file = openSync(path, 'w')
  writeSync(file, Buffer.alloc(SPACE_BYTES))
  fsyncSync(file)
  const record = Buffer.alloc(recordBytes, 1)
  const waits: number[] = []
  const end = performance.now() + seconds * 1000
  for (let at = 0; performance.now() < end; at = (at + recordBytes) % SPACE_BYTES)
    waits.push(
      timed(() => {
        writeSync(file, record, 0, recordBytes, at)
        fdatasyncSync(file)
      }),
    )
  closeSync(file)
  return waits
}

function writeWhole(path: string, content: Buffer): void {
  const file = openSync(path, 'w')
  writeSync(file, content)
  fsyncSync(file)
  closeSync(file)
}

function timed(work: () => void): number {
  const begin = performance.now()
  work()
  return performance.now() - begin
}
