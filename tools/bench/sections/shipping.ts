/** What archiving costs the application, how far the archive is behind, and what the shipper needs. */
import { limit } from '../goals.ts'
import { cPeerPath, litestreamPath } from '../peers.ts'
import type { BenchRun, Column, Measured } from '../run.ts'
import { median } from '../statistics.ts'
import { NOTHING_LOST } from './bounds.ts'
import type { RecoveryPoint } from '../workloads/litestream-workload.ts'
import {
  EAGER_RATE,
  type FloodResult,
  type GzipCalls,
  type ShippingResult,
} from '../workloads/shipping-workload.ts'

/** Absent for peers: all but the recovery point. */
interface Sample extends RecoveryPoint {
  readonly shipping?: ShippingResult
}

export async function benchShipping(run: BenchRun): Promise<void> {
  const seconds = Math.max(2, run.seconds)
  const { measured, machine } = await run.interleave<Sample>('shipping', [
    {
      title: 'timberline, commits that wait for the archive',
      measure: async () => {
        const shipping = await run.child<ShippingResult>('shipping', { seconds })
        return { ...shipping.eager, cpu: shipping.eagerCpu, idleCpu: shipping.idleCpu, shipping }
      },
    },
    litestream(run, 'Litestream (SQLite), once a second as is its default', 1000),
    litestream(run, 'Litestream (SQLite), every millisecond', 1),
  ])
  judge(
    run,
    measured,
    machine.map(({ flushP50Ms }) => flushP50Ms),
  )
  printCost(
    run,
    (measured[0]?.samples ?? []).flatMap(({ shipping }) => shipping ?? []),
  )
  const [ours, ...others] = measured
  const asItComes = (ours?.samples ?? []).flatMap(({ shipping }) => shipping?.asItComes ?? [])
  run.print(
    `From commit to durable in the archive, ${String(EAGER_RATE)} commits/s`,
    ['', 'commits/s', 'p50 ms', 'p99 ms', 'shipper, % of a core', 'at rest'],
    [
      ...(ours === undefined ? [] : [ours]),
      { title: 'timberline, once a second as is its default', samples: asItComes },
      ...others,
    ].map(({ title, samples }) => [
      title,
      median(samples.map((s) => s.commitsPerSecond)).toFixed(0),
      median(samples.map((s) => s.p50Ms)).toFixed(1),
      median(samples.map((s) => s.p99Ms)).toFixed(1),
      percent(median(samples.map((s) => s.cpu))),
      percent(median(samples.map((s) => s.idleCpu))),
    ]),
  )
}

function judge(run: BenchRun, measured: readonly Measured<Sample>[], flushMs: readonly number[]): void {
  const ours = measured[0]?.samples ?? []
  const point = (what: string, pick: (sample: Sample) => number, atMost: number): void => {
    const bound = limit(
      'two flushes: log and archive',
      flushMs.map((ms) => 2 * ms),
    )
    run.judge({ what, against: 'commit to archive', ratios: ours.map(pick), atMost, limit: bound })
  }
  point('recovery point, p50 ms', (sample) => sample.p50Ms, 10)
  point('recovery point, p99 ms', (sample) => sample.p99Ms, 100)
  const share = (what: string, pick: (sample: Sample) => number, atMost: number): void => {
    run.judge({ what, against: 'of a core', ratios: ours.map(pick), atMost, limit: limit('') })
  }
  const all = ours.flatMap((sample) => sample.shipping ?? [])
  run.judge({
    what: 'recovery point as it comes, p99 ms',
    against: 'commit to archive',
    ratios: all.map(({ asItComes }) => asItComes.p99Ms),
    atMost: 1000,
    limit: limit('an interval of a second', [990]),
  })
  share(`eager shipper, ${String(EAGER_RATE)} commits/s`, (sample) => sample.cpu, 0.1)
  share('shipper at rest', (sample) => sample.idleCpu, 0.01)
  const cost = (
    what: string,
    pick: (sample: ShippingResult) => number,
    goal: { atLeast: number } | { atMost: number },
  ): void => {
    run.judge({
      what: `shipping on, ${what}`,
      against: 'off',
      ratios: all.map(pick),
      ...goal,
      limit: NOTHING_LOST,
    })
  }
  cost('64 writers flat out', (s) => s.on.commitsPerSecond / s.off.commitsPerSecond, { atLeast: 0.8 })
  cost('half of that', (s) => s.halfOn.commitsPerSecond / s.halfOff.commitsPerSecond, { atLeast: 0.98 })
  cost('p99 at half', (s) => s.halfOn.p99Ms / s.halfOff.p99Ms, { atMost: 1.2 })
  run.judge({
    what: 'all archived after seconds of 256 writers flat out, ms',
    against: 'the last commit',
    ratios: all.map((s) => s.flooded.caughtUpMs),
    atMost: 1000,
    limit: limit('within an interval: no growing backlog'),
  })
  const gzip = (title: string, pick: (sample: ShippingResult) => GzipCalls): void => {
    run.judge({
      what: `gzip on the event loop, ${title}, p99 ms`,
      against: 'the loop',
      ratios: all.map((sample) => pick(sample).gzipP99Ms),
      atMost: 1,
      limit: limit(''),
    })
  }
  gzip(`${String(EAGER_RATE)} commits/s that wait`, (sample) => sample.eagerGzip)
  gzip('256 writers flat out', (sample) => sample.flooded.gzip)
}

