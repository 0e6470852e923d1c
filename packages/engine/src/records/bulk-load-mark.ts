import type { LogRecord } from '@timberline/wal'
import { engineError } from '../errors.ts'

/** Names of restore points that begin so are the engine's own: FORMAT.md#bulk-load. */
const OWN_PREFIX = '\0'

/**
 * The restore point that stands in the log where data was loaded beside it. A mark, so that it travels wherever marks do: into
 * seals, pieces, catalogues and manifests, and a recovery plan knows of it before anything is read.
 */
export const BULK_LOAD_MARK: string = `${OWN_PREFIX}bulkload`

/** Whether a restore point says that data was loaded beside the log, so that no replay leads past it. */
export function isBulkLoadMark(mark: { readonly name: string }): boolean {
  return mark.name === BULK_LOAD_MARK
}

/** Whether a record says that data was loaded beside the log, so that no replay leads past it. */
export function isBulkLoad({ kind, payload }: Pick<LogRecord, 'kind' | 'payload'>): boolean {
  return kind === 'mark' && Buffer.from(payload).toString('utf8') === BULK_LOAD_MARK
}

/**
 * Refuses a record that no replay leads past.
 *
 * @throws ENGINE_BULK_LOADED
 */
export function refuseBulkLoad(record: Pick<LogRecord, 'kind' | 'payload' | 'lsn'>): void {
  if (!isBulkLoad(record)) return
  throw engineError('ENGINE_BULK_LOADED', 'data was loaded beside the log here', {
    details: { lsn: record.lsn },
  })
}

/** Refuses a name that only the engine gives. @throws ENGINE_OPTION_INVALID */
export function refuseOwnMark(name: string): void {
  if (!name.startsWith(OWN_PREFIX)) return
  throw engineError('ENGINE_OPTION_INVALID', 'the name of a restore point begins with U+0000', {
    details: { name },
  })
}
