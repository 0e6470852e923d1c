/** The digest of a state against merely reading all of it. */
import { limit } from '../goals.ts'
import { RECORD_BYTES } from '../records.ts'
import type { BenchRun } from '../run.ts'
import { comparedRow, ratios } from '../statistics.ts'
import type { DigestResult } from '../workloads/digest-workload.ts'

export async function benchDigest(run: BenchRun): Promise<void> {
  const records = 500_000
  const { samples, machine } = await run.alone<DigestResult>('digest', { records })
  const reading = samples.map(({ nextvMs }) => nextvMs)
  const row = (title: string, these: readonly number[]): readonly string[] =>
    comparedRow(title, these, ratios(reading, these))
  const hashMs = machine.map(({ sha256MbPerS }) => (records * RECORD_BYTES) / 1000 / sha256MbPerS)
  for (const [what, pick] of [
    ['of a database at work', ({ liveMs }: DigestResult) => liveMs],
    ['of a state at rest', ({ tablesMs }: DigestResult) => tablesMs],
  ] as const)
    run.judge({
      what: `digest ${what}, speed`,
      against: 'reading all by nextv',
      ratios: ratios(reading, samples.map(pick)),
      atLeast: 0.7,
      limit: limit('sha256 of the same bytes', ratios(reading, hashMs)),
    })
  run.print(
    `Digests of ${String(records)} records`,
    ['', 'ms', 'speed / nextv'],
    [
      row('classic-level, all entries by nextv', reading),
      row(
        'digest of a database at work',
        samples.map(({ liveMs }) => liveMs),
      ),
      row(
        'digest of a state at rest: recovery, backup, checkpoint',
        samples.map(({ tablesMs }) => tablesMs),
      ),
    ],
  )
}
