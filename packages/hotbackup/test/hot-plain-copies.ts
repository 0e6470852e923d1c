/**
 * Hot copies of a LevelDB folder that is not ours, while its application writes batches, deletes, values of several blocks, compacts,
 * closes and opens it, and is killed at random. Each copy must open as a LevelDB of its own, hold a prefix of the transactions, and at
 * least every one that was acknowledged when the copy began.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeFileSystem } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import { systemError } from '@timberline/wal/testing'
import { ClassicLevel } from 'classic-level'
import { plainBackup } from '../src/index.ts'
import { withFolder } from './fixture.ts'
import { Model, POSITION_KEY, difference } from './history.ts'
import { hesitant, Owner } from './hot-copies.ts'

export interface HotPlainCopiesReport {
  readonly copies: number
  readonly kills: number
  readonly retried: number
  readonly triesMax: number
  /** Batches that came with LevelDB's own log. */
  readonly logRecords: number
  readonly lastTransaction: number
  readonly failures: readonly string[]
}

const KILLS_MIN = 3
const SHAPE = { keyCount: 300, valueBytes: 100, bigEvery: 37 }

/** Makes the copies one after the other and checks each; failures are told in words. */
export async function hotPlainCopies(options: {
  /** At least; more until there were some kills. */
  readonly copies: number
  readonly killEveryMs: number
}): Promise<HotPlainCopiesReport> {
  return withFolder(async (folder) => {
    const home = join(folder, 'application')
    const target = join(folder, 'copy')
    const acknowledgedPath = join(folder, 'acknowledged')
    const owner = new Owner({ home, acknowledgedPath, script: 'plain-writer-child.ts' }, SHAPE)
    const model = new Model(SHAPE)
    const counts = { retried: 0, triesMax: 0, logRecords: 0, lastTransaction: 0 }
    const failures: string[] = []
    await owner.start()
    let ownerFailure: unknown
    const killer = owner.killAtRandom(options.killEveryMs).catch((error: unknown) => {
      ownerFailure = error
    })
    let copy = 0
    try {
      while (copy < options.copies || (owner.kills < KILLS_MIN && copy < 20 * options.copies)) {
        copy += 1
        if (ownerFailure !== undefined) throw ownerFailure
        const atLeast = owner.acknowledged()
        const { tries, logRecordCount } = await plainBackup({
          folder: home,
          target,
          fileSystem: fileSystemOf(copy),
        })
        if (tries > 1) counts.retried += 1
        counts.triesMax = Math.max(counts.triesMax, tries)
        counts.logRecords += logRecordCount
        const state = await stateOf(target)
        const n = Number(state.get(POSITION_KEY) ?? '0')
        const wrong = difference(state, model.at(n))
        if (wrong !== undefined) failures.push(`copy ${copy} is no prefix: ${wrong}`)
        if (n < atLeast) failures.push(`copy ${copy} ends at ${n}, acknowledged were ${atLeast}`)
        counts.lastTransaction = n
        await rm(target, { recursive: true })
      }
    } finally {
      await owner.stop()
      await killer
    }
    return { copies: copy, kills: owner.kills, ...counts, failures }
  })
}

/** In turn: plain; with pauses between all steps, which widen every race with the owner; without links, with pauses. */
function fileSystemOf(copy: number): FileSystem {
  if (copy % 3 === 0) return nodeFileSystem
  if (copy % 3 === 1) return hesitant(nodeFileSystem, 4)
  return hesitant(withoutLinks(nodeFileSystem), 4)
}

/** As for a user who does not own the files: they get no second name. */
export function withoutLinks(inner: FileSystem): FileSystem {
  return {
    ...inner,
    link: async (existing) => {
      throw systemError('EPERM', { syscall: 'link', path: existing })
    },
  }
}

/** What an ordinary LevelDB reads in a folder. */
export async function stateOf(folder: string): Promise<Map<string, string>> {
  await using db = new ClassicLevel(folder, { createIfMissing: false })
  return new Map(await db.iterator().all())
}
