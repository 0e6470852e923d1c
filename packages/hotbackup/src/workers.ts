/**
 * Runs `work` over `items`, at most `concurrency` at a time, results in the order of the items. The first failure stops
 * further items from beginning; it is thrown after those under way have ended, so that nothing goes on in the background.
 */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  concurrency: number,
  work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const failures: unknown[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < items.length && failures.length === 0) {
      const index = next
      next += 1
      try {
        results[index] = await work(items[index] as Item, index)
      } catch (error) {
        failures.push(error)
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
  return results
}

/**
 * The results of works that are under way side by side. It waits for all of them, so that nothing goes on in the background, and then throws
 * the error of the first in order that failed.
 */
export async function allOf<Works extends readonly unknown[] | []>(
  works: Works,
): Promise<{ -readonly [Index in keyof Works]: Awaited<Works[Index]> }> {
  const settled = await Promise.allSettled(works)
  for (const one of settled) if (one.status === 'rejected') throw one.reason
  return Promise.all(works)
}

/** What has been begun, and what was looked up beside that; what was begun is abandoned when the look fails. */
export async function begunBeside<Begun extends { abandon(): Promise<unknown> }, Found>(
  beginning: Promise<Begun>,
  looking: Promise<Found>,
): Promise<readonly [Begun, Found]> {
  const [begun, found] = await Promise.allSettled([beginning, looking])
  if (found.status === 'rejected') {
    if (begun.status === 'fulfilled') await begun.value.abandon()
    throw found.reason
  }
  if (begun.status === 'rejected') throw begun.reason
  return [begun.value, found.value]
}
