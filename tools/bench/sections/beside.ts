/** What something takes from the writers beside it. */
import { median } from '../statistics.ts'
import type { Beside } from '../workloads/writers.ts'

/** Of the writers' rate before. */
export function keptOf(samples: readonly Beside[]): number[] {
  return samples.map(({ without, during }) => during.commitsPerSecond / without.commitsPerSecond)
}

/** Milliseconds that the longest commit takes more. */
export function longestMore(samples: readonly Beside[]): number[] {
  return samples.map(({ without, during }) => during.longestMs - without.longestMs)
}

/** A cell: without / during. */
export function waits(samples: readonly Beside[], wait: 'p99Ms' | 'longestMs'): string {
  const of = (when: keyof Beside): string => median(samples.map((sample) => sample[when][wait])).toFixed(2)
  return `${of('without')} / ${of('during')}`
}
