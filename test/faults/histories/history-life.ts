/** One history as it is lived: the database, its archive and backups on one disk, the steps, and what must be there after each. */
import assert from 'node:assert/strict'
import { createArchive, directoryStore, runShipper, type Archive } from '@timberline/archive'
import { homeLayout, readHomeIdentity, TimberLevel } from '@timberline/engine'
import { hotbackup } from '@timberline/hotbackup'
import { recover, type RecoveryFrom, type RecoveryReport } from '@timberline/recovery'
import { listSegments, TimberlineError } from '@timberline/wal'
import { changed, digestOf, type Change } from '../power-loss/content.ts'
import type { Database, HistoryDisk } from './history-disk.ts'
import { Line } from './history-line.ts'
import type { MadeBackup, Promised } from './history-promises.ts'
import { lessen, planOf } from './history-retention.ts'
import { assertFollowed, assertRefused, follow, promoteIt } from './history-standby.ts'

const KEYS = ['a', 'b', 'c'] as const
/** So long that the log begins a new segment for it, where no one can ask the log for that. */
const ROLLING_VALUE_BYTES = 3500

export class Life {
  readonly lines: Line[] = [Line.first()]
  backups: readonly MadeBackup[] = []
  /** Backups, segments and pieces that retention let go. */
  letGoCount = 0
  #disk: HistoryDisk
  #db: Database
  #homeName: string
  #restoring: string | undefined
  #isRetaining = false
  #isShipping = false
  #isPromoting = false
  #standby: string | undefined
  #count = 0

  constructor(disk: HistoryDisk, homeName = 'home') {
    this.#disk = disk
    this.#homeName = homeName
    this.#db = disk.openDatabase(this.home)
  }

