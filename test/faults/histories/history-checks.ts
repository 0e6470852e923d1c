/** Holds a state that a power loss could leave against what had been promised when the power failed. */
import assert from 'node:assert/strict'
import { directoryStore, openArchive, streamSource, type Archive } from '@timberline/archive'
import { homeLayout, TimberLevel, TimberMemoryLevel } from '@timberline/engine'
import { verifyBackup } from '@timberline/hotbackup'
import { recover, type RecoveryFrom, type Target } from '@timberline/recovery'
import { decodeSegment, readConfirmations, readLog, TimberlineError, type LogRecord } from '@timberline/wal'
import { changed, digestOf, type Content } from '../power-loss/content.ts'
import type { FoundDisk } from './history-disk.ts'
import type { MadeBackup, Promised, Shipped } from './history-life.ts'
import { changesOf, type Line } from './history-line.ts'

/** How far the archive reaches on each line. */
type Reach = ReadonlyMap<Line, number>

/** The home opens, and is a prefix of its line with all that was acknowledged. Returns how far it reaches. */
export async function checkHome(found: FoundDisk, promised: Promised): Promise<number> {
  const { line, acknowledgedLsn } = promised
  const db = found.openDatabase(`${found.root}/${promised.home}`)
  try {
    await db.open()
    const content = new Map(await db.iterator().all())
    const digest = await db.digest()
    const lsn = db instanceof TimberMemoryLevel ? (await db.mark('after')).lsn - 1 : lastLsnOf(db)
    assert.ok(
      lsn >= acknowledgedLsn,
      `record ${String(acknowledgedLsn)} is lost, the log ends at ${String(lsn)}`,
    )
    if (lsn > line.lastLsn) await checkNotes(found, promised, lsn)
    assert.deepEqual(content, line.contents[Math.min(lsn, line.lastLsn)], `the state at ${String(lsn)}`)
    assert.equal(digest.hex, digestOf(content))
    return lsn
  } finally {
    await found.abandon(db)
  }
}

/**
 * What the line does not know can only be notes, which the engine writes by itself: the first checkpoint of a new home is taken beside
 * the steps, and may end between the last look at the log and the power failure.
 */
async function checkNotes(found: FoundDisk, { line, home }: Promised, lastLsn: number): Promise<void> {
  const { logDirectory: directory } = homeLayout(`${found.root}/${home}`)
  const { fileSystem } = found
  for await (const group of readLog({ directory, fromLsn: line.lastLsn + 1, fileSystem })) {
    for (const { lsn, kind } of group)
      assert.ok(lsn > lastLsn || kind === 'note', `record ${String(lsn)} was never written`)
  }
}

function lastLsnOf(db: TimberLevel<string, string>): number {
  const { opened } = db
  assert.ok(opened)
  assert.equal(opened.state.throughLsn, opened.log.lastLsn)
  return opened.log.lastLsn
}

/** A folder into which a restore was under way refuses to open, or is the whole restored home. */
export async function checkRestoring(found: FoundDisk, name: string, line: Line): Promise<void> {
  const db = new TimberLevel(`${found.root}/${name}`, { createIfMissing: false })
  try {
    await db.open()
    assert.deepEqual(new Map(await db.iterator().all()), line.contents[line.firstLsn - 1])
  } catch (error) {
    const code = codeOf(error)
    assert.ok(code === 'ENGINE_HOME_MISSING' || code === 'ENGINE_RECOVERY_UNFINISHED', String(code))
  } finally {
    await db.close()
  }
}

function codeOf(error: unknown): unknown {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof TimberlineError) return at.code
    if (at instanceof assert.AssertionError) throw at
  }
  return error
}

/** What was shipped is in the archive, and its records give exactly the content at each LSN; so do its marks. */
export async function checkArchive(found: FoundDisk, promised: Promised): Promise<Reach> {
  const reach = new Map<Line, number>()
  const archive = await archiveIn(found)
  for (const shipped of promised.shipped) {
    const { line, lsn } = shipped
    const reached = archive === undefined ? 0 : await checkLine(archive, shipped)
    assert.ok(reached >= lsn, `record ${String(lsn)} was shipped, the archive ends at ${String(reached)}`)
    reach.set(line, reached)
  }
  return reach
}

/** What the archive confirmed to the home, it holds. */
export async function checkConfirmations(found: FoundDisk, promised: Promised, reach: Reach): Promise<void> {
  const { logDirectory } = homeLayout(`${found.root}/${promised.home}`)
  if ((await found.fileSystem.status(logDirectory)) === undefined) return
  for (const { timeline, lsn } of await readConfirmations(logDirectory, found.fileSystem)) {
    if (timeline !== promised.line.timeline) continue
    const held = reach.get(promised.line) ?? 0
    assert.ok(lsn <= held, `${String(lsn)} was confirmed, the archive holds ${String(held)}`)
  }
}

