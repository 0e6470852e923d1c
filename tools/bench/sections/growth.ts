/**
 * What grows when the work grows ten times: times, bytes and resident sets of each part, on two sizes of one database; and what follows of
 * two amounts of changes of the same one.
 */
import { withFolder } from '../folder.ts'
import { limit } from '../goals.ts'
import type { BenchRun, Measured } from '../run.ts'
import { median, medianRatio, ratios } from '../statistics.ts'
import { NO_GROWTH } from './bounds.ts'
import type { BackupResult, Limited } from '../workloads/backup-workload.ts'
import type { DeltaResult } from '../workloads/delta-workload.ts'
import type { ChangesResult } from '../workloads/changes-workload.ts'
import { CHANGED_KEYS, type Part, type PartResult, PARTS } from '../workloads/growth-workload.ts'

interface Growth {
  readonly parts: Readonly<Record<Part, PartResult>>
  /** Backups without a pause beside one writer. */
  readonly beside: BackupResult
  /** As many updates of 1,000 keys as there are records. */
  readonly updates: DeltaResult
}

const TEN_TIMES_AT_MOST = 12

export async function benchGrowth(run: BenchRun): Promise<void> {
  await benchChanges(run)
  await benchSizes(run)
}

async function benchSizes(run: BenchRun): Promise<void> {
  const sizes = [100_000, 1_000_000]
  const {
    measured: [small, large],
  } = await run.interleave<Growth>(
    'growth',
    sizes.map((records) => ({ title: `${String(records)} records`, measure: () => measure(run, records) })),
  )
  if (small === undefined || large === undefined) return
  const row = (title: string, pick: (growth: Growth) => number, digits = 0): string[] => {
    const [few, many] = [small.samples.map(pick), large.samples.map(pick)]
    return [
      title,
      median(few).toFixed(digits),
      median(many).toFixed(digits),
      medianRatio(many, few).toFixed(2),
    ]
  }
  judge(run, small, large)
  run.print(
    'Ten times the data',
    ['', small.title, large.title, 'ratio'],
    [
      row('commits/s, 64 writers', ({ parts }) => parts.commit.perSecond ?? Number.NaN),
      row('p99 of a commit, 64 writers, ms', ({ parts }) => parts.commit.ms, 2),
      row('p99 of a commit during backups as they come, ms', ({ beside }) => limited(beside).during.p99Ms, 2),
      row('p99 of a commit during backups without a limit, ms', ({ beside }) => beside.during.p99Ms, 2),
      row('longest commit during backups without a limit, ms', ({ beside }) => beside.during.longestMs, 1),
      row('full backup, ms', ({ parts }) => parts.full.ms),
      row(`by log, ${String(CHANGED_KEYS)} keys changed, ms`, ({ parts }) => parts['by-log'].ms),
      row('by log, MB', ({ parts }) => parts['by-log'].megabytes, 2),
      row(`by files, ${String(CHANGED_KEYS)} keys changed, ms`, ({ parts }) => parts['by-files'].ms),
      row('by files, MB', ({ parts }) => parts['by-files'].megabytes, 2),
      row('shipping the whole log, ms', ({ parts }) => parts.ship.ms),
      row('recovery, ms', ({ parts }) => parts.recover.ms),
      row('recovery of updates of 1,000 keys, over deltas, ms', ({ updates }) => updates.deltaMs),
      row('the same, record by record, ms', ({ updates }) => updates.plainMs),
    ],
  )
  const memory = (title: string, part: Part): string[] => row(title, ({ parts }) => parts[part].rssMb)
  run.print(
    'Largest resident set of a process that does nothing else, MB',
    ['', small.title, large.title, 'ratio'],
    [
      memory('64 writers', 'commit'),
      memory('full backup', 'full'),
      memory('backup by log', 'by-log'),
      memory('backup by files', 'by-files'),
      memory('shipper', 'ship'),
      memory('recovery', 'recover'),
    ],
  )
}

