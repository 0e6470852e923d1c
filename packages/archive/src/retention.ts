// Lets objects go, in three steps that may each be the last one before a crash: the decision is one event, after which no
// catalogue names the objects; then they are deleted; then an event says so. Whoever comes next deletes what is left.
import { TimberlineError } from '@timberline/wal'
import type { Archive } from './archive.ts'
import { archiveError } from './errors.ts'
import type { Catalogue } from './catalogue/catalogue.ts'
import type { CatalogueFold } from './catalogue/catalogue-fold.ts'
import {
  BACKUP_PREFIX,
  deltaPrefix,
  parseBackupLabel,
  parseBundleName,
  parsePieceName,
  parseSegmentObjectName,
  piecePrefix,
  SEGMENT_PREFIX,
  segmentTimelinePrefix,
} from './layout.ts'
import type { PromisedBases, RetentionDecision, RetentionPromise } from './catalogue/retention-record.ts'

/** An object that the store would not delete. */
export interface UndeletedObject {
  readonly name: string
  readonly error: TimberlineError
}

/** What `finishRetention` did. */
export interface RetentionOutcome {
  readonly deleted: number
  /** As stored. */
  readonly deletedBytes: number
  /** Locked or refused: in no catalogue any more, and tried again by the next call. */
  readonly undeleted: readonly UndeletedObject[]
}

/**
 * Says what is to be kept from now on; nothing goes by that.
 *
 * @throws ARCHIVE_PROMISE_BROKEN when it is less than what was promised before, unless `force`d
 */
export async function makePromise(
  archive: Archive,
  promise: RetentionPromise,
  { force = false }: { readonly force?: boolean } = {},
): Promise<void> {
  await archive.journal.append((fold) => {
    if (fold.promise !== undefined && !force && !covers(promise, fold.promise)) {
      throw archiveError('ARCHIVE_PROMISE_BROKEN', 'more was promised before', {
        details: { promised: JSON.stringify(fold.promise), asked: JSON.stringify(promise) },
      })
    }
    return { type: 'promise.made', promise }
  })
}

/** Of each promised row of backups there must be one at least as dense and as long. */
function covers(promise: RetentionPromise, before: RetentionPromise): boolean {
  const isKept = ({ everyUs, spanUs }: PromisedBases): boolean =>
    promise.bases.some((bases) => bases.everyUs <= everyUs && bases.spanUs >= spanUs)
  return promise.instantsUs >= before.instantsUs && before.bases.every(isKept)
}

/**
 * Enters a decision in the journal. `decide` sees the newest state, and is asked again when somebody was faster: a backup,
 * timeline or owner that came meanwhile is never overlooked. `undefined` decides nothing.
 *
 * @throws ARCHIVE_CONFLICT when it lets go what is not there, or the timeline that is shipped
 */
export async function decideRetention(
  archive: Archive,
  decide: (catalogue: Catalogue) => RetentionDecision | undefined,
): Promise<void> {
  // Pieces before events: as in `catalogue`.
  const listed = await archive.listPieces()
  await archive.journal.append((fold) => {
    const decision = decide(fold.catalogue(archive.identity, listed))
    return decision === undefined ? undefined : { type: 'retention.decided', decision }
  })
}

/** Deletes what was decided, also by a process that died meanwhile. An object that the store keeps does not stop the others. */
export async function finishRetention(archive: Archive): Promise<RetentionOutcome> {
  const fold = await archive.journal.refresh()
  const { unfinished } = fold.retired
  const throughSequence = fold.sequence
  let deleted = 0
  let deletedBytes = 0
  const undeleted: UndeletedObject[] = []
  for await (const { name, bytes } of retiredObjects(archive, fold)) {
    try {
      await archive.store.delete(name)
      deleted++
      deletedBytes += bytes
    } catch (error) {
      if (!(error instanceof TimberlineError) || error.kind !== 'unavailable') throw error
      undeleted.push({ name, error })
    }
  }
  if (unfinished.length > 0 && undeleted.length === 0) {
    await archive.appendEvent({ type: 'retention.finished', throughSequence })
  }
  return { deleted, deletedBytes, undeleted }
}

/**
 * Segments and manifests that a catalogue names and the store does not list. Whether what is there is whole, only reading it
 * tells.
 */
export async function absentObjects(
  { store }: Archive,
  { segments, backups }: Catalogue,
): Promise<readonly string[]> {
  const absent = new Set([...segments, ...backups].map(({ name }) => name))
  for (const prefix of [SEGMENT_PREFIX, BACKUP_PREFIX]) {
    for await (const { name } of store.list(prefix)) absent.delete(name)
  }
  return [...absent]
}

/** Objects of unfinished decisions that are still there. Names of retired things are never used again, so all go. */
async function* retiredObjects(
  { store }: Archive,
  fold: CatalogueFold,
): AsyncGenerator<{ readonly name: string; readonly bytes: number }> {
  const { unfinished } = fold.retired
  const labels = new Set(unfinished.flatMap(({ backups }) => backups))
  if (labels.size > 0) {
    for await (const object of store.list(BACKUP_PREFIX)) {
      if (labels.has(parseBackupLabel(object.name) ?? '')) yield object
    }
  }
  const ranges = unfinished.flatMap(({ segments }) => segments)
  const timelines = unfinished.flatMap((decision) => decision.timelines)
  for (const timeline of new Set([...ranges.map((range) => range.timeline), ...timelines])) {
    for await (const object of store.list(segmentTimelinePrefix(timeline))) {
      const number = parseSegmentObjectName(object.name)
      if (number !== undefined && fold.retired.hasSegment(timeline, number)) yield object
    }
    for await (const object of store.list(deltaPrefix(timeline))) {
      if (fold.isDeltaRetired(object.name)) yield object
    }
    for await (const object of store.list(piecePrefix(timeline))) {
      const piece = parsePieceName(object) ?? parseBundleName(object.name)
      if (piece !== undefined && fold.retired.hasSegment(timeline, piece.segmentNumber)) yield object
    }
  }
}
