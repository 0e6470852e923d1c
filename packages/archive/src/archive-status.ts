import { listSegments, nodeFileSystem, readLog, type FileSystem, type SegmentSummary } from '@timberline/wal'
import type { Archive } from './archive.ts'
import type { Catalogue, OwnerRef, PieceRef, SegmentRef } from './catalogue/catalogue.ts'
import { archiveError } from './errors.ts'
import { parseSegmentObjectName, segmentObjectPrefix, segmentTimelinePrefix } from './layout.ts'
import { holesBetween, type LsnRun, uncovered, uniteRuns } from './catalogue/lsn-runs.ts'

/**
 * `active`: being written; `sealed`: complete and not archived; `uploading`: its object is in the store and not yet entered;
 * `archived`; `lost`: in neither log nor archive.
 */
export type SegmentState = 'active' | 'sealed' | 'uploading' | 'archived' | 'lost'

/** One segment of a timeline, wherever it is. */
export interface SegmentStatus {
  readonly segmentNumber: number
  readonly state: SegmentState
  readonly isLocal: boolean
  /** Absent when lost. */
  readonly firstLsn?: number | undefined
  readonly lastLsn?: number | undefined
  readonly bytes?: number | undefined
  /** How far pieces hold a segment that is not archived whole. */
  readonly piecedLsn?: number | undefined
}

/** How log and archive stand to each other on one timeline. */
export interface ArchiveStatus {
  readonly environmentId: string
  readonly timeline: number
  readonly segments: readonly SegmentStatus[]
  /** Records that are in neither log nor archive, though later ones are. */
  readonly holes: readonly LsnRun[]
  /** The last record of the log, and the last that the archive holds. */
  readonly localLsn: number
  readonly archivedLsn: number
  readonly lag: {
    readonly transactions: number
    /** Of log. */
    readonly bytes: number
    /** Age of the oldest commit that is not in the archive; 0 when all are. */
    readonly seconds: number
  }
  readonly owner?: OwnerRef | undefined
}

