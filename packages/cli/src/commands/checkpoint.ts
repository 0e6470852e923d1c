import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CheckpointInfo,
  controlCall,
  homeLayout,
  readHomeIdentity,
  TimberLevel,
} from '@timberline/engine'
import { parseSegmentName, TimberlineError } from '@timberline/wal'
import type { Command, Surroundings } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { formatBytes, formatMs } from '../quantity.ts'

const lookEveryMs = 1000
const replyTimeoutMs = 600_000

/** `timberline checkpoint` */
export const checkpointCommand: Command = async (args, surroundings) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const kbytes = args.number('kbytes')
  const minutes = args.number('minutes')
  if (kbytes === undefined && minutes === undefined) {
    surroundings.tell('checkpoint begin')
    const info = (await askOwner(home)) ?? (await checkpointClosedHome(home))
    surroundings.tell('checkpoint complete')
    return { document: { home, ...info }, lines: [lineOf(info)] }
  }
  const taken = await stayAndTake(home, {
    bytes: kbytes === undefined ? Infinity : kbytes * 1024,
    ms: minutes === undefined ? Infinity : minutes * 60_000,
    surroundings,
  })
  return { document: { home, taken }, lines: [`${String(taken)} checkpoints taken`] }
}

/** Asks whoever has the home open; `undefined` when nobody has. */
async function askOwner(home: string): Promise<CheckpointInfo | undefined> {
  try {
    return (await controlCall(home, { type: 'checkpoint' }, { timeoutMs: replyTimeoutMs })) as CheckpointInfo
  } catch (error) {
    if (error instanceof TimberlineError && error.code === 'ENGINE_NOT_RUNNING') return undefined
    throw error
  }
}

async function checkpointClosedHome(home: string): Promise<CheckpointInfo> {
  const db = new TimberLevel(home, { createIfMissing: false })
  await db.open()
  try {
    return await db.checkpoint()
  } finally {
    await db.close()
  }
}

interface Rhythm {
  readonly bytes: number
  readonly ms: number
  readonly surroundings: Surroundings
}

/** Until stopped. A home that nobody has open is left alone: there is nothing new in it, and its owner may come any time. */
async function stayAndTake(home: string, { bytes, ms, surroundings }: Rhythm): Promise<number> {
  const { signal, tell } = surroundings
  const { logDirectory } = homeLayout(home)
  let taken = 0
  let lastAtMs = performance.now()
  let lastBytes = await logBytes(logDirectory)
  while (!signal.aborted) {
    await sleep(lookEveryMs, undefined, { signal }).catch(() => undefined)
    const written = (await logBytes(logDirectory)) - lastBytes
    // The folder shrank: segments were removed, by a checkpoint of somebody else's.
    if (written < 0) lastBytes += written
    const isDue = written >= bytes || performance.now() - lastAtMs >= ms
    if (!isDue || signal.aborted) continue
    const info = await askOwner(home)
    lastAtMs = performance.now()
    lastBytes = await logBytes(logDirectory)
    if (info === undefined) {
      tell('nobody has the home open')
      continue
    }
    taken++
    tell(lineOf(info))
  }
  return taken
}

/** The active segment is longer than what is written in it, by at most one step of its filling ahead. */
async function logBytes(directory: string): Promise<number> {
  const names = (await readdir(directory)).filter((name) => parseSegmentName(name) !== undefined)
  const sizes = await Promise.all(
    names.map(async (name) => (await stat(join(directory, name)).catch(() => undefined))?.size ?? 0),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function lineOf({ lsn, committedAtUs, tables, bytes, created, ms }: CheckpointInfo): string {
  const instant = committedAtUs === 0 ? '' : `, ${formatInstant(committedAtUs)}`
  const content = `${String(tables)} tables, ${formatBytes(bytes)}`
  return created
    ? `checkpoint at LSN ${String(lsn)}${instant}: ${content}, ${formatMs(ms)}`
    : `the checkpoint at LSN ${String(lsn)}${instant} is the newest there can be: ${content}`
}
