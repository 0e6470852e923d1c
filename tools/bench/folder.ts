/** Where a measurement writes, which is on the disk that is measured. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** Ends with the folder's removal, also when `run` fails. */
export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  // A folder on the disk of the checkout: the temporary folder may be memory, where a flush costs nothing.
  const folder = await mkdtemp(join(process.env['BENCH_FOLDER'] ?? process.cwd(), '.bench-'))
  // A peer that is still ending may write there.
  const clear = (): Promise<void> => rm(folder, { recursive: true, force: true, maxRetries: 5 })
  const result = await run(folder).catch(async (error: unknown) => {
    // What is still open may write there; what went wrong first is what is told.
    await clear().catch(() => undefined)
    throw error
  })
  await clear()
  return result
}