  /** The same life so far, on a disk in the same state, by a process that opens anew what this one has open. */
  fork(disk: HistoryDisk): Life {
    const fork = new Life(disk, this.#homeName)
    const lines = new Map<Line, Line>()
    for (const line of this.lines) lines.set(line, line.copy(line.parent && lines.get(line.parent)))
    fork.lines.splice(0, 1, ...lines.values())
    fork.backups = this.backups.map((backup) => ({ ...backup, line: lines.get(backup.line) ?? backup.line }))
    fork.#count = this.#count
    fork.#standby = this.#standby
    return fork
  }

  /** Grows with every step that does anything. */
  get stepCount(): number {
    return this.#count
  }

  get disk(): HistoryDisk {
    return this.#disk
  }

  get home(): string {
    return `${this.#disk.root}/${this.#homeName}`
  }

  get line(): Line {
    const line = this.lines.at(-1)
    assert.ok(line)
    return line
  }

  get promised(): Promised {
    const restoring = this.#restoring
    return {
      home: this.#homeName,
      line: this.line,
      acknowledgedLsn: this.line.acknowledgedLsn,
      shipped: this.lines.map((line) => ({
        line,
        fromLsn: line.archivedFromLsn ?? line.firstLsn,
        lsn: line.shippedLsn,
        isRetaining: this.#isRetaining,
      })),
      backups: this.backups,
      standby: this.#standby,
      isPromoting: this.#isPromoting,
      isShipping: this.#isShipping,
      restoring: restoring === undefined ? undefined : { home: restoring, line: () => this.line },
    }
  }

  async open(): Promise<void> {
    await this.#db.open()
    await this.#settle()
  }

  /** The end of the process, without any of the care of a close. */
  abandon(): Promise<void> {
    return this.#disk.abandon(this.#db)
  }

  put(): Promise<void> {
    const [key, value] = [this.#key(0), this.#value()]
    return this.#commit([[key, value]], () => this.#db.put(key, value))
  }

  /** Deletes what was put last, or what never was. */
  delete(): Promise<void> {
    const key = this.#key(2)
    return this.#commit([[key, undefined]], () => this.#db.del(key))
  }

  transaction(): Promise<void> {
    const [first, second, third] = [this.#key(0), this.#key(1), this.#key(2)]
    const changes: Change[] = [
      [first, this.#value()],
      [second, undefined],
      [third, this.#value()],
    ]
    return this.#commit(changes, () =>
      this.#db.transaction(async (tx) => {
        await tx.get(second)
        for (const [key, value] of changes) await (value === undefined ? tx.del(key) : tx.put(key, value))
      }),
    )
  }

  /** An empty range is cleared without a record. */
  clear(): Promise<void> {
    const changes = [...this.line.content.keys()].map((key): Change => [key, undefined])
    return this.#commit(changes, () => this.#db.clear())
  }

  async roll(): Promise<void> {
    if (this.#db instanceof TimberLevel) {
      await this.#db.switchSegment()
      return this.#settle()
    }
    const [key, value] = [this.#key(0), this.#value().padEnd(ROLLING_VALUE_BYTES, '.')]
    return this.#commit([[key, value]], () => this.#db.put(key, value))
  }

  async mark(): Promise<void> {
    this.#count += 1
    const name = `mark ${String(this.#count)}`
    const { lsn } = await this.#db.mark(name)
    await this.#settle()
    assert.equal(this.line.marks.get(name), lsn)
  }

  /** Ships all that is durable, sealed segments whole, and says so. */
  async ship(): Promise<void> {
    const { fileSystem } = this.#disk
    const { logDirectory } = homeLayout(this.home)
    const identity = await readHomeIdentity(this.home, fileSystem)
    const archive = await this.#archive()
    const [oldest] = await listSegments(logDirectory, fileSystem)
    this.line.archivedFromLsn ??= oldest?.firstLsn ?? this.line.firstLsn
    const stop = new AbortController()
    this.#isShipping = true
    const shipper = runShipper({
      logDirectory,
      archive,
      identity,
      fileSystem,
      name: 'main',
      intervalMs: 1000,
      signal: stop.signal,
      retryMs: { first: 1, max: 5 },
    })
    try {
      const lsn = await shipper.flush()
      const sealed = (await listSegments(logDirectory, fileSystem)).filter((segment) => segment.sealed)
      const whole = sealed.at(-1)?.header.segmentNumber ?? 0
      for (;;) {
        const { archivedSegment, uploadingSegment, error } = shipper.status()
        if (error !== undefined) throw error
        if (archivedSegment >= whole && uploadingSegment === undefined) break
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      assert.ok(lsn >= this.line.acknowledgedLsn, 'a flush ships what was durable when it began')
      // A note that the engine wrote beside the step may be among it.
      await this.#settle()
      this.line.shippedLsn = Math.max(this.line.shippedLsn, lsn)
    } finally {
      stop.abort()
      await shipper.done
      this.#isShipping = false
    }
  }

  async checkpoint(): Promise<void> {
    assert.ok(this.#db instanceof TimberLevel)
    await this.#db.checkpoint()
    await this.#settle()
  }

  /** Into the archive where there is one, else into a folder of its own. */
  async backup(): Promise<void> {
    this.#count += 1
    const { fileSystem, root } = this.#disk
    const archive = (await this.#hasArchive()) ? await this.#archive() : undefined
    const folder = `${root}/backups/${String(this.#count)}`
    const acknowledgedLsn = this.line.acknowledgedLsn
    const target = archive === undefined ? folder : { archive }
    // Without any checkpoint there is nothing to copy; a later backup takes the one that is there.
    const checkpoint = !(await this.#hasCheckpoint())
    const { manifest } = await hotbackup({ home: this.home, target, checkpoint, fileSystem })
    await this.#settle()
    const { endLsn, label } = manifest
    assert.ok(endLsn >= acknowledgedLsn, 'a backup holds what was acknowledged when it began')
    assert.equal(manifest.digest?.hex, digestOf(this.line.contents[endLsn] ?? new Map()))
    const made: MadeBackup = {
      line: this.line,
      endLsn,
      label,
      baseLsn: manifest.checkpoint.lsn,
      folder: archive === undefined ? `backups/${String(this.#count)}` : undefined,
    }
    this.backups = [...this.backups, made]
  }

  /** Lets go what only instants before the newest backup of the archive need: from its first moment on, none of that is owed. */
  async retain(): Promise<void> {
    if (!(await this.#hasArchive())) return
    const archive = await this.#archive()
    const backups = this.backups.filter(({ folder }) => folder === undefined)
    const { plan, apply } = await planOf({ archive, lines: this.lines, backups })
    const gone = new Set(plan.backups.map(({ label }) => label))
    this.#isRetaining = true
    this.backups = this.backups.filter(({ label }) => !gone.has(label))
    for (const line of this.lines) lessen(line, plan)
    const { outcome } = await apply()
    this.#isRetaining = false
    assert.deepEqual(outcome?.undeleted, [])
    this.letGoCount += gone.size + plan.segments.length + plan.pieces.length
    const stay = this.backups.filter(({ folder }) => folder === undefined).map(({ label }) => label)
    const { backups: left } = await archive.catalogue()
    assert.deepEqual(left.map(({ label }) => label).toSorted(), stay.toSorted())
  }

  /** Recovers the newest that there is into a new home, and goes on there. Without a backup, it is refused by name. */
  async restore(): Promise<void> {
    const newest = this.backups.at(-1)
    const { fileSystem, root } = this.#disk
    const archive = (await this.#hasArchive()) ? await this.#archive() : undefined
    if (newest === undefined && archive === undefined) return
    this.#count += 1
    const name = `home-${String(this.#count)}`
    const home = `${root}/${name}`
    const from: RecoveryFrom = {
      ...(archive === undefined ? {} : { archive }),
      ...(newest?.folder === undefined ? {} : { backup: `${root}/${newest.folder}` }),
    }
    if (newest === undefined) {
      const refusal: unknown = await recover({ from, home, fileSystem }).catch((error: unknown) => error)
      assert.ok(refusal instanceof TimberlineError && refusal.code === 'RECOVERY_NO_BASE', String(refusal))
      return
    }
    await this.#db.close()
    await this.#settle()
    this.#restoring = name
    const report = await unlessGap(recover({ from, home, fileSystem }))
    if (typeof report === 'string') {
      // The newest backup is from before a load, or from before log that went before there was an archive: no newest state can be had.
      const { line, baseLsn, endLsn } = newest
      const isLoaded = report === 'RECOVERY_BULK_LOAD' && !line.isReplayable(baseLsn, line.lastLsn)
      const isCut = report === 'RECOVERY_LOG_GAP' && (line.archivedFromLsn ?? 0) > endLsn + 1
      assert.ok(isLoaded || isCut, report)
      this.#restoring = undefined
      this.#db = this.#disk.openDatabase(this.home)
      return this.open()
    }
    const source = this.lines.findLast((line) => line.timeline === report.parent.timeline)
    assert.ok(source)
    const least = Math.max(source === newest.line ? newest.endLsn : 0, archive ? source.shippedLsn : 0)
    assert.ok(report.lsn >= least, 'a restore reaches what was shipped and backed up')
    assert.equal(report.digest?.hex, digestOf(source.contents[report.lsn] ?? new Map()))
    this.#restoring = undefined
    await this.#goOn(name, source.fork(report.timeline, report.lsn))
  }

  /** Entries beside the log, all of them or none. */
  async load(): Promise<void> {
    assert.ok(this.#db instanceof TimberLevel)
    const [first, second] = [this.#key(0), this.#key(1)]
    const changes = [[first, this.#value()] as const, [second, this.#value()] as const]
    const report = await this.#db.bulkLoad(changes)
    assert.equal(report.entries, changes.length)
    this.line.loaded(changes, report)
    // The next step is to find the home at rest.
    await this.#db.checkpoint()
    await this.#settle()
  }

  /** Brings a standby as far as the archive goes, and reads it. */
  async follow(): Promise<void> {
    if (!(await this.#hasArchive())) return
    this.#count += 1
    const name = this.#standby ?? `standby-${String(this.#count)}`
    this.#standby = name
    const found = await follow(this.#disk, name)
    if (typeof found === 'string') assertRefused(found, this)
    else assertFollowed(found, this.lines, true)
  }

  /** The old primary is gone; the standby goes on, with all that was archived, and with nothing else. */
  async promote(): Promise<void> {
    const name = this.#standby
    if (name === undefined) return
    this.#count += 1
    await this.#db.close()
    await this.#settle()
    this.#isPromoting = true
    const found = await promoteIt(this.#disk, name)
    this.#isPromoting = false
    this.#standby = undefined
    if (typeof found === 'string') {
      assertRefused(found, this)
      this.#db = this.#disk.openDatabase(this.home)
      return this.open()
    }
    const source = this.lines.findLast((line) => line.timeline === found.parent)
    assert.ok(source)
    assert.ok(found.forkLsn >= source.shippedLsn, 'a promotion loses nothing that was archived')
    await this.#goOn(name, source.fork(found.timeline, found.forkLsn))
  }

  /** In another home, on a line of its own. */
  async #goOn(home: string, line: Line): Promise<void> {
    this.lines.push(line)
    this.#homeName = home
    this.#db = this.#disk.openDatabase(this.home)
    await this.open()
    assert.deepEqual(new Map(await this.#db.iterator().all()), this.line.content)
  }

  /** A commit that nobody made durable, as the last thing before the power goes. */
  async writeLazily(): Promise<void> {
    const [key, value] = [this.#key(0), this.#value()]
    this.line.begin([[key, value]])
    const operations = [{ type: 'put', key, value } as const]
    await (this.#db instanceof TimberLevel
      ? this.#db.batch(operations, { sync: false })
      : this.#db.batch(operations, { sync: false }))
    await this.line.learn(homeLayout(this.home).logDirectory, this.#disk.fileSystem)
  }

  /** The power fails, and the machine goes on with what the disk kept. */
  async restart(seed: number): Promise<void> {
    const outcome = this.#disk.capture({ seed })
    await this.#disk.abandon(this.#db)
    this.#disk.end()
    this.#disk = await outcome.restart()
    this.#db = this.#disk.openDatabase(this.home)
    await this.#db.open()
    await this.line.relearn(homeLayout(this.home).logDirectory, this.#disk.fileSystem)
    this.line.acknowledge()
    assert.deepEqual(new Map(await this.#db.iterator().all()), this.line.content)
  }

  async #commit(changes: readonly Change[], write: () => Promise<void>): Promise<void> {
    const expected = changed(this.line.content, changes)
    this.line.begin(changes)
    await write()
    await this.#settle()
    assert.deepEqual(this.line.content, expected)
  }

  async #settle(): Promise<void> {
    await this.line.learn(homeLayout(this.home).logDirectory, this.#disk.fileSystem)
    this.line.acknowledge()
  }

  async #archive(): Promise<Archive> {
    const { fileSystem, root } = this.#disk
    const { environmentId } = await readHomeIdentity(this.home, fileSystem)
    return createArchive(directoryStore(`${root}/archive`, fileSystem), { environmentId })
  }

  async #hasArchive(): Promise<boolean> {
    return (await this.#disk.fileSystem.status(`${this.#disk.root}/archive/archive.json`)) !== undefined
  }

  async #hasCheckpoint(): Promise<boolean> {
    const { checkpointDirectory } = homeLayout(this.home)
    const names = await this.#disk.fileSystem.list(checkpointDirectory)
    return names.some((name) => name.endsWith('.json'))
  }

  /** Keys go round, so that steps meet each other's. */
  #key(offset: number): string {
    return KEYS[(this.#count + offset) % KEYS.length] ?? KEYS[0]
  }

  #value(): string {
    this.#count += 1
    return `value ${String(this.#count)}`
  }
}

/** What was recovered, or the code of what lies in the way. */
async function unlessGap(recovering: Promise<RecoveryReport>): Promise<RecoveryReport | string> {
  try {
    return await recovering
  } catch (error) {
    if (error instanceof TimberlineError && error.kind === 'gap') return error.code
    throw error
  }
}
