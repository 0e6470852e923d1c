import { readdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  controlCall,
  homeLayout,
  homeOwner,
  lockHome,
  newestCheckpoint,
  readHomeIdentity,
} from '@timberline/engine'
import { listSegments, liveHolds, nodeFileSystem, readConfirmations, segmentName } from '@timberline/wal'
import type { Arguments } from '../arguments.ts'
import type { Command } from '../command.ts'

const replyTimeoutMs = 600_000

/** `timberline archive list`: Berkeley DB's db_archive. */
export const archiveListCommand: Command = async (args) => {
  const home = args.required('home')
  await readHomeIdentity(home)
  const { logDirectory, dataDirectory } = homeLayout(home)
  if (args.flag('data')) {
    const names = (await readdir(dataDirectory)).filter((name) => /\.(ldb|sst)$/.test(name)).sort()
    return listed(args, dataDirectory, names)
  }
  if (args.flag('logs')) {
    const segments = await listSegments(logDirectory)
    return listed(
      args,
      logDirectory,
      segments.map(({ header }) => segmentName(header.segmentNumber)),
    )
  }
  if (!args.flag('delete')) return listed(args, logDirectory, (await removableSegments(home)).names)
  return remove(home)
}

/** Segments that nothing needs, and what keeps the next one. */
export interface Removable {
  readonly names: readonly string[]
  /** Below this segment number nothing is needed. */
  readonly belowSegment: number
  readonly keptBy: string
}

/** The contiguous run of oldest segments that neither checkpoint, archive nor hold needs. */
export async function removableSegments(home: string): Promise<Removable> {
  const { logDirectory } = homeLayout(home)
  const [checkpoint, confirmations, holds, segments] = await Promise.all([
    newestCheckpoint(home),
    readConfirmations(logDirectory),
    liveHolds(logDirectory),
    listSegments(logDirectory),
  ])
  const limits = [
    {
      belowSegment: checkpoint?.segmentNumber ?? 0,
      keptBy: checkpoint === undefined ? 'no checkpoint' : 'the checkpoint',
    },
    // An archive that confirmed another timeline holds nothing of this one.
    ...confirmations.map(({ name, segmentNumber, timeline }) => ({
      belowSegment: timeline === checkpoint?.timeline ? segmentNumber + 1 : 0,
      keptBy: `archive ${name}`,
    })),
    ...holds.map(({ purpose, pid, fromSegment }) => ({
      belowSegment: fromSegment,
      keptBy: `${purpose}, process ${String(pid)}`,
    })),
  ]
  const least = limits.reduce((lowest, limit) => (limit.belowSegment < lowest.belowSegment ? limit : lowest))
  const names = segments
    .filter(({ header, sealed }) => sealed && header.segmentNumber < least.belowSegment)
    .map(({ header }) => segmentName(header.segmentNumber))
  return { names, ...least }
}

/** Whoever has the home open is asked; without an owner, the home is taken so that none can begin meanwhile. */
async function remove(home: string): Promise<{ document: unknown; lines: readonly string[] }> {
  const { logDirectory } = homeLayout(home)
  if ((await homeOwner(home)) !== undefined) return removeByOwner(home)
  const lock = await lockHome(home)
  try {
    const { names, keptBy } = await removableSegments(home)
    for (const name of names) await rm(join(logDirectory, name))
    await nodeFileSystem.syncDirectory(logDirectory)
    return { document: { removed: names, restKeptBy: keptBy }, lines: [] }
  } finally {
    await lock.release()
  }
}

/** An owner counts its log, so nobody else takes from it; with a checkpoint it removes what nothing needs. */
async function removeByOwner(home: string): Promise<{ document: unknown; lines: readonly string[] }> {
  const { names } = await removableSegments(home)
  if (names.length > 0) await controlCall(home, { type: 'checkpoint' }, { timeoutMs: replyTimeoutMs })
  const left = new Set(await readdir(homeLayout(home).logDirectory))
  const { keptBy } = await removableSegments(home)
  return { document: { removed: names.filter((name) => !left.has(name)), restKeptBy: keptBy }, lines: [] }
}

function listed(
  args: Arguments,
  directory: string,
  names: readonly string[],
): { document: unknown; lines: readonly string[] } {
  const shown = args.flag('absolute') ? names.map((name) => resolve(directory, name)) : names
  return { document: { files: shown }, lines: shown }
}
