import { join } from 'node:path'
import { segmentName } from '@timberline/wal'
import type { Tail } from './backlog.ts'
import { rangeContent } from './file-range.ts'
import { hold } from './held-pieces.ts'
import { pieceName } from '../layout.ts'
import type { Reign } from './reign.ts'
import type { Voyage } from './ship-begin.ts'
import type { Shipment } from './ship-survey.ts'

/**
 * Ships durable frames of a segment as a piece. When this resolves the piece counts, whatever another shipper does next: its
 * survey comes after its claim, and there was no claim yet when the piece stood. Resolves with the object's length.
 *
 * @throws ARCHIVE_FENCED, ARCHIVE_CONFLICT
 */
export async function shipPiece(voyage: Voyage, tail: Tail): Promise<number> {
  const { shipment, reign, pieces, bundles } = voyage
  const { archive, identity, fileSystem, signal, logDirectory } = shipment
  const { timeline } = identity
  // What is appended to a bundle that is open leaves no new name; it is enough to look when it stands there.
  if (!bundles.isOpenFor(tail)) await reign.check()
  for (const { name, lsn, committedAtUs } of tail.marks) {
    const mark = { timeline, name, lsn, committedAtUs }
    // Before the piece: a mark that is noted too early is not shown, one that is noted too late could be lost.
    await archive.journal.append((fold) =>
      fold.hasMark(mark) ? undefined : { type: 'mark.noted', epoch: reign.epoch, mark },
    )
  }
  const { segmentNumber, position, endPosition } = tail
  const path = join(logDirectory, segmentName(segmentNumber))
  const range = { path, position, endPosition, handle: await voyage.segment.get(path) }
  const content = await rangeContent(fileSystem, range, signal)
  const name = nameOfTail(shipment, reign, tail)
  const bundled = content instanceof Uint8Array ? await bundles.put(name, tail, content) : undefined
  if (bundled === undefined) hold(pieces, segmentNumber, { name })
  // As in a bundle: in a folder a piece is plain until it is merged, or its segment replaces it, and gzip would take the log twice.
  const codec = archive.store.grow === undefined ? 'gzip' : 'none'
  const storedBytes = bundled ?? (await archive.putObject(name, content, { codec })).storedBytes
  await reign.check()
  return storedBytes
}

/** The name under which a tail goes. */
function nameOfTail({ identity }: Shipment, reign: Reign, tail: Tail): string {
  const { segmentNumber, position, endPosition, firstLsn, lastLsn, lastCommittedAtUs } = tail
  const place = { segmentNumber, position, endPosition, firstLsn, lastLsn, lastCommittedAtUs }
  return pieceName({ timeline: identity.timeline, ...place, epoch: reign.epoch })
}
