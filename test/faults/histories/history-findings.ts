/**
 * What is found on a disk: when a home is opened, an archive read, a backup verified, a recovery made. It depends on the bytes alone, so it
 * is looked for once for each content of the folders that it is read from; whether it is what was promised, is decided every time.
 *
 * LevelDB's own log does not count as content: it is removed before it could be read (I3), which the histories of power loss under
 * LevelDB try with every way in which it may be damaged.
 */
import assert from 'node:assert/strict'
import { directoryStore, openArchive, streamSource, type Archive } from '@timberline/archive'
import { homeLayout, TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import { verifyBackup } from '@timberline/hotbackup'
import { recover, type RecoveryFrom, type Target } from '@timberline/recovery'
import { decodeSegment, readConfirmations, readLog, TimberlineError, type LogRecord } from '@timberline/wal'
import { digestOf, type Change, type Content } from '../power-loss/content.ts'
import type { FoundDisk, Outcome } from './history-disk.ts'
import { changesOf } from './history-line.ts'
import { follow, promoteIt, type FollowedState, type Promoted, type Refusal } from './history-standby.ts'

/** More than the states of one history; what is older comes back only by accident. */
const KEPT_MAX = 4000

/** A home, opened. */
export interface FoundHome {
  readonly lsn: number
  readonly content: Content
  readonly digest: string
}

/** What the log of a home says was confirmed. */
export type Confirmed = Awaited<ReturnType<typeof readConfirmations>>

/** What an archive holds of one line. */
export interface FoundLine {
  /** In the order of segments, then of pieces. */
  readonly records: readonly FoundRecord[]
  readonly marks: readonly (readonly [name: string, lsn: number])[]
}

export interface FoundRecord {
  readonly lsn: number
  readonly changes: readonly Change[]
}

/** A recovery that was made, for real. */
export interface FoundRecovery {
  readonly lsn: number
  readonly digest: string | undefined
}

/** A standby that was promoted, for real, with what its home holds. */
export interface FoundPromotion extends Promoted {
  readonly content: Content
}

export interface RecoveryWork {
  readonly label: string
  /** The backup's folder, unless it is in the archive. */
  readonly folder: string | undefined
  readonly timeline: number
  readonly target: Target
}

/** How often something had to be looked for. */
export interface FindingCounts {
  /** Homes opened. */
  states: number
  /** Archives and backups read. */
  copies: number
  recoveries: number
}

export class Findings {
  readonly counts: FindingCounts
  readonly #known = new Map<string, Promise<unknown>>()

  constructor(counts: FindingCounts) {
    this.counts = counts
  }

  /** The home as the next start finds it. */
  home(look: Look, home: string): Promise<FoundHome> {
    return this.#find(`home ${home} ${look.fingerprintOf(home)}`, () => {
      this.counts.states += 1
      return look.at([home], (found) => openHome(found, home))
    })
  }

  /** What the archive confirmed to a home. */
  confirmations(look: Look, home: string): Promise<Confirmed> {
    return this.#find(`confirmations ${home} ${look.fingerprintOf(`${home}/log`)}`, () =>
      look.at([`${home}/log`], async ({ root, fileSystem }) => {
        const { logDirectory } = homeLayout(`${root}/${home}`)
        if ((await fileSystem.status(logDirectory)) === undefined) return []
        return readConfirmations(logDirectory, fileSystem)
      }),
    )
  }

  /** The kinds of the records of a home's log from an LSN on. */
  kinds(look: Look, home: string, fromLsn: number): Promise<readonly LogRecord['kind'][]> {
    return look.at([home], async ({ root, fileSystem }) => {
      const { logDirectory: directory } = homeLayout(`${root}/${home}`)
      const kinds: LogRecord['kind'][] = []
      for await (const group of readLog({ directory, fromLsn, fileSystem })) {
        kinds.push(...group.map(({ kind }) => kind))
      }
      return kinds
    })
  }

  /** The home into which a restore was under way: its content, or the code with which it refuses to open. */
  restoring(look: Look, home: string): Promise<Content | string> {
    return this.#find(`restoring ${home} ${look.fingerprintOf(home)}`, () => {
      this.counts.states += 1
      return look.at([home], (found) => openRestoring(found, home))
    })
  }

  /** What the archive holds of a line; `undefined` without an archive. */
  line(look: Look, timeline: number): Promise<FoundLine | undefined> {
    return this.#find(`line ${String(timeline)} ${look.fingerprintOf('archive')}`, () =>
      look.at(['archive'], async (found) => {
        const archive = await archiveIn(found)
        this.counts.copies += archive === undefined ? 0 : 1
        return archive === undefined ? undefined : readLine(archive, timeline)
      }),
    )
  }

  /** The manifest of a backup inside the archive. */
  manifest(
    look: Look,
    label: string,
  ): Promise<{ readonly endLsn: number; readonly digest: string | undefined }> {
    return this.#find(`manifest ${label} ${look.fingerprintOf('archive')}`, () =>
      look.at(['archive'], async (found) => {
        const archive = await archiveIn(found)
        assert.ok(archive)
        const { endLsn, digest } = await archive.backupManifest(label)
        return { endLsn, digest: digest?.hex }
      }),
    )
  }

  /** What is wrong with a backup in a folder. */
  backup(look: Look, folder: string): Promise<readonly unknown[]> {
    return this.#find(`backup ${folder} ${look.fingerprintOf(folder)}`, () => {
      this.counts.copies += 1
      return look.at([folder], ({ root, fileSystem }) => verifyBackup(`${root}/${folder}`, { fileSystem }))
    })
  }

  /** What a standby shows, once it has all that the archive holds; or the code with which it is refused. */
  standby(look: Look, name: string): Promise<FollowedState | Refusal> {
    const fingerprints = `${look.fingerprintOf(name)} ${look.fingerprintOf('archive')}`
    return this.#find(`standby ${name} ${fingerprints}`, () => {
      this.counts.states += 1
      return look.at(['archive', name], (found) => follow(found, name))
    })
  }

  /** What becomes of a standby that is promoted now, whatever was begun before. */
  promotion(look: Look, name: string): Promise<FoundPromotion | Refusal> {
    const fingerprints = `${look.fingerprintOf(name)} ${look.fingerprintOf('archive')}`
    return this.#find(`promotion ${name} ${fingerprints}`, () => {
      this.counts.states += 1
      return look.at(['archive', name], async (found) => {
        const promoted = await promoteIt(found, name)
        if (typeof promoted === 'string') return promoted
        return { ...promoted, content: (await openHome(found, name)).content }
      })
    })
  }

  /** Resolves with the code, where it was refused. */
  recovery(look: Look, work: RecoveryWork): Promise<FoundRecovery | Refusal> {
    const copies = work.folder === undefined ? ['archive'] : ['archive', work.folder]
    const fingerprints = copies.map((name) => look.fingerprintOf(name)).join(' ')
    return this.#find(`recovery ${fingerprints} ${JSON.stringify(work)}`, () => {
      this.counts.recoveries += 1
      return look.at(copies, (found) => recoverFrom(found, work))
    })
  }

  #find<Found>(key: string, look: () => Promise<Found>): Promise<Found> {
    const known = this.#known.get(key) as Promise<Found> | undefined
    if (known !== undefined) return known
    const finding = look()
    this.#known.set(key, finding)
    if (this.#known.size > KEPT_MAX) this.#forgetOldest()
    return finding
  }

  #forgetOldest(): void {
    const [oldest] = this.#known.keys()
    if (oldest !== undefined) this.#known.delete(oldest)
  }
}

