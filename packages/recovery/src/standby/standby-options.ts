import { resolve } from 'node:path'
import type { Archive } from '@timberline/archive'
import type { FileSystem, Lsn } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { archiveSource } from './standby-archive.ts'
import { homeSource, sourceOf } from './standby-home.ts'
import { readStandbyLabel } from './standby-label.ts'
import type { StandbySource } from './standby-source.ts'

/** What a standby follows, and where. */
export interface StandbyOptions {
  /** The archive to follow. The caller closes it, after the standby. Either this or `of` is needed. */
  readonly archive?: Archive
  /** The home to follow, in place: its folder must be readable here, and the folder of its log writable. */
  readonly of?: string
  /** The folder of the standby: missing, empty, or one that was a standby of this environment before. */
  readonly home: string
  /** Pause between two looks, in milliseconds; a home also rings when it writes; 10 to 3,600,000; default 1000. */
  readonly pollMs?: number
  /** Follow this timeline alone. Default: the one that is shipped, also when that changes. */
  readonly timeline?: number
  /** The folder may be a home of this environment: it is put aside within the folder, and a new standby begins. Default: false. */
  readonly rejoin?: boolean
  /** Begin anew with the newest backup; what is there stays until that is whole. Default: false. */
  readonly anew?: boolean
  /** Ends the standby, as `close` does. */
  readonly signal?: AbortSignal
  /** What happened, after it did; must not throw. */
  readonly onEvent?: (event: StandbyEvent) => void
  readonly fileSystem?: FileSystem
  /** Clock for the lag, microseconds since 1970. */
  readonly now?: () => number
}

/** What a standby tells of itself. */
export type StandbyEvent =
  /** A base was restored, or the state of an earlier run was taken up. */
  | { readonly type: 'standby.began'; readonly timeline: number; readonly lsn: Lsn; readonly isNew: boolean }
  | {
      readonly type: 'standby.applied'
      readonly timeline: number
      readonly lsn: Lsn
      readonly records: number
    }
  /** A promotion asked for the folder: the standby ends. */
  | { readonly type: 'standby.left' }
  /** A look came to nothing; the next one tries again. */
  | { readonly type: 'standby.retried'; readonly tries: number; readonly error: unknown }

/** How a standby stands; JSON-safe. */
export interface StandbyStatus {
  readonly home: string
  readonly environmentId: string
  /** The line that is followed. */
  readonly timeline: number
  /** The last record that is in; what is read now is exactly the state after it. */
  readonly lsn: Lsn
  readonly committedAtUs: number
  /** The last record that the archive tells of. */
  readonly knownLsn: Lsn
  /** All that the archive held at this time is in, microseconds since 1970. */
  readonly asOfUs: number
  /** How long ago that was, in milliseconds; what no shipper had archived yet comes on top. */
  readonly lagMs: number
  /** Looks at the archive that ended well. */
  readonly looks: number
  /** Where the home that lay here before was put. */
  readonly aside?: string
  /** Why the last look came to nothing. */
  readonly failure?: string
}

const pollMsBounds = [10, 3_600_000] as const

/** @throws RECOVERY_OPTION_INVALID */
export function checkedPollMs(pollMs: number = 1000): number {
  if (Number.isInteger(pollMs) && pollMs >= pollMsBounds[0] && pollMs <= pollMsBounds[1]) return pollMs
  throw recoveryError('RECOVERY_OPTION_INVALID', 'pollMs is out of its bounds', {
    details: { pollMs, min: pollMsBounds[0], max: pollMsBounds[1] },
  })
}

/** What is to be followed, opened. @throws RECOVERY_OPTION_INVALID, RECOVERY_PRIMARY_AWAY, ENGINE_HOME_ENDED */
export async function openStandbySource(
  { archive, of, home, timeline }: Pick<StandbyOptions, 'archive' | 'of' | 'home' | 'timeline'>,
  fileSystem: FileSystem,
): Promise<StandbySource> {
  if (archive !== undefined && of === undefined) return archiveSource(archive)
  if (archive !== undefined || of === undefined) {
    throw recoveryError('RECOVERY_OPTION_INVALID', 'a standby follows either an archive or a home')
  }
  const followed = resolve(of)
  if (timeline !== undefined || followed === resolve(home)) {
    const problem = timeline === undefined ? 'a home cannot follow itself' : 'a home has one timeline'
    throw recoveryError('RECOVERY_OPTION_INVALID', problem, { details: { of: followed } })
  }
  // Its own promotion may have ended the home: then it is to be finished, and the home is no reason to refuse.
  const label = await readStandbyLabel(resolve(home), fileSystem)
  const source = { home: followed, fileSystem }
  return label?.phase === 'promote' ? sourceOf(source, label.environmentId) : homeSource(source)
}
