/**
 * A standby in a history: a folder that follows the archive, is read, and may be promoted. It is opened anew for each look and closed
 * again, so that it has its life in the steps; what it must show, the lines say.
 */
import assert from 'node:assert/strict'
import { directoryStore, openArchive } from '@timberline/archive'
import { openStandby, promote } from '@timberline/recovery'
import { TimberlineError, type FileSystem } from '@timberline/wal'
import { digestOf, type Content } from '../power-loss/content.ts'
import type { Line } from './history-line.ts'
import type { MadeBackup } from './history-promises.ts'

/** What a standby shows once it has all that the archive holds. */
export interface FollowedState {
  readonly timeline: number
  readonly lsn: number
  readonly content: Content
}

/** What a promotion came to. */
export interface Promoted {
  readonly timeline: number
  readonly parent: number
  readonly forkLsn: number
}

/** A name for what was refused. */
export type Refusal = string

interface Place {
  readonly root: string
  readonly fileSystem: FileSystem
}

/** Far beyond a history: a look is asked for, never waited for. */
const POLL_MS = 3_600_000

/** Follows until all is in, and reads. */
export async function follow({ root, fileSystem }: Place, name: string): Promise<FollowedState | Refusal> {
  const archive = await openArchive(directoryStore(`${root}/archive`, fileSystem))
  return unlessRefused(async () => {
    const standby = await openStandby({ archive, home: `${root}/${name}`, pollMs: POLL_MS, fileSystem })
    try {
      const { timeline, lsn } = await standby.caughtUp()
      const entries = await standby.level.iterator({ keyEncoding: 'utf8', valueEncoding: 'utf8' }).all()
      const content = new Map(entries.map(([key, value]) => [String(key), String(value)]))
      const digest = await standby.digest()
      assert.equal(digest.lsn, lsn)
      assert.equal(digest.hex, digestOf(content))
      return { timeline, lsn, content }
    } finally {
      await standby.close()
    }
  })
}

/** Promotes, or finishes a promotion that was begun. */
export async function promoteIt({ root, fileSystem }: Place, name: string): Promise<Promoted | Refusal> {
  const archive = await openArchive(directoryStore(`${root}/archive`, fileSystem))
  return unlessRefused(async () => {
    const { timeline, parent } = await promote({
      archive,
      home: `${root}/${name}`,
      archiveName: 'main',
      fileSystem,
    })
    return { timeline, parent: parent.timeline, forkLsn: parent.forkLsn }
  })
}

/** A standby shows a prefix of the line that it follows; at rest, with all that was shipped of it. */
export function assertFollowed(found: FollowedState, lines: readonly Line[], isAtRest: boolean): void {
  const line = lines.findLast(({ timeline }) => timeline === found.timeline)
  assert.ok(line, `a standby follows line ${String(found.timeline)}, which nobody began`)
  assert.deepEqual(found.content, line.contents[found.lsn], `the standby at ${String(found.lsn)}`)
  const least = isAtRest ? line.shippedLsn : 0
  assert.ok(found.lsn >= least, `the standby ends at ${String(found.lsn)}, ${String(least)} was shipped`)
}

/**
 * A standby may be refused where no backup begins its line, where a load lies ahead of it, and where its line was left behind; its promotion
 * also where a backup holds log that was never shipped.
 */
export function assertRefused(
  refusal: Refusal,
  { lines, backups }: { readonly lines: readonly Line[]; readonly backups: readonly MadeBackup[] },
): void {
  const archived = backups.filter(({ folder }) => folder === undefined)
  const isExpected =
    (refusal === 'RECOVERY_NO_BASE' && archived.length === 0) ||
    (refusal === 'RECOVERY_STANDBY_BACKUP_AHEAD' &&
      archived.some(({ line, endLsn }) => endLsn > line.shippedLsn)) ||
    (refusal === 'RECOVERY_BULK_LOAD' && lines.some(({ loads }) => loads.size > 0)) ||
    (refusal === 'RECOVERY_STANDBY_DIVERGED' && lines.length > 1)
  assert.ok(isExpected, `a standby was refused with ${refusal}`)
}

async function unlessRefused<Result>(work: () => Promise<Result>): Promise<Result | Refusal> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof TimberlineError) return error.code
    throw error
  }
}
