import { join } from 'node:path'
import { nodeFileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import type { FileSystem } from '@timberline/wal'
import * as v from 'valibot'
import { engineError } from '../errors.ts'
import { ENDED_LABEL } from './home-layout.ts'

/** Where a home's timeline ended, because a standby that followed the home itself was promoted; the content of `ended.json`. */
export interface HomeEnd {
  readonly format: 1
  readonly timeline: number
  /** The last record that the successor took over. */
  readonly lsn: number
  readonly successor: number
  /** The promotion's own id, 32 hex characters: run again after a crash it knows its event. */
  readonly ownerId: string
  readonly endedAtUs: number
  /** The folder that goes on, as its own machine names it. */
  readonly home: string
}

const BYTES_MAX = 64 * 1024
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const line = v.pipe(count, v.minValue(1))
const schema = v.object({
  format: v.literal(1),
  timeline: line,
  lsn: count,
  successor: line,
  ownerId: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  endedAtUs: count,
  home: v.string(),
})

/** Whether a home's timeline has ended, and who goes on; `undefined` while it goes on itself. @throws ENGINE_HOME_DAMAGED */
export async function readHomeEnd(
  home: string,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<HomeEnd | undefined> {
  const path = join(home, ENDED_LABEL)
  if ((await fileSystem.status(path)) === undefined) return undefined
  try {
    return v.parse(schema, JSON.parse((await readFileWhole(path, fileSystem, BYTES_MAX)).toString('utf8')))
  } catch (cause) {
    throw engineError('ENGINE_HOME_DAMAGED', 'the end of the timeline cannot be decoded', {
      details: { path },
      cause,
    })
  }
}

/** Ends a home's timeline, durably: from here on no open of the home resolves. The caller holds the home's lock. */
export async function writeHomeEnd(
  home: string,
  end: HomeEnd,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const content = Buffer.from(`${JSON.stringify(end, null, 2)}\n`)
  await writeFileAtomic(join(home, ENDED_LABEL), content, fileSystem)
}

/** @throws ENGINE_HOME_ENDED */
export async function refuseEnded(home: string, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  const end = await readHomeEnd(home, fileSystem)
  if (end === undefined) return
  const { timeline, lsn, successor, home: next } = end
  throw engineError('ENGINE_HOME_ENDED', 'the timeline has ended: a standby of the home was promoted', {
    details: { home, timeline, endedAfterLsn: lsn, successor, promoted: next },
  })
}
