/**
 * Writes tables as LevelDB does, 64 KiB at a time with an fsync at the end, until it is killed: `table-loop.ts <folder> <tables a second>`.
 * Says `ready` after the first.
 */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/** Of a merge, and of one that LevelDB writes when its memory is full; of twelve tables about one is such. */
const MERGED_BYTES = 2 * 1024 * 1024
const FILLED_BYTES = 4 * 1024 * 1024
const FILLED_EVERY = 12
const PIECE = Buffer.alloc(64 * 1024, 7)
/** Older ones are removed, as those that were merged are. */
const KEPT = 20

const [folder = '', perSecond = ''] = process.argv.slice(2)
const begin = performance.now()
for (let table = 0; ; table++) {
  write(pathOf(table), table % FILLED_EVERY === 0 ? FILLED_BYTES : MERGED_BYTES)
  if (table === 0) process.send?.('ready')
  if (table >= KEPT) rmSync(pathOf(table - KEPT))
  await pause(begin + ((table + 1) * 1000) / Number(perSecond) - performance.now())
}

function pathOf(table: number): string {
  return join(folder, `${String(table)}.ldb`)
}

function write(path: string, bytes: number): void {
  const file = openSync(path, 'w')
  for (let at = 0; at < bytes; at += PIECE.length) writeSync(file, PIECE)
  fsyncSync(file)
  closeSync(file)
}
