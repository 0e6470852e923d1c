// A shipper that writes encrypted and holds no key cannot read what it finds. A piece's name says which records it holds and when
// the last of them was committed, to the microsecond: two histories do not agree in that by chance.
import { decodeSegment, openSegmentSource, type SegmentSummary } from '@timberline/wal'
import type { PieceRef } from '../catalogue/catalogue.ts'
import type { Shipment } from './ship-survey.ts'

/** The names of pieces beside one segment of the log. */
export class PieceNames {
  readonly #shipment: Shipment
  readonly #segment: SegmentSummary
  #committedAtUs: Promise<ReadonlyMap<number, number>> | undefined

  constructor(shipment: Shipment, segment: SegmentSummary) {
    this.#shipment = shipment
    this.#segment = segment
  }

  /** Whether the last record of a piece is in the log, committed at the same instant; the piece lies within the segment. */
  async agree(piece: PieceRef): Promise<boolean> {
    if (piece.lastLsn < piece.firstLsn) return true
    this.#committedAtUs ??= this.#read()
    return (await this.#committedAtUs).get(piece.lastLsn) === piece.lastCommittedAtUs
  }

  /** One reading of the segment, however many pieces there are. */
  async #read(): Promise<ReadonlyMap<number, number>> {
    const { logDirectory, fileSystem } = this.#shipment
    const { header, sealed } = this.#segment
    const source = await openSegmentSource(logDirectory, header.segmentNumber, fileSystem)
    const committedAtUs = new Map<number, number>()
    try {
      for await (const records of decodeSegment(source, { last: !sealed })) {
        for (const record of records) committedAtUs.set(record.lsn, record.committedAtUs)
      }
    } finally {
      await source.handle.close()
    }
    return committedAtUs
  }
}
