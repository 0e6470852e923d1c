// What enough archives hold, by their words in the log folder: a quick one for those who wait, and the durable confirmation.
import { openReached, readConfirmationOf, writeConfirmation } from '@timberline/wal'
import type { Confirmation, FileSystem, ReachedFile } from '@timberline/wal'

/** Which archives of which log. */
export interface QuorumScope {
  readonly logDirectory: string
  readonly fileSystem: FileSystem
  readonly timeline: number
  readonly archives: readonly string[]
  readonly atLeast: number
}

/** While archives give quick words, confirmations are read so often, in milliseconds: for an archive that gives none. */
const CONFIRMATIONS_MS = 250

/** What an archive said, by its name. */
type Words<Word> = ReadonlyMap<string, Word>

/** Reads how far enough archives hold a log. */
export class ArchiveQuorum {
  readonly #scope: QuorumScope
  /**
   * Confirmations that were ahead of the log when it was opened, by name. They speak of another log: the home was copied back
   * from an older state, and the records that they name are not the ones that come now. Only a newer word counts.
   */
  readonly #foreign: Words<Confirmation>
  readonly #reached: Words<ReachedFile>
  #confirmed: Words<number> = new Map()
  #confirmedReadMs = Number.NEGATIVE_INFINITY
  #isQuick = false

  /** Use `openArchiveQuorum`. */
  constructor(scope: QuorumScope, foreign: Words<Confirmation>, reached: Words<ReachedFile>) {
    this.#scope = scope
    this.#foreign = foreign
    this.#reached = reached
  }

  /** Every record up to this one is held by enough archives; 0 is none. @throws WAL_CONFIRMATION_DAMAGED */
  async read(): Promise<number> {
    const quick = await this.#quickWords()
    this.#isQuick ||= this.#enough(quick) > 0
    if (!this.#isQuick || performance.now() - this.#confirmedReadMs >= CONFIRMATIONS_MS) {
      this.#confirmedReadMs = performance.now()
      const found = await confirmationsOf(this.#scope)
      const own = found.filter((confirmation) => !this.#isForeign(confirmation))
      this.#confirmed = new Map(own.map(({ name, lsn }) => [name, lsn]))
    }
    const both = this.#scope.archives.map((name): [string, number] => [
      name,
      Math.max(quick.get(name) ?? 0, this.#confirmed.get(name) ?? 0),
    ])
    return this.#enough(new Map(both))
  }

  /** Nobody waits any more. */
  async close(): Promise<void> {
    for (const file of this.#reached.values()) await file.close()
  }

  async #quickWords(): Promise<Words<number>> {
    const words = new Map<string, number>()
    for (const [name, file] of this.#reached) {
      const word = await file.read()
      if (word?.timeline === this.#scope.timeline) words.set(name, word.lsn)
    }
    return words
  }

  #enough(words: Words<number>): number {
    return [...words.values()].toSorted((a, b) => b - a)[this.#scope.atLeast - 1] ?? 0
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
  const foreign = new Map(ahead.map((confirmation) => [confirmation.name, confirmation]))
  return new ArchiveQuorum(scope, foreign, await openAllReached(scope))
}

async function openAllReached({
  logDirectory,
  archives,
  fileSystem,
}: QuorumScope): Promise<Words<ReachedFile>> {
  const reached = new Map<string, ReachedFile>()
  try {
    for (const name of archives) reached.set(name, await openReached(logDirectory, name, fileSystem))
    return reached
  } catch (error) {
    for (const file of reached.values()) await file.close()
    throw error
  }
}

async function confirmationsOf({
  logDirectory,
  archives,
  fileSystem,
}: QuorumScope): Promise<readonly Confirmation[]> {
  const found = await Promise.all(archives.map((name) => readConfirmationOf(logDirectory, name, fileSystem)))
  return found.filter((confirmation) => confirmation !== undefined)
}
