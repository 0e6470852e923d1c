import { type OpenReport, TimberLevel } from '@timberline/engine'
import { invariant, TimberlineError } from '@timberline/wal'

/**
 * Opens a home as its application would, and closes it again. What goes wrong is thrown under its own code: abstract-level
 * would wrap it into "database failed to open".
 */
export async function openOnce(home: string): Promise<OpenReport> {
  const level = new TimberLevel(home, { createIfMissing: false })
  try {
    await level.open()
  } catch (error) {
    throw ownError(error)
  }
  const { opened } = level
  await level.close()
  invariant(opened !== undefined, 'an open database reports how it was opened')
  return opened
}

/** abstract-level wraps once, and a locked home once more, for programs that look for its code. */
function ownError(error: unknown): unknown {
  let inner = error
  for (let depth = 0; depth < 3 && inner instanceof Error; depth++) {
    if (inner instanceof TimberlineError) return inner
    inner = inner.cause
  }
  return error
}