/** What to look at. */
export interface ArchiveStatusOptions {
  readonly archive: Archive
  /** Default: none, the archive is looked at alone. */
  readonly logDirectory?: string | undefined
  /** Default: that of the log, or the newest one of the archive. */
  readonly timeline?: number | undefined
  readonly fileSystem?: FileSystem | undefined
  /** Clock in microseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** Compares log and archive, segment by segment. @throws ARCHIVE_LOG_FOREIGN, ARCHIVE_LOG_MISSING */
export async function archiveStatus(options: ArchiveStatusOptions): Promise<ArchiveStatus> {
  const { archive, logDirectory, fileSystem = nodeFileSystem, now = () => Date.now() * 1000 } = options
  // The archive first: what is archived meanwhile is then shown as late, never the other way round.
  const catalogue = await archive.catalogue()
  const local = logDirectory === undefined ? [] : await localSegments(logDirectory, { archive, fileSystem })
  const timeline = options.timeline ?? local[0]?.header.timeline ?? catalogue.timelines.at(-1)?.timeline ?? 1
  const scene = sceneOf(catalogue, local, timeline)
  const uploaded = await uploadedSegments(archive, scene)
  const heldRuns = uniteRuns([...scene.archived.values(), ...scene.pieces].map(runOf))
  const localRun = { fromLsn: local[0]?.firstLsn ?? 1, throughLsn: local.at(-1)?.lastLsn ?? 0 }
  const missing = local.length === 0 ? [] : uncovered(localRun, heldRuns)
  const oldest = missing[0]?.fromLsn
  const seconds =
    oldest === undefined || logDirectory === undefined
      ? 0
      : (now() - (await committedAt(logDirectory, { lsn: oldest, fileSystem, orElse: now() }))) / 1e6
  return {
    environmentId: archive.identity.environmentId,
    timeline,
    segments: statesOf(scene, uploaded),
    holes: holesBetween(uniteRuns([...heldRuns, localRun])),
    localLsn: localRun.throughLsn,
    archivedLsn: heldRuns.at(-1)?.throughLsn ?? 0,
    lag: {
      transactions: missing.reduce((sum, run) => sum + run.throughLsn - run.fromLsn + 1, 0),
      bytes: lagBytes(scene),
      seconds: Math.max(0, seconds),
    },
    ...(catalogue.owner === undefined ? {} : { owner: catalogue.owner }),
  }
}

interface Scene {
  readonly timeline: number
  readonly local: ReadonlyMap<number, SegmentSummary>
  readonly archived: ReadonlyMap<number, SegmentRef>
  readonly pieces: readonly PieceRef[]
}

function sceneOf(catalogue: Catalogue, local: readonly SegmentSummary[], timeline: number): Scene {
  const own = <T extends { readonly timeline: number }>(refs: readonly T[]): T[] =>
    refs.filter((ref) => ref.timeline === timeline)
  return {
    timeline,
    local: new Map(local.map((segment) => [segment.header.segmentNumber, segment])),
    archived: new Map(own(catalogue.segments).map((segment) => [segment.segmentNumber, segment])),
    pieces: own(catalogue.pieces),
  }
}

async function localSegments(
  logDirectory: string,
  { archive, fileSystem }: { archive: Archive; fileSystem: FileSystem },
): Promise<readonly SegmentSummary[]> {
  if ((await fileSystem.status(logDirectory)) === undefined) {
    throw archiveError('ARCHIVE_LOG_MISSING', 'there is no log folder', { details: { logDirectory } })
  }
  const local = await listSegments(logDirectory, fileSystem)
  const environmentId = local[0]?.header.environmentId ?? archive.identity.environmentId
  if (environmentId === archive.identity.environmentId) return local
  throw archiveError('ARCHIVE_LOG_FOREIGN', 'the log is of another environment than the archive', {
    details: { logDirectory, environmentId, expectedEnvironmentId: archive.identity.environmentId },
  })
}

/** Segments whose object is in the store without an event that names it. */
async function uploadedSegments(archive: Archive, scene: Scene): Promise<ReadonlySet<number>> {
  const uploaded = new Set<number>()
  const waiting = [...scene.local.values()].find(
    ({ sealed, header }) => sealed && !scene.archived.has(header.segmentNumber),
  )
  if (waiting === undefined) return uploaded
  const startAfter = segmentObjectPrefix(scene.timeline, waiting.header.segmentNumber)
  for await (const { name } of archive.store.list(segmentTimelinePrefix(scene.timeline), { startAfter })) {
    const number = parseSegmentObjectName(name)
    if (number !== undefined) uploaded.add(number)
  }
  return uploaded
}

function statesOf(scene: Scene, uploaded: ReadonlySet<number>): readonly SegmentStatus[] {
  const { local, archived, pieces } = scene
  const numbers = [...local.keys(), ...archived.keys(), ...pieces.map((piece) => piece.segmentNumber)]
  if (numbers.length === 0) return []
  const states: SegmentStatus[] = []
  const last = numbers.reduce((a, b) => Math.max(a, b))
  for (let number = numbers.reduce((a, b) => Math.min(a, b)); number <= last; number++) {
    states.push(stateOf(number, scene, { isUploaded: uploaded.has(number), isLast: number === last }))
  }
  return states
}

function stateOf(
  segmentNumber: number,
  { local, archived, pieces }: Scene,
  facts: { readonly isUploaded: boolean; readonly isLast: boolean },
): SegmentStatus {
  const whole = archived.get(segmentNumber)
  const own = local.get(segmentNumber)
  const isLocal = own !== undefined
  const chain = pieces.filter((piece) => piece.segmentNumber === segmentNumber)
  const piecedLsn = chain.at(-1)?.lastLsn
  if (whole !== undefined) {
    const { firstLsn, lastLsn, bytes } = whole
    return { segmentNumber, state: 'archived', isLocal, firstLsn, lastLsn, bytes }
  }
  if (own !== undefined) {
    const { firstLsn, lastLsn, bytes } = own
    const waiting = facts.isUploaded ? 'uploading' : 'sealed'
    return {
      segmentNumber,
      state: own.sealed ? waiting : 'active',
      isLocal,
      firstLsn,
      lastLsn,
      bytes,
      piecedLsn,
    }
  }
  const first = chain[0]
  const after = archived.get(segmentNumber + 1)?.firstLsn ?? local.get(segmentNumber + 1)?.firstLsn
  const isHeld = first?.position === 0 && (facts.isLast || piecedLsn === (after ?? 0) - 1)
  if (!isHeld) return { segmentNumber, state: 'lost', isLocal, piecedLsn }
  return {
    segmentNumber,
    state: 'archived',
    isLocal,
    firstLsn: first.firstLsn,
    lastLsn: piecedLsn,
    piecedLsn,
  }
}

function lagBytes({ local, archived, pieces }: Scene): number {
  let bytes = 0
  for (const [number, segment] of local) {
    if (archived.has(number)) continue
    const held = pieces.filter((piece) => piece.segmentNumber === number).at(-1)?.endPosition ?? 0
    bytes += Math.max(0, segment.bytes - held)
  }
  return bytes
}

async function committedAt(
  directory: string,
  { lsn, fileSystem, orElse }: { lsn: number; fileSystem: FileSystem; orElse: number },
): Promise<number> {
  for await (const records of readLog({ directory, fromLsn: lsn, throughLsn: lsn, fileSystem })) {
    for (const record of records) return record.committedAtUs
  }
  return orElse
}

function runOf({ firstLsn, lastLsn }: { readonly firstLsn: number; readonly lastLsn: number }): LsnRun {
  return { fromLsn: firstLsn, throughLsn: lastLsn }
}
