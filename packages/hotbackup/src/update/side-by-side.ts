// Works of an update that are under way side by side, and what becomes of the others when one fails.

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
