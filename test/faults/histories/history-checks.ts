/** Holds a state that a power loss could leave against what had been promised when the power failed. */
import assert from 'node:assert/strict'
import { isBulkLoadMark } from '@timberline/engine'
import type { Target } from '@timberline/recovery'
import { changed, digestOf, type Content } from '../power-loss/content.ts'
import type { Findings, FoundRecord, Look } from './history-findings.ts'
import type { MadeBackup, Promised, Shipped } from './history-promises.ts'
import type { Line } from './history-line.ts'
import { assertFollowed, assertRefused } from './history-standby.ts'

/** How far the archive reaches on each line. */
type Reach = ReadonlyMap<Line, number>

/** What is looked at, and by whose eyes. */
export interface Scene {
  readonly look: Look
  readonly findings: Findings
  readonly promised: Promised
}

/** The home opens, and is a prefix of its line with all that was acknowledged. */
export async function checkHome({ look, findings, promised }: Scene): Promise<void> {
  const { line, home, acknowledgedLsn } = promised
  const { lsn, content } = await findings.home(look, home)
  assert.ok(
    lsn >= acknowledgedLsn,
    `record ${String(acknowledgedLsn)} is lost, the log ends at ${String(lsn)}`,
  )
  if (lsn > line.lastLsn) {
    // What the line does not know can only be notes, which the engine writes by itself: the first checkpoint of a new home is taken
    // beside the steps, and may end between the last look at the log and the power failure.
    const kinds = await findings.kinds(look, home, line.lastLsn + 1)
    const isKnown = kinds.slice(0, lsn - line.lastLsn).every((kind) => kind === 'note')
    assert.ok(isKnown, `a record after ${String(line.lastLsn)} was never written`)
  }
  assert.deepEqual(content, line.contents[Math.min(lsn, line.lastLsn)], `the state at ${String(lsn)}`)
}

/** A folder into which a restore is under way refuses to open, or is the whole restored home. */
export async function checkRestoring({ look, findings, promised }: Scene): Promise<void> {
  const { restoring } = promised
  if (restoring === undefined) return
  const line = restoring.line()
  const found = await findings.restoring(look, restoring.home)
  if (typeof found === 'string') {
    assert.ok(found === 'ENGINE_HOME_MISSING' || found === 'ENGINE_RECOVERY_UNFINISHED', found)
  } else assert.deepEqual(found, line.contents[line.firstLsn - 1])
}

/** A standby shows a prefix of what it follows; while it is promoted, that goes on to its end from wherever the power failed. */
export async function checkStandby({ look, findings, promised }: Scene): Promise<void> {
  const { standby, backups, shipped, isPromoting, isShipping } = promised
  if (standby === undefined) return
  const refusing = { lines: shipped.map(({ line }) => line), backups }
  if (!isPromoting) {
    const found = await findings.standby(look, standby)
    if (typeof found === 'string') assertRefused(found, refusing)
    else assertFollowed(found, refusing.lines, !isShipping)
    return
  }
  const found = await findings.promotion(look, standby)
  if (typeof found === 'string') return assertRefused(found, refusing)
  const { content, parent, forkLsn } = found
  assertFollowed({ timeline: parent, lsn: forkLsn, content }, refusing.lines, true)
}

/** What was shipped is in the archive, and its records give exactly the content at each LSN; so do its marks. */
export async function checkArchive({ look, findings, promised }: Scene): Promise<Reach> {
  const reach = new Map<Line, number>()
  for (const shipped of promised.shipped) {
    const { line, lsn } = shipped
    const found = await findings.line(look, line.timeline)
    const reached = found === undefined ? 0 : reachOf(found.records, shipped)
    assert.ok(reached >= lsn, `record ${String(lsn)} was shipped, the archive ends at ${String(reached)}`)
    for (const [name, at] of found?.marks ?? []) {
      if (!isBulkLoadMark({ name })) assert.equal(line.marks.get(name), at, name)
      else assert.ok(line.loads.has(at), `no load was at ${String(at)}`)
    }
    reach.set(line, reached)
  }
  return reach
}

/** What the archive confirmed to the home, it holds. */
export async function checkConfirmations({ look, findings, promised }: Scene, reach: Reach): Promise<void> {
  for (const { timeline, lsn } of await findings.confirmations(look, promised.home)) {
    if (timeline !== promised.line.timeline) continue
    const held = reach.get(promised.line) ?? 0
    assert.ok(lsn <= held, `${String(lsn)} was confirmed, the archive holds ${String(held)}`)
  }
}

