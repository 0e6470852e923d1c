import { TimberlineError } from '@timberline/wal'
import { archiveError } from '../errors.ts'

/** Where a request was bound for. */
export interface S3Site {
  readonly name: string
  readonly url: string
}

/** The HTTP status of a refusal; `undefined` when no answer came. */
export function s3StatusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  const metadata = error.$metadata
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined
}

/** A missing bucket is no missing object: a mistyped bucket must not look like an empty archive. */
export function isS3Missing(error: unknown): boolean {
  return s3StatusOf(error) === 404 && !(error instanceof Error && error.name === 'NoSuchBucket')
}

/** Turns what the SDK threw into this package's error. */
export function s3Failure(error: unknown, site: S3Site): TimberlineError {
  if (error instanceof TimberlineError) return error
  const cause = causeOf(error)
  const details = { ...site, status: s3StatusOf(error) }
  if (isS3Missing(error)) {
    return archiveError('ARCHIVE_OBJECT_MISSING', 'there is no such object', { details, cause })
  }
  return archiveError('ARCHIVE_STORE_FAILED', 'the store refused', { details, cause })
}

/** Runs requests and turns their failures into this package's errors. */
export async function asking<T>(site: S3Site, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw s3Failure(error, site)
  }
}

/** A copy of name and message: the SDK's own errors carry the request, whose headers hold tokens. */
function causeOf(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('the client threw something that is no error')
  const code = 'code' in error && typeof error.code === 'string' ? `${error.code} ` : ''
  return new Error(`${error.name}: ${code}${error.message}`)
}