/** An outcome that is written out where somebody looks, and not before. */
export class Look {
  readonly fingerprintOf: (folder: string) => string
  readonly pathsIn: (folder: string) => readonly string[]
  readonly #outcome: Outcome

  constructor(outcome: Outcome) {
    this.#outcome = outcome
    this.fingerprintOf = (folder) => outcome.fingerprintOf(folder)
    this.pathsIn = (folder) => outcome.pathsIn(folder)
  }

  /** Looks at what is below some folders; what that changes, nobody else sees. */
  async at<Found>(folders: readonly string[], work: (found: FoundDisk) => Promise<Found>): Promise<Found> {
    const found = this.#outcome.look(folders)
    try {
      return await work(found)
    } finally {
      found.end()
    }
  }
}

async function openHome(found: FoundDisk, home: string): Promise<FoundHome> {
  const db = found.openDatabase(`${found.root}/${home}`)
  try {
    await db.open()
    const content = new Map(await db.iterator().all())
    const { hex } = await db.digest()
    assert.equal(hex, digestOf(content))
    const lsn = db instanceof TimberMemoryLevel ? (await db.mark('after')).lsn - 1 : lastLsnOf(db)
    return { lsn, content, digest: hex }
  } finally {
    await found.abandon(db)
  }
}

function lastLsnOf(db: TimberLevel<string, string>): number {
  const { opened } = db
  assert.ok(opened)
  assert.equal(opened.state.throughLsn, opened.log.lastLsn)
  return opened.log.lastLsn
}