function judge(run: BenchRun, small: Measured<Growth>, large: Measured<Growth>): void {
  const grown = (what: string, pick: (growth: Growth) => number, atMost: number): void =>
    run.judge({
      what: `${what}, ten times the data`,
      against: 'the tenth',
      ratios: ratios(large.samples.map(pick), small.samples.map(pick)),
      atMost,
      limit: NO_GROWTH,
    })
  // Without a limit a larger database is being copied for a larger share of the time, which says nothing of how long a commit waits.
  grown('p99 of a commit during backups as they come', ({ beside }) => limited(beside).during.p99Ms, 1.2)
  run.judge({
    what: 'longest commit during backups without a limit, ms more, ten times the data',
    against: 'the tenth',
    ratios: large.samples.map(
      ({ beside }, round) =>
        beside.during.longestMs - (small.samples[round]?.beside.during.longestMs ?? Number.NaN),
    ),
    atMost: 10,
    limit: limit('no growth', [0]),
  })
  run.judge({
    what: 'commits/s, 64 writers, ten times the data',
    against: 'the tenth',
    ratios: ratios(
      large.samples.map(({ parts }) => parts.commit.perSecond ?? Number.NaN),
      small.samples.map(({ parts }) => parts.commit.perSecond ?? Number.NaN),
    ),
    atLeast: 0.8,
    limit: NO_GROWTH,
  })
  grown('time of a backup by log', ({ parts }) => parts['by-log'].ms, 1.5)
  grown('MB of a backup by log', ({ parts }) => parts['by-log'].megabytes, 1.2)
  run.judge({
    what: 'recovery of updates of 1,000 keys over deltas, ten times the log',
    against: 'the tenth',
    ratios: ratios(
      large.samples.map(({ updates }) => updates.deltaMs),
      small.samples.map(({ updates }) => updates.deltaMs),
    ),
    atMost: 3,
    limit: NO_GROWTH,
  })
  grown('resident set of commits', ({ parts }) => parts.commit.rssMb, 1.5)
  grown('resident set of a full backup', ({ parts }) => parts.full.rssMb, 1.5)
  grown('resident set of the shipper', ({ parts }) => parts.ship.rssMb, 1.5)
  grown('resident set of a recovery', ({ parts }) => parts.recover.rssMb, 1.5)
}

/** Time may grow with what has changed, and no faster. */
async function benchChanges(run: BenchRun): Promise<void> {
  const records = run.quick ? 200_000 : 500_000
  const amounts = [records / 20, records / 2]
  const {
    measured: [few, many],
  } = await run.interleave<ChangesResult>(
    'growth of changes',
    amounts.map((changed) => ({
      title: `${String(changed)} keys`,
      measure: () => run.child('changes', { records, changed }),
    })),
  )
  if (few === undefined || many === undefined) return
  const grown = (what: string, pick: (changes: ChangesResult) => number): readonly string[] => {
    const [less, more] = [few.samples.map(pick), many.samples.map(pick)]
    run.judge({
      what: `${what}, ten times the changed keys`,
      against: 'the tenth',
      ratios: ratios(more, less),
      atMost: TEN_TIMES_AT_MOST,
      limit: limit('ten times as much to do', [10]),
    })
    return [what, median(less).toFixed(1), median(more).toFixed(1), medianRatio(more, less).toFixed(2)]
  }
  run.print(
    `Ten times the changed keys of ${String(records)}; times in ms`,
    ['', few.title, many.title, 'ratio'],
    [
      grown('time of the replay in a recovery', ({ replayMs }) => replayMs),
      grown('time of a recovery', ({ recoverMs }) => recoverMs),
      grown('time of a backup by log', ({ byLogMs }) => byLogMs),
      grown('MB of a backup by log', ({ byLogMegabytes }) => byLogMegabytes),
    ],
  )
}

/** Ours alone are measured here, and they have it. */
function limited({ limited: found }: BackupResult): Limited {
  if (found === undefined) throw new Error('no backups as they come were measured')
  return found
}

async function measure(run: BenchRun, records: number): Promise<Growth> {
  const parts = await withFolder(async (folder) => {
    const results: [Part, PartResult][] = []
    for (const part of PARTS) {
      const work = { part, folder, records, seconds: run.seconds }
      results.push([part, await run.child<PartResult>('growth', work)])
    }
    return Object.fromEntries(results) as Record<Part, PartResult>
  })
  const beside = await run.child<BackupResult>('backup', { records, seconds: run.seconds })
  const updates = await run.child<DeltaResult>('deltas', { records, keys: 1000 })
  return { parts, beside, updates }
}