function litestream(run: BenchRun, title: string, intervalMs: number): Column<Sample> {
  const there = run.has('sqlite', cPeerPath('sqlite')) && run.has('litestream', litestreamPath)
  const work = { intervalMs, commitsPerSecond: EAGER_RATE, seconds: Math.max(2, run.seconds) }
  return {
    title,
    isPeer: true,
    measure: there ? () => run.child<RecoveryPoint>('litestream', work) : undefined,
  }
}

function printCost(run: BenchRun, samples: readonly ShippingResult[]): void {
  const of = (pick: (sample: ShippingResult) => number): number => median(samples.map(pick))
  run.print(
    'The shipper as a process of its own, into a folder, once a second',
    ['', 'off', 'on', 'on / off'],
    [
      [
        'commits/s of 64 writers, flat out',
        of((s) => s.off.commitsPerSecond).toFixed(0),
        of((s) => s.on.commitsPerSecond).toFixed(0),
        of((s) => s.on.commitsPerSecond / s.off.commitsPerSecond).toFixed(2),
      ],
      [
        'commits/s at half of that',
        of((s) => s.halfOff.commitsPerSecond).toFixed(0),
        of((s) => s.halfOn.commitsPerSecond).toFixed(0),
        of((s) => s.halfOn.commitsPerSecond / s.halfOff.commitsPerSecond).toFixed(3),
      ],
      [
        'p99 ms at half of that',
        of((s) => s.halfOff.p99Ms).toFixed(2),
        of((s) => s.halfOn.p99Ms).toFixed(2),
        of((s) => s.halfOn.p99Ms / s.halfOff.p99Ms).toFixed(2),
      ],
    ],
  )
  console.log(`resident set of the shipper at most ${of((s) => s.shipperRssMb).toFixed(0)} MB`)
  printFlood(
    run,
    samples.map((sample) => sample.flooded),
  )
  const gzip = (title: string, calls: readonly GzipCalls[]): string[] => {
    const each = (pick: (one: GzipCalls) => number, digits: number): string =>
      median(calls.map(pick)).toFixed(digits)
    return [title, each((c) => c.gzipCalls, 0), each((c) => c.gzipP99Ms, 2), each((c) => c.gzipMaxMs, 2)]
  }
  run.print(
    "Compression on the shipper's event loop; more than 16 KiB at a time goes to a thread of its own",
    ['', 'calls', 'p99 ms', 'longest ms'],
    [
      gzip(
        `commits that wait, ${String(EAGER_RATE)}/s`,
        samples.map((sample) => sample.eagerGzip),
      ),
      gzip(
        '256 writers, flat out',
        samples.map((sample) => sample.flooded.gzip),
      ),
    ],
  )
}

/** Whether the shipper keeps pace with all that a log can take. */
function printFlood(run: BenchRun, samples: readonly FloodResult[]): void {
  const of = (pick: (sample: FloodResult) => number): string => median(samples.map(pick)).toFixed(1)
  run.print(
    'The shipper beside 256 writers, flat out',
    ['', ''],
    [
      ['commits/s', of((s) => s.commitsPerSecond)],
      ['thousands of commits behind, second by second', ...samples.slice(0, 1).map(behindOf)],
      ['ms until nothing was behind', of((s) => s.caughtUpMs)],
      ["shipper's event loop late, p99 ms", of((s) => s.stallP99Ms)],
      ['at most, ms', of((s) => s.stallMaxMs)],
    ],
  )
}

function behindOf({ behind }: FloodResult): string {
  return behind.map((count) => (count / 1000).toFixed(1)).join(' ')
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