async function openRestoring(found: FoundDisk, home: string): Promise<Content | string> {
  const { root, fileSystem } = found
  const db = new TimberLevel<string, string>(`${root}/${home}`, { createIfMissing: false, fileSystem })
  try {
    await db.open()
    return new Map(await db.iterator().all())
  } catch (error) {
    return codeOf(error)
  } finally {
    await db.close()
  }
}

async function readLine(archive: Archive, timeline: number): Promise<FoundLine> {
  const { environmentId } = archive.identity
  const { segments, pieces, marks } = await archive.catalogue()
  const records: FoundRecord[] = []
  const take = ({ lsn, kind, payload }: LogRecord): void => {
    records.push({ lsn, changes: kind === 'entry' ? changesOf(payload) : [] })
  }
  const expect = { environmentId, timeline }
  for (const segment of segments.filter((one) => one.timeline === timeline)) {
    const source = streamSource(archive.fetchSegment(segment), { bytes: segment.bytes, path: segment.name })
    for await (const group of decodeSegment(source, { last: false, expect })) group.forEach(take)
  }
  const own = pieces.filter((one) => one.timeline === timeline)
  for (const number of new Set(own.map((piece) => piece.segmentNumber))) {
    const chain = own.filter((piece) => piece.segmentNumber === number)
    const source = streamSource(archive.fetchPieces(chain), {
      bytes: chain.at(-1)?.endPosition ?? 0,
      path: `pieces of ${String(number)}`,
    })
    for await (const group of decodeSegment(source, { last: true, expect })) group.forEach(take)
  }
  const named = marks.filter((one) => one.timeline === timeline)
  return { records, marks: named.map(({ name, lsn }) => [name, lsn] as const) }
}

async function recoverFrom(found: FoundDisk, work: RecoveryWork): Promise<FoundRecovery | Refusal> {
  const { label, folder, timeline, target } = work
  const archive = await archiveIn(found)
  const from: RecoveryFrom = {
    ...(archive === undefined ? {} : { archive }),
    ...(folder === undefined ? {} : { backup: `${found.root}/${folder}` }),
  }
  const home = `${found.root}/recovered`
  const { fileSystem } = found
  try {
    const report = await recover({ from, home, target, timeline, base: label, scratch: true, fileSystem })
    return { lsn: report.lsn, digest: report.digest?.hex }
  } catch (error) {
    return codeOf(error)
  }
}

async function archiveIn(found: FoundDisk): Promise<Archive | undefined> {
  try {
    return await openArchive(directoryStore(`${found.root}/archive`, found.fileSystem))
  } catch (error) {
    if (codeOf(error) === 'ARCHIVE_MISSING') return undefined
    throw error
  }
}

/** The code of a typed error, or of the one that caused it; anything else is not expected. */
function codeOf(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof TimberlineError) return at.code
  throw error
}