/** Every backup that was made is whole, and names the digest of its prefix; one that was under way is whole or absent. */
export async function checkBackups(found: FoundDisk, promised: Promised): Promise<void> {
  const archive = await archiveIn(found)
  for (const backup of promised.backups) {
    if (backup.folder === undefined) {
      assert.ok(archive)
      const { endLsn, digest } = await archive.backupManifest(backup.label)
      assert.equal(endLsn, backup.endLsn)
      assert.equal(digest?.hex, digestOf(backup.line.contents[endLsn] ?? new Map()))
    } else {
      assert.deepEqual(await verifyBackup(`${found.root}/${backup.folder}`), [], backup.folder)
    }
  }
  const folders = `${found.root}/backups`
  if ((await found.fileSystem.status(folders)) === undefined) return
  for (const name of await found.fileSystem.list(folders)) {
    if (/^\d+$/.test(name)) assert.deepEqual(await verifyBackup(`${folders}/${name}`), [], name)
  }
}

/** Recovers, for real, from every backup of the last line to its end and to every mark and further LSN asked for. */
export async function recoverAll(
  found: FoundDisk,
  promised: Promised,
  choose: (lsns: readonly number[]) => readonly number[],
): Promise<number> {
  const archive = await archiveIn(found)
  const reach = await checkArchive(found, promised)
  let count = 0
  for (const backup of promised.backups) {
    const { line } = backup
    const { archivedFromLsn = Infinity } = line
    // Where a checkpoint let go of records before there was an archive, the way on from an older backup is cut.
    const goesOn = archive !== undefined && archivedFromLsn <= backup.endLsn + 1
    const endLsn = Math.max(backup.endLsn, goesOn ? (reach.get(line) ?? 0) : 0)
    // A backup inside an archive brings log that was not shipped yet, but not the names of the marks in it.
    const namedLsn = backup.folder === undefined ? (reach.get(line) ?? 0) : endLsn
    const marks = [...line.marks].filter(([, lsn]) => lsn > backup.baseLsn && lsn <= namedLsn)
    const lsns = Array.from({ length: endLsn - backup.baseLsn + 1 }, (_, index) => backup.baseLsn + index)
    const targets: { lsn: number; target: Target }[] = [
      ...marks.map(([name, lsn]) => ({ lsn, target: { type: 'mark', name, edge: 'through' } as const })),
      ...choose(lsns).map((lsn) => ({ lsn, target: { type: 'lsn', lsn, edge: 'through' } as const })),
    ]
    for (const { lsn, target } of targets) {
      await recoverTo(found, { backup, archive, target, expected: line.contents[lsn] ?? new Map(), lsn })
      count += 1
    }
  }
  return count
}

async function recoverTo(
  found: FoundDisk,
  work: {
    readonly backup: MadeBackup
    readonly archive: Archive | undefined
    readonly target: Target
    readonly lsn: number
    readonly expected: Content
  },
): Promise<void> {
  const { backup, archive, target, lsn, expected } = work
  const from: RecoveryFrom = {
    ...(archive === undefined ? {} : { archive }),
    ...(backup.folder === undefined ? {} : { backup: `${found.root}/${backup.folder}` }),
  }
  const home = `${found.root}/recovered`
  const { timeline } = backup.line
  const report = await recover({ from, home, target, timeline, base: backup.label, scratch: true })
  assert.equal(report.lsn, lsn)
  assert.equal(report.digest?.hex, digestOf(expected), `recovered to ${JSON.stringify(target)}`)
  await found.fileSystem.removeTree(home)
}

/** Returns the last LSN of a line that the archive holds without a hole. */
async function checkLine(archive: Archive, { line, fromLsn, isRetaining }: Shipped): Promise<number> {
  const { environmentId } = archive.identity
  const { timeline } = line
  const { segments, pieces, marks } = await archive.catalogue()
  const before = (first: number): Content => line.contents[first - 1] ?? new Map<string, string>()
  let content = before(fromLsn)
  let lsn = fromLsn - 1
  let isBroken = false
  let isFirst = true
  const take = (record: LogRecord): void => {
    if (isFirst && isRetaining && record.lsn < fromLsn) {
      content = before(record.lsn)
      lsn = record.lsn - 1
    }
    isFirst = false
    // While a ship is under way, what is younger may be there first; it counts once what is missing has come.
    isBroken ||= record.lsn > lsn + 1
    if (isBroken) return
    lsn += 1
    assert.equal(record.lsn, lsn, 'nothing is in the archive twice')
    if (record.kind === 'entry') content = changed(content, changesOf(record.payload))
    assert.deepEqual(content, line.contents[lsn], `the archive at ${String(lsn)}`)
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
  for (const mark of marks.filter((one) => one.timeline === timeline)) {
    assert.equal(line.marks.get(mark.name), mark.lsn, mark.name)
  }
  return lsn
}

async function archiveIn(found: FoundDisk): Promise<Archive | undefined> {
  try {
    return await openArchive(directoryStore(`${found.root}/archive`, found.fileSystem))
  } catch (error) {
    if (codeOf(error) === 'ARCHIVE_MISSING') return undefined
    throw error
  }
}
