/**
 * The world of real files, for what the simulated disk cannot carry, because LevelDB reads and writes its own folder: checkpoints,
 * hot backups into a folder and into the archive, their updates, recoveries that begin a new timeline on which writing and
 * shipping go on. Every verb waits for its end, and shippers ship only when asked, so that a history gives the same states each time.
 */
import { type Archive, createArchive, memoryStore, runShipper, type Shipper } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel, type TimberMemoryLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { compactLog, type Target } from '@timberline/recovery'
import { listSegments, nodeFileSystem, readLog } from '@timberline/wal'
import { FaultFileSystem } from '@timberline/wal/testing'
import { join } from 'node:path'
import type { Counts } from './counts.ts'
import {
  type Change,
  contentAt,
  digestOf,
  endingOf,
  type Entry,
  isLoad,
  isPrefix,
  textOf,
} from './history-model.ts'
import * as invariants from './invariants.ts'
import { hasFaulted } from './machines.ts'
import { type Line, RealArchive } from './real-archive.ts'
import { type DrawnRetention, promise, retain, type RetentionScene } from './real-retention.ts'
import { RealStandby } from './real-standby.ts'
import { type Comparison, type DrawnTarget, recoverAndCompare, targetOf, textOfTarget } from './restoring.ts'
import { arm, entryOf, type PlannedFault } from './world.ts'
import type { Call, Ids } from './writes.ts'

/** A backup in a folder: where a recovery from it begins, and what it holds. */
interface FolderBackup {
  readonly baseLsn: number
  readonly records: readonly Entry[]
}

interface OpenHome {
  readonly db: TimberLevel
  readonly files: FaultFileSystem
}

type BackupManifest = Awaited<ReturnType<typeof hotbackup>>['manifest']

interface Shipping {
  readonly shipper: Shipper
  readonly stop: AbortController
}

export class RealWorld implements Ids {
  readonly counts: Counts
  readonly archive: Archive
  /** Every timeline that was begun, the home's last. */
  readonly #lines: Line[] = [{ timeline: 1, parent: undefined, forkLsn: 0, records: [] }]
  #held = new RealArchive()
  #promisedUs: number | undefined
  folderBackup: FolderBackup | undefined
  open: OpenHome | undefined
  shipping: Shipping | undefined
  /** How far a shipper said that the archive holds the home's timeline. */
  reportedLsn = 0
  /** Through this LSN a return of the call promised that the record is there after the end of the process. */
  writtenLsn = 0
  readonly #folder: string
  readonly #standby: RealStandby
  #home: string
  #homes = 1
  #nextId = 1

  private constructor(folder: string, archive: Archive, counts: Counts) {
    this.#folder = folder
    this.#home = join(folder, 'home-0')
    this.archive = archive
    this.counts = counts
    this.#standby = new RealStandby({ archive, counts, newHome: () => this.#newHome() })
  }

  static async begin(folder: string, counts: Counts): Promise<RealWorld> {
    // The home names its environment itself: a random id, which decides nothing.
    const db = new TimberLevel(join(folder, 'home-0'))
    await db.open()
    await db.close()
    const archive = await createArchive(memoryStore(), await readHomeIdentity(join(folder, 'home-0')))
    const world = new RealWorld(folder, archive, counts)
    await world.openHome()
    await world.beginShipping()
    return world
  }

  newId(): number {
    return this.#nextId++
  }

