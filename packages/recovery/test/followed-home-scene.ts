/** A database as an application has it, and a standby that follows its home, with no archive anywhere. */
import { join } from 'node:path'
import { homeLayout, TimberLevel } from '@timberline/engine'
import { listSegments } from '@timberline/wal'
import { onTestFinished } from 'vitest'
import { openStandby, type Standby, type StandbyOptions } from '../src/index.ts'
import { scratchFolder } from './environment.ts'

export type Db = TimberLevel<string, string>

export interface FollowedScene {
  readonly folder: string
  /** The home of the database. */
  readonly of: string
  readonly db: Db
  /** The folder of the standby. */
  readonly home: string
  readonly open: (options?: Partial<StandbyOptions>) => Promise<Standby>
}

/** Opens a home as an application does; it is closed at the latest with the test. */
export async function openDb(home: string): Promise<Db> {
  const db: Db = new TimberLevel(home)
  await db.open()
  onTestFinished(() => db.close())
  return db
}

/** Ten commits in a home that is open. */
export async function followedScene(): Promise<FollowedScene> {
  const folder = await scratchFolder()
  const of = join(folder, 'home')
  const db = await openDb(of)
  await write(db, 10)
  const home = join(folder, 'standby')
  const open = async (options: Partial<StandbyOptions> = {}): Promise<Standby> => {
    const standby = await openStandby({ of, home, pollMs: 3_600_000, ...options })
    onTestFinished(() => standby.close())
    return standby
  }
  return { folder, of, db, home, open }
}

/** So many commits more; resolves with the last LSN. */
export async function write(db: Db, count: number): Promise<number> {
  const from = (await lastLsn(db)) + 1
  for (let lsn = from; lsn < from + count; lsn++) await db.put(`k${lsn % 7}`, `v${lsn}`)
  return lastLsn(db)
}

async function lastLsn(db: Db): Promise<number> {
  return (await db.homeStatus()).lastLsn
}

/** Whether a standby that has caught up is what the database is; notes of the engine's own may come at any time. */
export async function isSame(standby: Standby, db: Db): Promise<boolean> {
  await standby.caughtUp(await lastLsn(db))
  const [{ hex }, own] = [await standby.digest(), await db.digest()]
  return hex === own.hex
}

/** The last record of a home’s log. */
export async function lastLsnOf(home: string): Promise<number> {
  return (await listSegments(homeLayout(home).logDirectory)).at(-1)?.lastLsn ?? 0
}

/** Numbers of the segments that a home has. */
export async function segmentsOf(home: string): Promise<readonly number[]> {
  const segments = await listSegments(homeLayout(home).logDirectory)
  return segments.map(({ header }) => header.segmentNumber)
}
