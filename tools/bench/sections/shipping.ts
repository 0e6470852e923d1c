/** What archiving costs the application, how far the archive is behind, and what the shipper needs. */
import type { BenchRun } from '../run.ts'
import { median } from '../statistics.ts'
import type { ShippingResult } from '../workloads/shipping-workload.ts'

export async function benchShipping(run: BenchRun): Promise<void> {
  const [measured] = await run.interleave<ShippingResult>('shipping', [
    { title: 'timberline', measure: () => run.child('shipping', { seconds: Math.max(2, run.seconds) }) },
  ])
  const of = (pick: (sample: ShippingResult) => number): number => median((measured?.samples ?? []).map(pick))
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
  console.log(
    [
      `from commit to durable in the archive, 2,000 commits/s that wait for it: p50 ${of((s) => s.eager.p50Ms).toFixed(1)} ms, p99 ${of((s) => s.eager.p99Ms).toFixed(1)} ms; the shipper takes ${percent(of((s) => s.eagerCpu))} of a core`,
      `at rest the shipper takes ${percent(of((s) => s.idleCpu))} of a core; its resident set at most ${of((s) => s.shipperRssMb).toFixed(0)} MB`,
    ].join('\n'),
  )
}

function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}
