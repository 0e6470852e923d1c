/** What was promised at a moment of a history, for whoever looks at what the power left. */
import type { Line } from './history-line.ts'

/** A hot backup that was made, and the prefix that its manifest names. */
export interface MadeBackup {
  readonly line: Line
  readonly endLsn: number
  readonly baseLsn: number
  /** Its name in the archive, or its folder. */
  readonly label: string
  readonly folder: string | undefined
}

/** What the archive must hold of a line. */
export interface Shipped {
  readonly line: Line
  /** Where the archive begins on it. */
  readonly fromLsn: number
  readonly lsn: number
  /** What lies before is being let go, and may still be there. */
  readonly isRetaining: boolean
}

/** What the disk must hold, should the power fail now. */
export interface Promised {
  readonly home: string
  readonly line: Line
  readonly acknowledgedLsn: number
  readonly shipped: readonly Shipped[]
  readonly backups: readonly MadeBackup[]
  /** A folder into which a restore is under way, and the line that it leads to, once that is known. */
  readonly restoring: { readonly home: string; readonly line: () => Line } | undefined
  /** The folder of a standby. */
  readonly standby: string | undefined
  readonly isPromoting: boolean
  /** A shipper is at work, so what an archive holds of its last life may be undecided. */
  readonly isShipping: boolean
}