/** Every backup that was made is whole, and names the digest of its prefix; one that was under way is whole or absent. */
export async function checkBackups({ look, findings, promised }: Scene): Promise<void> {
  for (const backup of promised.backups) {
    if (backup.folder !== undefined) {
      assert.ok(look.pathsIn('backups').includes(backup.folder), `${backup.folder} is gone`)
      continue
    }
    const { endLsn, digest } = await findings.manifest(look, backup.label)
    assert.equal(endLsn, backup.endLsn)
    assert.equal(digest, digestOf(backup.line.contents[endLsn] ?? new Map()))
  }
  for (const path of look.pathsIn('backups').filter((one) => /\/\d+$/.test(one))) {
    assert.deepEqual(await findings.backup(look, path), [], path)
  }
}

/** Recovers, for real, from every backup of the last line to its end and to every mark and further LSN asked for. */
export async function recoverAll(
  scene: Scene,
  choose: (lsns: readonly number[]) => readonly number[],
): Promise<void> {
  const { promised } = scene
  const reach = await checkArchive(scene)
  for (const backup of promised.backups) {
    for (const { lsn, target } of targetsOf(backup, reach, choose)) {
      const { label, folder, line } = backup
      const work = { label, folder, timeline: line.timeline, target }
      const found = await scene.findings.recovery(scene.look, work)
      if (typeof found === 'string') {
        assert.equal(found, 'RECOVERY_BULK_LOAD', JSON.stringify(target))
        assert.ok(!line.isReplayable(backup.baseLsn, lsn), `no load is between ${label} and ${String(lsn)}`)
        continue
      }
      assert.ok(line.isReplayable(backup.baseLsn, lsn), `a recovery leads past a load to ${String(lsn)}`)
      assert.equal(found.lsn, lsn)
      const expected = digestOf(line.contents[lsn] ?? new Map())
      assert.equal(found.digest, expected, `recovered to ${JSON.stringify(target)}`)
    }
  }
}

function targetsOf(
  backup: MadeBackup,
  reach: Reach,
  choose: (lsns: readonly number[]) => readonly number[],
): readonly { readonly lsn: number; readonly target: Target }[] {
  const { line } = backup
  const { archivedFromLsn = Infinity } = line
  // Where a checkpoint let go of records before there was an archive, the way on from an older backup is cut.
  const goesOn = archivedFromLsn <= backup.endLsn + 1
  const endLsn = Math.max(backup.endLsn, goesOn ? (reach.get(line) ?? 0) : 0)
  // A backup inside an archive brings log that was not shipped yet, but not the names of the marks in it.
  const namedLsn = backup.folder === undefined ? (reach.get(line) ?? 0) : endLsn
  const marks = [...line.marks].filter(([, lsn]) => lsn > backup.baseLsn && lsn <= namedLsn)
  const lsns = Array.from({ length: endLsn - backup.baseLsn + 1 }, (_, index) => backup.baseLsn + index)
  return [
    ...marks.map(([name, lsn]) => ({ lsn, target: { type: 'mark', name, edge: 'through' } as const })),
    ...choose(lsns).map((lsn) => ({ lsn, target: { type: 'lsn', lsn, edge: 'through' } as const })),
  ]
}

/** The last LSN of a line that an archive holds without a hole, each record with the content that it must lead to. */
function reachOf(records: readonly FoundRecord[], { line, fromLsn, isRetaining }: Shipped): number {
  const before = (first: number): Content => line.contents[first - 1] ?? new Map<string, string>()
  const first = records[0]?.lsn ?? fromLsn
  const beginLsn = isRetaining ? Math.min(first, fromLsn) : fromLsn
  let content = before(beginLsn)
  let lsn = beginLsn - 1
  for (const record of records) {
    // While a ship is under way, what is younger may be there first; it counts once what is missing has come.
    if (record.lsn > lsn + 1) break
    lsn += 1
    assert.equal(record.lsn, lsn, 'nothing is in the archive twice')
    // What was loaded, the archive does not know.
    content = line.loads.has(lsn) ? (line.contents[lsn] ?? content) : changed(content, record.changes)
    assert.deepEqual(content, line.contents[lsn], `the archive at ${String(lsn)}`)
  }
  return lsn
}
