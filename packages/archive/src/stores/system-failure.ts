import { TimberlineError } from '@timberline/wal'
import { archiveError } from '../errors.ts'

/** The operating system's code of an error, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error instanceof TimberlineError || !('code' in error)) return undefined
  return typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code) ? error.code : undefined
}

/** Where a store's work takes place; `isPut`: nothing to be found is expected, so ENOENT means that the folder went. */
export interface StoreSite {
  readonly name: string
  readonly url: string
  readonly isPut?: boolean
}

/** Runs a store's work and turns the system's errors into this package's. */
export async function wrapped<T>(
  work: () => Promise<T>,
  { name, url, isPut = false }: StoreSite,
): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const systemCode = systemCodeOf(error)
    if (systemCode === undefined) throw error
    const more = { details: { name, url, systemCode }, cause: error }
    if (!isPut && (systemCode === 'ENOENT' || systemCode === 'ENOTDIR')) {
      throw archiveError('ARCHIVE_OBJECT_MISSING', 'there is no such object', more)
    }
    throw archiveError('ARCHIVE_STORE_FAILED', 'the store refused', more)
  }
}
