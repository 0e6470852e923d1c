// The catalogue as a pure function of its events and of a listing of pieces.
import type {
  ArchiveIdentity,
  BackupRef,
  Catalogue,
  DeltaRef,
  MarkRef,
  OwnerRef,
  PieceRef,
  SegmentRef,
  TimelineInfo,
} from './catalogue.ts'
import type { CatalogueEvent, JournalEntry } from './catalogue-event.ts'
import { DeltaShelf } from './delta-shelf.ts'
import { bySegment, Owners } from './owners.ts'
import { archiveError } from '../errors.ts'
import type { RecoveryProof, RetentionDecision, RetentionPromise, SegmentRange } from './retention-record.ts'
import { Retired } from './retired.ts'

/** The state that events fold into; kept apart from pieces, which are listed and not told by events. */
export class CatalogueFold {
  #sequence = 0
  readonly #timelines = new Map<number, TimelineInfo>()
  readonly #segments = new Map<string, SegmentRef>()
  readonly #backups = new Map<string, BackupRef>()
  /** Backups that were added since the recipients last changed, oldest first. */
  readonly #referable = new Set<string>()
  readonly #deltas = new DeltaShelf((timeline, number) => this.segment(timeline, number))
  readonly #marks: MarkRef[] = []
  readonly #owners = new Owners()
  readonly #retired = new Retired()
  #promise: RetentionPromise | undefined
  #proof: RecoveryProof | undefined
  readonly #recipientSets: (readonly string[])[] = []

  /** The last event folded. */
  get sequence(): number {
    return this.#sequence
  }

  /** The shipper that may archive. */
  get owner(): OwnerRef | undefined {
    return this.#owners.current
  }

  /** Whom new objects are encrypted to; nobody in a clear archive. */
  get recipients(): readonly string[] {
    return this.#recipientSets.at(-1) ?? []
  }

  /** All that `recipients` ever was: each encrypted object was written to one of these. */
  get recipientSets(): readonly (readonly string[])[] {
    return this.#recipientSets
  }

  timeline(number: number): TimelineInfo | undefined {
    return this.#timelines.get(number)
  }

