// What enough archives hold, by their confirmations in the log folder.
import { readConfirmationOf, writeConfirmation } from '@timberline/wal'
import type { Confirmation, FileSystem } from '@timberline/wal'

/** Which archives of which log. */
export interface QuorumScope {
  readonly logDirectory: string
  readonly fileSystem: FileSystem
  readonly timeline: number
  readonly archives: readonly string[]
  readonly atLeast: number
}

/** Reads how far enough archives hold a log. */
export class ArchiveQuorum {
  readonly #scope: QuorumScope
  /**
   * Confirmations that were ahead of the log when it was opened, by name. They speak of another log: the home was copied back
   * from an older state, and the records that they name are not the ones that come now. Only a newer word counts.
   */
  readonly #foreign: ReadonlyMap<string, Confirmation>

  /** Use `openArchiveQuorum`. */
  constructor(scope: QuorumScope, foreign: ReadonlyMap<string, Confirmation>) {
    this.#scope = scope
    this.#foreign = foreign
  }

  /** Every record up to this one is held by enough archives; 0 is none. @throws WAL_CONFIRMATION_DAMAGED */
  async read(): Promise<number> {
    const lsns: number[] = []
    for (const confirmation of await confirmationsOf(this.#scope)) {
      if (!this.#isForeign(confirmation)) lsns.push(confirmation.lsn)
    }
    return lsns.toSorted((a, b) => b - a)[this.#scope.atLeast - 1] ?? 0
  }

  #isForeign({ name, lsn, timeline, confirmedAtMs }: Confirmation): boolean {
    if (timeline !== this.#scope.timeline) return true
    const foreign = this.#foreign.get(name)
    return foreign?.lsn === lsn && foreign.confirmedAtMs === confirmedAtMs
  }
}

/**
 * From now on the home keeps the log that a named archive lacks, also when no shipper ever ran for it.
 *
 * @param lastLsn - the end of the log as it was opened
 */
export async function openArchiveQuorum(scope: QuorumScope, lastLsn: number): Promise<ArchiveQuorum> {
  const { logDirectory, fileSystem, timeline, archives } = scope
  const found = await confirmationsOf(scope)
  const known = new Set(found.flatMap((one) => (one.timeline === timeline ? [one.name] : [])))
  for (const name of archives) {
    const nothing = { segmentNumber: 0, lsn: 0, timeline }
    if (!known.has(name)) await writeConfirmation(logDirectory, name, nothing, fileSystem)
  }
  const ahead = found.filter(({ lsn }) => lsn > lastLsn)
  return new ArchiveQuorum(scope, new Map(ahead.map((confirmation) => [confirmation.name, confirmation])))
}

async function confirmationsOf({
  logDirectory,
  archives,
  fileSystem,
}: QuorumScope): Promise<readonly Confirmation[]> {
  const found = await Promise.all(archives.map((name) => readConfirmationOf(logDirectory, name, fileSystem)))
  return found.filter((confirmation) => confirmation !== undefined)
}
