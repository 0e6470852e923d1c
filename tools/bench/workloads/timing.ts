/** The clock around a piece of work. */
import { performance } from 'node:perf_hooks'

/** In milliseconds. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now()
  await work()
  return performance.now() - begin
}
