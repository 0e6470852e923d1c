import type { TimberlineError } from '@timberline/wal'

/** The parts of a shipper's work that are tried again each on its own. */
export type ShipperWork = 'open' | 'begin' | 'follow' | 'piece' | 'merge' | 'segment' | 'heartbeat'

/** What a shipper did, told after it was durable in the archive. */
export type ShipperEvent =
  /** The shipper owns the archive from now on and goes on at this place. */
  | {
      readonly type: 'ship.began'
      readonly epoch: number
      readonly timeline: number
      readonly segmentNumber: number
      readonly position: number
      readonly lsn: number
    }
  | {
      readonly type: 'piece.shipped'
      readonly segmentNumber: number
      readonly position: number
      readonly endPosition: number
      readonly lsn: number
      readonly storedBytes: number
      readonly durationMs: number
    }
  | { readonly type: 'segment.uploading'; readonly segmentNumber: number }
  | {
      readonly type: 'segment.archived'
      readonly segmentNumber: number
      readonly lsn: number
      readonly bytes: number
      readonly storedBytes: number
      readonly durationMs: number
    }
  /** One piece took the place of `count` shorter ones. */
  | {
      readonly type: 'pieces.merged'
      readonly segmentNumber: number
      readonly position: number
      readonly endPosition: number
      readonly count: number
      readonly storedBytes: number
    }
  /** Pieces that a whole segment replaces were removed. */
  | { readonly type: 'pieces.removed'; readonly segmentNumber: number; readonly count: number }
  /** Log between the archive's end and the log's beginning is in neither: instants in it cannot be recovered. */
  | { readonly type: 'log.lost'; readonly fromSegment: number; readonly throughSegment: number }
  /** A try failed for a reason that may pass; the next one comes after `delayMs`. */
  | {
      readonly type: 'ship.retried'
      readonly work: ShipperWork
      readonly tries: number
      readonly delayMs: number
      readonly error: TimberlineError
    }
  | { readonly type: 'ship.ended' }