  get #line(): Line {
    const line = this.#lines.at(-1)
    if (line === undefined) throw new Error('a home has a timeline')
    return line
  }

  /** The path of records that ends in the home’s timeline, its ancestors’ included. */
  get records(): readonly Entry[] {
    return this.#line.records
  }

  set records(records: readonly Entry[]) {
    this.#line.records = records
  }

  get #logDirectory(): string {
    return homeLayout(this.#home).logDirectory
  }

  get #backupFolder(): string {
    return join(this.#folder, 'backup')
  }

  /** Opens the home: its log must be what the model remembers, and its state what the log says. */
  async openHome(): Promise<void> {
    const files = new FaultFileSystem(nodeFileSystem)
    const db = new TimberLevel(this.#home, {
      fileSystem: files,
      log: { segmentBytesMax: 8192, preallocateBytes: 0, segmentAgeMsMax: 0 },
      checkpoint: { checkpointBytes: 0, checkpointAgeMs: 0 },
    })
    await db.open()
    this.open = { db, files }
    await this.#settle()
  }

  /** What a stopped or failed process left: a beginning of what was called, with all that was acknowledged. */
  async #settle(): Promise<void> {
    const known = this.records.length
    // The home may have let go of what its archive has confirmed; what is gone was below a checkpoint.
    const [oldest] = await this.#segments()
    const fromLsn = Math.max(1, this.writtenLsn, oldest?.firstLsn ?? 1)
    const read = await this.#tail(fromLsn)
    // What was loaded, the log does not tell.
    const tail = read.map((entry) => (isLoad(entry) ? (this.records[entry.lsn - 1] ?? entry) : entry))
    const found = [...this.records.slice(0, fromLsn - 1), ...tail]
    const isNote = ({ kind }: Entry): boolean => kind === 'note'
    // Only the engine's own notes may have come to it.
    const isSame = isPrefix(this.records.slice(0, found.length), found) && found.slice(known).every(isNote)
    invariants.hold(isSame, 'after a crash the log must be a beginning of what it was', {
      expected: this.records.map(textOf),
      found: found.map(textOf),
    })
    invariants.acknowledgedSurvives(found, found, this.writtenLsn)
    this.records = found
    this.writtenLsn = found.length
    invariants.increases(found)
    await this.compareContent()
  }

  /** A segment that everybody has may go between the listing of the names and the look at it. */
  async #segments(): ReturnType<typeof listSegments> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await listSegments(this.#logDirectory)
      } catch (error) {
        if (invariants.codeOf(error) !== 'WAL_GAP' || tries === 5) throw error
      }
    }
  }

  async #tail(fromLsn: number): Promise<Entry[]> {
    const entries: Entry[] = []
    for await (const group of readLog({ directory: this.#logDirectory, fromLsn })) {
      entries.push(...group.map(entryOf))
    }
    return entries
  }

  /** Calls the database, all calls at once, and compares log and content with the model. */
  async write(calls: readonly Call[]): Promise<void> {
    const { open } = this
    if (open === undefined) return
    const db = open.db as unknown as TimberMemoryLevel
    const results = await Promise.allSettled(calls.map(({ run }) => run(db)))
    const before = this.records
    const planned = calls.flatMap((call) => call.planned)
    // Commit times are the machine's here, so they are learned from the log, and only their order is foretold.
    const added = await this.#tail(before.length + 1)
    const writes = added.filter(({ kind }) => kind !== 'note')
    let count = 0
    let acknowledgedCount = 0
    for (const [index, result] of results.entries()) {
      count += calls[index]?.planned.length ?? 0
      if (result.status === 'fulfilled') acknowledgedCount = count
      else if (!open.files.isCrashed) invariants.failsTyped(result.reason, 'write', hasFaulted(open.files))
      this.counts.add(result.status === 'fulfilled' ? 'calls acknowledged' : 'calls refused')
    }
    const isOne = (entry: Entry, index: number): boolean => {
      const plan = planned[index]
      return plan !== undefined && textOf({ ...entry, ...plan }) === textOf(entry)
    }
    invariants.hold(writes.every(isOne), 'the log must hold exactly the transactions that were called', {
      planned,
      found: writes.map(textOf),
    })
    invariants.hold(writes.length >= acknowledgedCount, 'an acknowledged transaction must be in the log', {
      acknowledgedCount,
      found: writes.map(textOf),
    })
    this.records = [...before, ...added]
    this.writtenLsn = writes[acknowledgedCount - 1]?.lsn ?? this.writtenLsn
    invariants.increases(this.records)
    if (hasFaulted(open.files)) await this.reopen()
    else await this.compareContent()
  }

  /** Closes and opens; after a fault closing may fail, and the next open mends. */
  async reopen(): Promise<void> {
    await this.#closeHome()
    await this.openHome()
  }

  async #closeHome(): Promise<void> {
    const { open } = this
    if (open === undefined) return
    this.open = undefined
    await open.db.close().catch((error: unknown) => {
      if (!open.files.isCrashed) invariants.failsTyped(error, 'close', hasFaulted(open.files))
    })
    for (const { fault } of open.files.injected) this.counts.add(`fault ${fault}`)
  }

  /** Stops log and checkpoints at once; what LevelDB does on its way out is not trusted by the next open. */
  async kill(): Promise<void> {
    this.open?.files.inject(() => 'crash')
    await this.reopen()
  }

  arm(fault: PlannedFault): void {
    if (this.open !== undefined) arm(this.open.files, fault)
  }

  /** A step of the owner's that a fault may hit: it fails typed, and the home is opened again. */
  async #step(
    doing: string,
    work: (db: TimberLevel) => Promise<unknown>,
    loading?: readonly Change[],
  ): Promise<boolean> {
    const { open } = this
    if (open === undefined) return false
    let isDone = true
    try {
      await work(open.db)
    } catch (error) {
      isDone = false
      if (!open.files.isCrashed) invariants.failsTyped(error, doing, hasFaulted(open.files))
    }
    await this.#learnNotes(loading)
    if (hasFaulted(open.files)) await this.reopen()
    return isDone
  }

  async checkpoint(): Promise<void> {
    await this.#step('checkpoint', (db) => db.checkpoint())
  }

  async roll(): Promise<void> {
    await this.#step('roll', (db) => db.switchSegment())
  }

  /** Loads beside the log: all of it is there, and a record that says so, or neither. */
  async load(changes: readonly (readonly [string, string])[]): Promise<void> {
    const before = this.records.length
    const work = async (db: TimberLevel): Promise<void> => {
      await db.bulkLoad(changes)
      // The next step is to find the home at rest; that a fault keeps it from one more checkpoint takes nothing from the load.
      await db.checkpoint().catch(() => undefined)
    }
    const isDone = await this.#step('load', work, changes)
    const load = this.records.slice(before).find(isLoad)
    invariants.hold(!isDone || load !== undefined, 'a load that resolved must be in the log', { before })
    if (isDone && load !== undefined) this.writtenLsn = load.lsn
    this.counts.add(load === undefined ? 'loads that failed' : 'loads')
    await this.compareContent()
  }

  /** Takes in what the engine wrote by itself, and the load that was begun, if any. */
  async #learnNotes(loading?: readonly Change[]): Promise<void> {
    const added = await this.#tail(this.records.length + 1)
    const isKnown = (entry: Entry): boolean =>
      entry.kind === 'note' || (loading !== undefined && isLoad(entry))
    invariants.hold(added.every(isKnown), 'the log must hold exactly the transactions that were called', {
      found: added.map(textOf),
    })
    const told = added.map((entry) => (isLoad(entry) ? { ...entry, changes: loading ?? [] } : entry))
    this.records = [...this.records, ...told]
  }

  async beginShipping(): Promise<void> {
    const { shipper, stop } = await this.#shipper()
    this.shipping = { shipper, stop }
    // Its first round comes by itself; after this nothing comes but by `flush`.
    await this.ship()
  }

  async #shipper(): Promise<Shipping> {
    const stop = new AbortController()
    const shipper = runShipper({
      logDirectory: this.#logDirectory,
      identity: await readHomeIdentity(this.#home),
      archive: this.archive,
      name: 'main',
      // So long that nothing is shipped but by `flush`.
      intervalMs: 3_600_000,
      signal: stop.signal,
    })
    return { shipper, stop }
  }

  /** Ships what is there; what is reported stands from then on. */
  async ship(): Promise<void> {
    const lsn = (await this.shipping?.shipper.flush()) ?? 0
    invariants.hold(lsn === this.records.length, 'a flush must reach the end of the log', {
      lsn,
      expectedLsn: this.records.length,
    })
    this.reportedLsn = Math.max(this.reportedLsn, lsn)
    await this.#settledShipping()
    await this.#shipped()
  }

  /** Until sealed segments are archived whole, and the home was told so: from then on nothing goes on by itself. */
  async #settledShipping(): Promise<void> {
    const sealed = (await this.#segments()).filter((segment) => segment.sealed)
    const last = sealed.at(-1)?.header.segmentNumber ?? 0
    for (;;) {
      const { shipper } = this.shipping ?? {}
      if (shipper === undefined) return
      await shipper.flushWhole()
      const { archivedSegment, uploadingSegment } = shipper.status()
      if (archivedSegment >= last && uploadingSegment === undefined) return
      // The follower has not seen the seal yet, or the pieces of the segment are just being removed.
      await new Promise(setImmediate)
    }
  }

  /** A second archiver takes over; the first must be refused as soon as it has something to archive. */
  async takeOver(call: Call): Promise<void> {
    const old = this.shipping
    if (old === undefined) return
    await this.beginShipping()
    await this.write([call])
    const code = await old.shipper.flush().then(() => 'it archived', invariants.codeOf)
    invariants.hold(code === 'ARCHIVE_FENCED', 'of two archivers the older must not archive anything more', {
      code,
    })
    this.counts.add('archivers fenced')
  }

  async stopShipping(): Promise<void> {
    this.shipping?.stop.abort()
    await this.shipping?.shipper.done
    this.shipping = undefined
  }

  /** Copies the home hot into the archive; backup, primary and model have one digest. */
  async backupIntoArchive(): Promise<void> {
    const { manifest } = await hotbackup({ home: this.#home, target: { archive: this.archive } })
    const { label, checkpoint, endLsn } = manifest
    this.#held = this.#held.add({ label, line: this.#line, baseLsn: checkpoint.lsn, endLsn })
    await this.#compareBackup(manifest)
  }

  /** Copies the home hot into a folder, or adds to the copy there what was written since. */
  async backupIntoFolder(update: boolean): Promise<void> {
    let manifest: BackupManifest
    try {
      manifest = (await hotbackup({ home: this.#home, target: this.#backupFolder, update })).manifest
    } catch (error) {
      return this.#updateRefused(error)
    }
    await this.#compareBackup(manifest)
    this.folderBackup = {
      baseLsn: manifest.checkpoint.lsn,
      records: this.records.slice(0, manifest.endLsn),
    }
  }

  /** Where the log that leads on was let go, or data came in beside it, a copy cannot be added to; it stays as it was. */
  async #updateRefused(error: unknown): Promise<void> {
    const { baseLsn, records } = this.folderBackup ?? { baseLsn: 0, records: [] }
    const code = invariants.codeOf(error)
    const [oldest] = await this.#segments()
    const isGone = (oldest?.firstLsn ?? 0) > records.length
    const isLoaded = this.records.some((entry) => entry.lsn > baseLsn && isLoad(entry))
    const isExpected =
      (code === 'HOTBACKUP_UPDATE_GAP' && isGone) || (code === 'HOTBACKUP_BULK_LOAD' && isLoaded)
    if (!isExpected) throw error
    this.counts.add('updates refused')
  }

  async #compareBackup(manifest: BackupManifest): Promise<void> {
    const { endLsn, digest } = manifest
    invariants.hold(endLsn === this.records.length, 'a backup must reach the end of the log', {
      endLsn,
      expectedLsn: this.records.length,
    })
    const model = { lsn: endLsn, hex: digestOf(contentAt(this.records, endLsn)) }
    const primary = (await this.open?.db.digest()) ?? model
    invariants.digestsAgree(endLsn, { model, primary, backup: digest ?? { lsn: -1, hex: 'none' } })
    this.counts.add('backups compared')
  }

  /** Learns how far shipped log reaches on the home's timeline; never less than what was reported. */
  async #shipped(): Promise<void> {
    const { timeline, forkLsn, records } = this.#line
    const { segments, pieces } = await this.archive.catalogue()
    const own = [...segments, ...pieces].filter((part) => part.timeline === timeline)
    const throughLsn = own.reduce((lsn, { lastLsn }) => Math.max(lsn, lastLsn), forkLsn)
    const isTrue = throughLsn >= this.reportedLsn && throughLsn <= records.length
    invariants.hold(isTrue, 'what a recovery point covers must be in the archive', {
      throughLsn,
      reportedLsn: this.reportedLsn,
      lastLsn: records.length,
    })
    this.#held = this.#held.ship(this.#line, throughLsn)
  }

  /** The recovery that a drawn target asks of the archive, with the model's word on it. */
  async #asked(drawn: DrawnTarget, line: Line = this.#line): Promise<Omit<Comparison, 'scratch'>> {
    const { counts, archive } = this
    await this.#shipped()
    const offer = this.#held.offer(line)
    const { records } = offer
    const target = targetOf(drawn, records)
    // A mark is known to the archive once it was shipped; that a backup holds its record is not enough.
    const isShipped = (lsn: number): boolean =>
      offer.shipped.some(({ fromLsn, throughLsn }) => fromLsn <= lsn && lsn <= throughLsn)
    const known = records.map((entry) =>
      entry.kind === 'mark' && !isShipped(entry.lsn) ? { ...entry, name: 'not shipped' } : entry,
    )
    const expected = endingOf(target, { ...offer, records: known })
    return { from: { archive }, target, text: textOfTarget(drawn), expected, records, counts }
  }

  get #retention(): RetentionScene {
    const { archive, counts } = this
    return { archive, counts, held: this.#held, lines: this.#lines, promisedUs: this.#promisedUs }
  }

  /** Lets log and backups go, and proves one state, there or gone, of any line. */
  async retain(drawn: DrawnRetention): Promise<void> {
    await this.#shipped()
    this.#held = await retain(this.#retention, drawn)
    const line = this.#lines[drawn.back % this.#lines.length] ?? this.#line
    const end = this.#held.offer(line).records.length
    await recoverAndCompare(this.#newHome(), {
      ...(await this.#asked({ type: 'lsn', at: drawn.back % (end + 1), edge: 'through', shiftUs: 0 }, line)),
      timeline: line.timeline,
      scratch: true,
    })
  }

  /** Promises in the archive what no retention may take from then on. */
  async promise(instantsUs: number): Promise<void> {
    this.#promisedUs = await promise(this.#retention, instantsUs)
  }

  /** Makes deltas of the archived log, which recoveries apply from then on. */
  async compact(): Promise<void> {
    const { outcomes } = await compactLog({ archive: this.archive, blockSegments: 2, scratch: this.#folder })
    const failed = outcomes.find(({ type }) => type === 'failed')
    invariants.hold(failed === undefined, 'what is archived can be compacted', { failed })
    this.counts.add('deltas made', outcomes.filter(({ type }) => type === 'added').length)
  }

  async restore(drawn: DrawnTarget): Promise<void> {
    await recoverAndCompare(this.#newHome(), { ...(await this.#asked(drawn)), scratch: true })
  }

  /** From the backup folder alone. */
  async restoreFromFolder(drawn: DrawnTarget): Promise<void> {
    if (this.folderBackup === undefined) return
    const { records, baseLsn } = this.folderBackup
    const target: Target = targetOf(drawn, records)
    await recoverAndCompare(this.#newHome(), {
      from: { backup: this.#backupFolder },
      target,
      text: textOfTarget(drawn),
      expected: endingOf(target, { records, bases: [baseLsn] }),
      records,
      counts: this.counts,
      scratch: true,
    })
  }

  /** Recovers to a target, and goes on there: a new timeline, written and shipped as the old one was. */
  async recoverAndGoOn(drawn: DrawnTarget): Promise<void> {
    const asked = await this.#asked(drawn)
    const home = this.#newHome()
    const lsn = await recoverAndCompare(home, { ...asked, scratch: false })
    if (lsn === undefined) return
    await this.stopShipping()
    await this.#closeHome()
    await this.#goOnIn(home, { parent: this.#line, records: asked.records, forkLsn: lsn })
  }

  /** In another home, on a timeline of its own. */
  async #goOnIn(
    home: string,
    { parent, records: before, forkLsn }: Omit<Line, 'timeline'> & { readonly parent: Line | undefined },
  ): Promise<void> {
    this.#home = home
    const { timeline } = await readHomeIdentity(home)
    const records = [...before.slice(0, forkLsn), ...(await this.#tail(forkLsn + 1))]
    this.#lines.push({ timeline, parent, forkLsn, records })
    this.writtenLsn = this.records.length
    this.reportedLsn = forkLsn
    this.folderBackup = undefined
    await this.openHome()
    await this.beginShipping()
    this.counts.add('timelines begun')
  }

  /** A standby follows to the end of what is archived, and shows exactly the model's prefix; it stays open, or is opened anew. */
  async follow(isAnew: boolean): Promise<void> {
    await this.#shipped()
    if (isAnew) await this.#standby.leave()
    await this.#standby.follow(this.#lines, this.#held)
  }

  /** The standby takes over, with all that is archived and nothing else; the old home is gone. */
  async promote(): Promise<void> {
    await this.#shipped()
    await this.stopShipping()
    await this.#closeHome()
    const promoted = await this.#standby.promote(this.#lines, this.#held)
    if (promoted === undefined) {
      await this.openHome()
      await this.beginShipping()
      return
    }
    await this.#goOnIn(promoted.home, promoted)
  }

  /** The state is the log: what is read is what the records say. */
  async compareContent(): Promise<void> {
    const all = (await this.open?.db.iterator().all()) ?? []
    invariants.contentIsExactly('the home', contentAt(this.records, this.records.length), new Map(all))
  }

  /** Everything must agree at the end: primary, restore, model. */
  async end(): Promise<void> {
    await this.ship()
    await this.backupIntoArchive()
    await this.restore({ type: 'latest', at: 0, edge: 'through', shiftUs: 0 })
    await this.close()
  }

  async close(): Promise<void> {
    await this.#standby.leave()
    await this.stopShipping()
    await this.#closeHome()
  }

  #newHome(): string {
    return join(this.#folder, `home-${this.#homes++}`)
  }
}
