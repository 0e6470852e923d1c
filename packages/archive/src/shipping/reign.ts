// Fencing. Whoever claims a new epoch in the journal owns the archive; the one before finds the claim at its next step, because
// it looks at the next place in the journal after each put, before it where that makes a new object, and cannot append where the claim already stands.
// What it had under way at that moment never counts: pieces of its epoch count only as far as the new owner adopted them, and
// a segment counts only by an event that it cannot append any more.
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { Archive } from '../archive.ts'
import type { CatalogueFold } from '../catalogue/catalogue-fold.ts'
import { archiveError } from '../errors.ts'

/** The right to archive, for as long as nobody claims it anew. */
export class Reign {
  readonly epoch: number
  readonly #archive: Archive

  constructor(archive: Archive, epoch: number) {
    this.#archive = archive
    this.epoch = epoch
  }

  /** The newest state of the journal. @throws ARCHIVE_FENCED when another shipper owns the archive */
  async check(): Promise<CatalogueFold> {
    const fold = await this.#archive.journal.refresh()
    const { owner } = fold
    if (owner?.epoch === this.epoch) return fold
    throw archiveError('ARCHIVE_FENCED', 'another shipper owns the archive', {
      details: {
        url: this.#archive.store.url,
        epoch: this.epoch,
        owner: owner?.description,
        ownerEpoch: owner?.epoch,
      },
    })
  }
}

/** Who claims, for people and for telling a claim of unknown outcome from another's. */
export interface Claimant {
  readonly ownerId: string
  readonly description: string
}

/** Somebody who may claim, unlike anybody else. */
export function newClaimant(name: string): Claimant {
  return {
    ownerId: randomBytes(16).toString('hex'),
    description: `${name} on ${hostname()} pid ${process.pid}`,
  }
}

/** @throws ARCHIVE_TIMELINE_ENDED when a promotion ended the timeline: its successor is written elsewhere */
export function refuseEnded(fold: CatalogueFold, timeline: number): void {
  const ended = fold.timeline(timeline)?.ended
  if (ended === undefined) return
  const { lsn, successor } = ended
  throw archiveError('ARCHIVE_TIMELINE_ENDED', 'the timeline has ended: a standby of it was promoted', {
    details: { timeline, endedAfterLsn: lsn, successor },
  })
}

/** Takes the archive over. Safe to repeat with the same claimant after an error. */
export async function claimReign(archive: Archive, claimant: Claimant, timeline: number): Promise<Reign> {
  await archive.journal.append((fold) => {
    refuseEnded(fold, timeline)
    if (fold.owner?.ownerId === claimant.ownerId) return undefined
    return { type: 'owner.claimed', epoch: (fold.owner?.epoch ?? 0) + 1, ...claimant, timeline }
  })
  const { owner } = archive.journal.fold
  if (owner?.ownerId === claimant.ownerId) return new Reign(archive, owner.epoch)
  throw archiveError('ARCHIVE_FENCED', 'another shipper claimed the archive in the same moment', {
    details: { url: archive.store.url, owner: owner?.description },
  })
}
