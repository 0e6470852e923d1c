import type { PlantedBug } from './planted-bug.ts'

const shipper = 'packages/archive/test/shipper.test.ts'
const order = 'packages/archive/test/shipping-order.test.ts'
const shipping = 'packages/archive/src/shipping/shipper.ts'

/** Mistakes on the way into an archive: what is entered, confirmed and removed in which order, and by whom. */
export const archiveBugs: readonly PlantedBug[] = [
  {
    name: 'archived-before-sealed',
    what: 'a segment is archived as a whole while it is still being written',
    file: 'packages/archive/src/shipping/backlog.ts',
    edits: [{ find: 'if (!row.isSealed || (row.piecedPosition > 0', replace: 'if ((row.piecedPosition > 0' }],
    caughtBy: { testFile: shipper, title: 'ships the active segment as pieces' },
  },
  {
    name: 'confirmed-before-uploaded',
    what: 'the home is told that a segment is archived before it has been uploaded',
    file: shipping,
    edits: [
      {
        find: 'const { segment } = await archiveSegment(',
        replace: `backlog.segmentArchived(segmentNumber, 0)
    await this.#report.report(backlog)
    const { segment } = await archiveSegment(`,
      },
    ],
    caughtBy: {
      testFile: order,
      title: 'stores a segment, then enters it, then confirms it, and only then removes its pieces',
    },
  },
  {
    name: 'confirms-what-is-only-in-the-log',
    what: 'the home is told that the archive holds every record that is durable in the log',
    file: 'packages/archive/src/shipping/home-report.ts',
    edits: [
      {
        find: 'archivedSegment: segmentNumber, shippedLsn: lsn',
        replace: 'archivedSegment: segmentNumber, durableLsn: lsn',
      },
    ],
    caughtBy: {
      testFile: order,
      title: 'confirms only records that the archive has, though the log goes on under each upload',
    },
  },
  {
    name: 'pieces-removed-before-the-segment-is-entered',
    what: 'pieces are removed before the segment that replaces them is in the catalogue',
    file: shipping,
    edits: [
      {
        find: 'const { segment } = await archiveSegment(',
        replace: `await removePieces(shipment, pieces.get(segmentNumber) ?? [])
    const { segment } = await archiveSegment(`,
      },
    ],
    caughtBy: {
      testFile: order,
      title: 'stores a segment, then enters it, then confirms it, and only then removes its pieces',
    },
  },
  {
    name: 'pieces-removed-before-the-merged-one-stands',
    what: 'short pieces are removed before the longer one that replaces them is stored',
    file: 'packages/archive/src/shipping/ship-merge.ts',
    edits: [
      {
        find: 'const { storedBytes } = await archive.putObject(name, content)',
        replace: `await removePieces(shipment, run)
  const { storedBytes } = await archive.putObject(name, content)`,
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/piece-merge.test.ts',
      title: 'holds every record at each moment of a merge, and leaves nothing over after a crash',
    },
  },
  {
    name: 'epoch-not-checked-before-an-upload',
    what: 'a shipper that lost the archive to a newer one puts further pieces',
    file: 'packages/archive/src/shipping/reign.ts',
    edits: [
      {
        find: 'if (owner?.epoch === this.epoch) return fold',
        replace: 'if (fold.sequence >= 0) return fold',
      },
    ],
    caughtBy: {
      testFile: order,
      title: 'refuses to ship on once the archive has a newer owner, and says so to whoever waits',
    },
  },
  {
    name: 'epoch-not-checked-by-the-journal',
    what: 'the journal takes an event of a shipper that lost the archive',
    file: 'packages/archive/src/catalogue/catalogue-fold.ts',
    edits: [
      {
        find: "return 'epoch' in event && event.type !== 'owner.claimed' && this.owner?.epoch !== event.epoch",
        replace: "return 'epoch' in event && event.epoch < 0",
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/catalogue.test.ts',
      title: 'refuses an event that contradicts it before anything is written',
    },
  },
  {
    name: 'wrong-timeline-in-a-shipped-piece',
    what: 'a piece is stored under the first timeline, whichever it belongs to',
    file: 'packages/archive/src/shipping/ship-piece.ts',
    edits: [{ find: 'pieceName({ timeline: identity.timeline,', replace: 'pieceName({ timeline: 1,' }],
    caughtBy: { testFile: order, title: 'puts pieces and segments under the timeline that they belong to' },
  },
  {
    name: 'piece-of-a-lost-shipper-counts',
    what: 'a piece that a shipper put after it had lost the archive counts',
    file: 'packages/archive/src/catalogue/owners.ts',
    edits: [
      {
        find: 'later(piece).every(({ adopted }) => adopted === undefined || reaches(adopted, piece))',
        replace: 'later(piece).every(({ adopted }) => adopted === undefined || piece.epoch > 0)',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/catalogue.test.ts',
      title: 'pieces in the catalogue count as far as the owners after them adopted',
    },
  },
  {
    name: 'wrong-timeline-in-a-shipped-segment',
    what: 'a segment is stored under the first timeline, whichever it belongs to',
    file: 'packages/archive/src/shipping/ship-segment.ts',
    edits: [
      {
        find: 'segmentObjectName({ timeline: identity.timeline, segmentNumber',
        replace: 'segmentObjectName({ timeline: 1, segmentNumber',
      },
    ],
    caughtBy: { testFile: order, title: 'puts pieces and segments under the timeline that they belong to' },
  },
  {
    name: 'upload-not-read-back',
    what: 'what the store gives back is not compared with what it was given',
    file: 'packages/archive/src/objects/object-shelf.ts',
    edits: [{ find: 'if (verify) await this.#verify(name, sent, outcome)', replace: '' }],
    caughtBy: {
      testFile: 'packages/archive/test/object.test.ts',
      title: 'that the store gives back otherwise are refused and not left behind',
    },
  },
  {
    name: 'put-overwrites',
    what: 'an object is put in the place of another one of the same name',
    file: 'packages/archive/src/stores/directory-store.ts',
    edits: [
      {
        find: 'await this.#fileSystem.link(temporary, path)',
        replace: 'await this.#fileSystem.rename(temporary, path)',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/store-conformance.test.ts',
      title: 'in a directory of the simulated disk',
    },
  },
  {
    name: 'no-folder-fsync-for-an-object',
    what: 'an object counts as stored before its name is durable',
    file: 'packages/archive/src/stores/directory-store.ts',
    edits: [
      { find: '    await this.#fileSystem.syncDirectory(dirname(path))\n    return', replace: '    return' },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/directory-store.test.ts',
      title: 'has an object whole or not at all, and for good once put has resolved (posix)',
    },
  },
  {
    name: 'object-named-before-it-is-durable',
    what: 'an object gets its name before its content is on the device',
    file: 'packages/archive/src/stores/directory-store.ts',
    edits: [{ find: 'before it gets its name.\n      await handle.sync()', replace: '' }],
    caughtBy: {
      testFile: 'packages/archive/test/directory-store.test.ts',
      title: 'has an object whole or not at all, and for good once put has resolved (ext4)',
    },
  },
  {
    name: 'removal-tried-for-ever',
    what: 'a temporary file that cannot be removed is tried again within the same put, without end',
    file: 'packages/archive/src/stores/directory-store.ts',
    edits: [{ find: 'const before = [...this.#left]', replace: 'const before = this.#left' }],
    caughtBy: {
      testFile: 'packages/archive/test/directory-store.test.ts',
      title: 'tries once with each put to remove what it can never remove, and puts all the same',
    },
  },
  {
    name: 'wrong-history-by-name',
    what: 'a shipper that cannot read a piece takes it for its own, whenever it was committed',
    file: 'packages/archive/src/shipping/piece-names.ts',
    edits: [{ find: '=== piece.lastCommittedAtUs', replace: '!== undefined' }],
    caughtBy: {
      testFile: 'packages/archive/test/encrypted-shipping.test.ts',
      title: 'is refused by the pieces of a copy of its home that went another way',
    },
  },
  {
    name: 'manifest-in-the-clear',
    what: 'the boundary keys in the manifest of a backup are not encrypted',
    file: 'packages/archive/src/catalogue/archive-entries.ts',
    edits: [{ find: 'archive.putBare(', replace: 'archive.store.put(' }],
    caughtBy: {
      testFile: 'packages/archive/test/encryption.test.ts',
      title: 'hides the manifest of a backup, whose boundary keys are the user’s',
    },
  },
  {
    name: 'recipients-of-the-beginning',
    what: 'after a rotation objects are still encrypted to the first recipients',
    file: 'packages/archive/src/catalogue/catalogue-fold.ts',
    edits: [{ find: 'this.#recipientSets.at(-1)', replace: 'this.#recipientSets.at(0)' }],
    caughtBy: {
      testFile: 'packages/archive/test/encryption.test.ts',
      title: 'encrypts to the new recipients after a rotation, and to nobody else',
    },
  },
  {
    name: 'opened-before-all-are-held',
    what: 'an archive of several is opened before the log is held for the others',
    file: 'packages/archive/src/shipping/shipper-fleet.ts',
    edits: [{ find: 'held.then(() => hold)', replace: 'hold' }],
    caughtBy: {
      testFile: 'packages/archive/test/shipper-fleet.test.ts',
      title: 'holds the log for every archive before it opens one',
    },
  },
  {
    name: 'retired-timeline-claimed',
    what: 'a home of a timeline that was let go ships again, into numbers whose objects are being deleted',
    file: 'packages/archive/src/catalogue/catalogue-fold.ts',
    edits: [
      {
        find: 'if (this.#retired.hasTimeline(event.timeline)) return',
        replace: 'if (this.#retired.hasTimeline(-event.timeline)) return',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/retention.test.ts',
      title: 'a timeline that retention let go cannot be claimed, whoever asks',
    },
  },
  {
    name: 'looked-at-before-it-is-kept',
    what: 'a shipper goes by log that the home may still remove',
    file: 'packages/archive/src/shipping/ship-begin.ts',
    edits: [
      {
        find: '  await holdLogFor({ logDirectory, name, timeline: identity.timeline, fileSystem })\n',
        replace: '',
      },
    ],
    caughtBy: {
      testFile: 'packages/archive/test/shipping-order.test.ts',
      title: 'goes on behind log that its home removes right before it keeps the rest',
    },
  },
  {
    name: 'hole-in-pieces-taken-for-held',
    what: 'a shipper that begins takes pieces behind a missing one for held, and never puts that again',
    file: 'packages/archive/src/shipping/ship-survey.ts',
    edits: [{ find: 'if (piece.position !== endPosition) break', replace: '' }],
    caughtBy: {
      testFile: shipper,
      title: 'puts one in the middle of its pieces again when it is gone, whatever comes behind it',
    },
  },
]