  /** The highest number taken; 0 when there is none. */
  get newestTimeline(): number {
    return [...this.#timelines.keys()].reduce((a, b) => Math.max(a, b), 0)
  }

  segment(timeline: number, segmentNumber: number): SegmentRef | undefined {
    return this.#segments.get(keyOf(timeline, segmentNumber))
  }

  /** The segments of a timeline, ascending. */
  segmentsOf(timeline: number): readonly SegmentRef[] {
    return [...this.#segments.values()].filter((segment) => segment.timeline === timeline).toSorted(bySegment)
  }

  backup(label: string): BackupRef | undefined {
    return this.#backups.get(label)
  }

  /** The newest backup whose objects a new one may refer to: whoever can read new objects can read those. */
  get newestReferable(): string | undefined {
    return [...this.#referable].at(-1)
  }

  get promise(): RetentionPromise | undefined {
    return this.#promise
  }

  /** The newest rehearsed recovery. */
  get proof(): RecoveryProof | undefined {
    return this.#proof
  }

  /** What retention has let go. */
  get retired(): Pick<Retired, 'hasBackup' | 'hasSegment' | 'newestSegment' | 'unfinished'> {
    return this.#retired
  }

  delta(name: string): DeltaRef | undefined {
    return this.#deltas.delta(name)
  }

  /** Whether a delta of this name went with a segment of its run. */
  isDeltaRetired(name: string): boolean {
    return this.#deltas.isRetired(name)
  }

  hasMark(mark: MarkRef): boolean {
    return this.#marks.some((known) => known.timeline === mark.timeline && known.lsn === mark.lsn)
  }

  /** Why an event cannot come next; `undefined` when it can. Asked before an event is written and when one is read. */
  problem(event: CatalogueEvent): string | undefined {
    switch (event.type) {
      case 'timeline.begun':
        return this.#timelines.has(event.timeline) ? 'a timeline began twice' : undefined
      case 'timeline.ended':
        if (this.isFenced(event)) return 'an owner that lost the archive went on'
        if (this.owner?.timeline !== event.timeline) return 'an owner ended the timeline of another'
        // A number above all others is a new one.
        return event.successor > this.newestTimeline ? undefined : 'a timeline began twice'
      case 'owner.claimed':
        if (!this.#timelines.has(event.timeline)) return 'a claim on an unknown timeline'
        if (this.timeline(event.timeline)?.ended) return 'a claim on a timeline that has ended'
        if (this.#retired.hasTimeline(event.timeline)) return 'a claim on a timeline that retention let go'
        return event.epoch === (this.owner?.epoch ?? 0) + 1 ? undefined : 'an owner took no new epoch'
      case 'owner.adopted':
      case 'mark.noted':
        return this.isFenced(event) ? 'an owner that lost the archive went on' : undefined
      case 'segment.archived':
        if (this.isFenced(event)) return 'an owner that lost the archive went on'
        return this.#segmentProblem(event.segment)
      case 'backup.added':
        return this.#backupProblem(event.backup)
      case 'retention.decided':
        return this.#decisionProblem(event.decision)
      case 'retention.finished':
        return event.throughSequence <= this.#sequence
          ? undefined
          : 'retention finished what is still to come'
      case 'delta.added':
        return this.#deltas.problem(event.delta)
      case 'promise.made':
      case 'recovery.proved':
      case 'recipients.set':
      case 'delta.declined':
      case 'delta.removed':
        return undefined
    }
  }

  /** Whether an event is of an owner that is not the present one. */
  isFenced(event: CatalogueEvent): boolean {
    return 'epoch' in event && event.type !== 'owner.claimed' && this.owner?.epoch !== event.epoch
  }

  /** Folds the next event. @throws ARCHIVE_JOURNAL_DAMAGED when one was left out or contradicts those before it */
  apply({ sequence, atUs, event }: JournalEntry): void {
    const problem = sequence === this.#sequence + 1 ? this.problem(event) : 'an event is missing'
    if (problem !== undefined) {
      throw archiveError('ARCHIVE_JOURNAL_DAMAGED', problem, { details: { sequence: this.#sequence + 1 } })
    }
    switch (event.type) {
      case 'timeline.begun':
        this.#timelines.set(event.timeline, {
          timeline: event.timeline,
          ...(event.parent === undefined ? {} : { parent: event.parent, forkLsn: event.forkLsn }),
          begunAtUs: atUs,
        })
        break
      case 'timeline.ended':
        this.#succeed(event, atUs)
        break
      case 'owner.claimed': {
        const { type: _, ...owner } = event
        this.#owners.claim({ ...owner, claimedAtUs: atUs })
        break
      }
      case 'owner.adopted':
        this.#owners.adopt(event)
        break
      case 'segment.archived':
        this.#segments.set(keyOf(event.segment.timeline, event.segment.segmentNumber), event.segment)
        break
      case 'mark.noted':
        this.#marks.push(event.mark)
        break
      case 'backup.added':
        this.#backups.set(event.backup.label, event.backup)
        this.#referable.add(event.backup.label)
        break
      case 'promise.made':
        this.#promise = event.promise
        break
      case 'retention.decided':
        this.#letGo(event.decision, sequence)
        break
      case 'retention.finished':
        this.#retired.finish(event.throughSequence)
        break
      case 'recovery.proved':
        this.#proof = event.proof
        break
      case 'recipients.set':
        this.#recipientSets.push(event.recipients)
        this.#referable.clear()
        break
      case 'delta.added':
        this.#deltas.add(event.delta)
        break
      case 'delta.declined':
        this.#deltas.decline(event.declined)
        break
      case 'delta.removed':
        this.#deltas.remove(event.name)
        break
    }
    this.#sequence = sequence
  }

  /** The catalogue with the pieces of a listing that began before the last event was read. */
  catalogue(identity: ArchiveIdentity, listed: readonly PieceRef[]): Catalogue {
    const segments = [...this.#segments.values()].toSorted(bySegment)
    const pieces = this.countedPieces(listed).filter(
      ({ timeline, segmentNumber }) =>
        this.segment(timeline, segmentNumber) === undefined &&
        !this.#retired.hasSegment(timeline, segmentNumber),
    )
    return {
      identity,
      sequence: this.#sequence,
      timelines: [...this.#timelines.values()].toSorted((a, b) => a.timeline - b.timeline),
      segments,
      pieces,
      deltas: this.#deltas.deltas(),
      declinedDeltas: this.#deltas.declined(),
      backups: [...this.#backups.values()].toSorted((a, b) => (a.label < b.label ? -1 : 1)),
      marks: this.#reachableMarks(segments, pieces),
      ...(this.owner === undefined ? {} : { owner: this.owner }),
      ...(this.#promise === undefined ? {} : { promise: this.#promise }),
      ...(this.#proof === undefined ? {} : { proof: this.#proof }),
      ...(this.#retired.timelines.length === 0 ? {} : { retiredTimelines: this.#retired.timelines }),
      ...(this.recipients.length === 0 ? {} : { recipients: this.recipients }),
    }
  }

  /** Pieces that count, ascending: FORMAT.md#segments-and-pieces. */
  countedPieces(listed: readonly PieceRef[]): readonly PieceRef[] {
    return this.#owners.countedPieces(listed)
  }

  /** One event does both, so that nobody ever sees a timeline ended without the one that goes on, or the other way round. */
  #succeed(
    { timeline, lsn, successor }: CatalogueEvent & { readonly type: 'timeline.ended' },
    atUs: number,
  ): void {
    const [owner, parent] = [this.owner, this.#timelines.get(timeline)]
    // v8 ignore next -- `problem` has looked
    if (owner === undefined || parent === undefined) return
    const ended = { lsn, successor, ownerId: owner.ownerId, endedAtUs: atUs }
    this.#timelines.set(timeline, { ...parent, ended })
    this.#timelines.set(successor, { timeline: successor, parent: timeline, forkLsn: lsn, begunAtUs: atUs })
    this.#owners.goOver(successor, atUs)
  }

  #letGo(decision: RetentionDecision, sequence: number): void {
    this.#retired.decide(decision, sequence)
    for (const label of decision.backups) {
      this.#backups.delete(label)
      this.#referable.delete(label)
    }
    for (const [key, segment] of this.#segments) {
      const { timeline, segmentNumber } = segment
      if (!this.#retired.hasSegment(timeline, segmentNumber)) continue
      this.#deltas.forget(segment)
      this.#segments.delete(key)
    }
  }

  /** Nobody may let go what the shipper at work builds on. */
  #decisionProblem({ backups, segments, timelines }: RetentionDecision): string | undefined {
    if (backups.some((label) => !this.#backups.has(label))) return 'retention let an unknown backup go'
    const staying = [...this.#backups.values()].filter(({ label }) => !backups.includes(label))
    if (staying.some(({ references = [] }) => references.some((label) => backups.includes(label)))) {
      return 'retention let a backup go whose objects another one names'
    }
    if (timelines.some((timeline) => !this.#timelines.has(timeline))) {
      return 'retention let an unknown timeline go'
    }
    if (this.owner !== undefined && timelines.includes(this.owner.timeline)) {
      return 'retention let the timeline go that is shipped'
    }
    const isArchived = ({ timeline, fromSegment, throughSegment }: SegmentRange): boolean =>
      this.segment(timeline, fromSegment) !== undefined &&
      this.segment(timeline, throughSegment) !== undefined
    return segments.every(isArchived) ? undefined : 'retention let a segment go that is not archived'
  }

  /** What a backup refers to must be here, and stay here from this event on: otherwise retention could take it meanwhile. */
  #backupProblem({ label, references = [] }: BackupRef): string | undefined {
    if (this.#backups.has(label) || this.#retired.hasBackup(label)) return 'a backup was added twice'
    return references.every((each) => this.#referable.has(each))
      ? undefined
      : 'a backup names objects of one that retention let go, or that its readers cannot open'
  }

  #segmentProblem(segment: SegmentRef): string | undefined {
    if (!this.#timelines.has(segment.timeline)) return 'a segment of an unknown timeline'
    if (this.#retired.hasSegment(segment.timeline, segment.segmentNumber)) {
      return 'a segment came back that retention let go'
    }
    const known = this.segment(segment.timeline, segment.segmentNumber)
    return known === undefined || known.sha256 === segment.sha256 ? undefined : 'a segment has two contents'
  }

  /** Marks of what is really there: a mark is noted before its piece is put. */
  #reachableMarks(segments: readonly SegmentRef[], pieces: readonly PieceRef[]): readonly MarkRef[] {
    const held = this.#marks.filter((mark) =>
      pieces.some((p) => p.timeline === mark.timeline && p.firstLsn <= mark.lsn && mark.lsn <= p.lastLsn),
    )
    const sealed = segments.flatMap(({ timeline, marks }) => marks.map((mark) => ({ timeline, ...mark })))
    const unique = new Map([...held, ...sealed].map((mark) => [keyOf(mark.timeline, mark.lsn), mark]))
    return [...unique.values()].toSorted((a, b) => a.timeline - b.timeline || a.lsn - b.lsn)
  }
}

function keyOf(timeline: number, number: number): string {
  return `${timeline}/${number}`
}
