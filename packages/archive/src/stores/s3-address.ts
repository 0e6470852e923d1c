import { archiveError } from '../errors.ts'
import { isObjectName } from './archive-store.ts'

/** What an `s3:` address says; credentials are never part of it. */
export interface S3Address {
  /** The address as people wrote it. */
  readonly url: string
  readonly bucket: string
  /** Begins every key: empty, or ends in a slash. */
  readonly keyPrefix: string
  /** Where the service answers; AWS's own place for the region by default. */
  readonly endpoint: string | undefined
  /** By default what the SDK finds in its environment; `us-east-1` beside an endpoint. */
  readonly region: string | undefined
  /** Whether the bucket stands in the path instead of the host's name; so by default beside an endpoint. */
  readonly isPathStyle: boolean
}

const BUCKET = /^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/
const PARAMETERS = new Set(['endpoint', 'region', 'path-style'])

/** Reads `s3://bucket/prefix?endpoint=URL&region=NAME&path-style=true|false`. @throws ARCHIVE_URL_UNKNOWN */
export function s3AddressOf(url: string): S3Address {
  const { hostname, port, pathname, searchParams, username, password, hash } = urlOf(url)
  // Whoever writes a secret into an address finds it in logs and process lists: it is refused, and not repeated here.
  if (username !== '' || password !== '') throw unknown('credentials do not belong into an address')
  if (!BUCKET.test(hostname) || port !== '' || hash !== '') throw unknown('the address names no bucket')
  for (const [name] of searchParams) {
    if (!PARAMETERS.has(name) || searchParams.getAll(name).length > 1)
      throw unknown('a parameter is not known')
  }
  const prefix = pathname.replaceAll(/^\/|\/$/g, '')
  if (prefix !== '' && !isObjectName(prefix)) throw unknown('the prefix could not begin an object name')
  const endpoint = endpointOf(searchParams.get('endpoint') ?? undefined)
  const region = searchParams.get('region') ?? (endpoint === undefined ? undefined : 'us-east-1')
  const pathStyle = searchParams.get('path-style') ?? String(endpoint !== undefined)
  if (region !== undefined && !/^[a-z0-9-]+$/.test(region)) throw unknown('the region is not a name')
  if (pathStyle !== 'true' && pathStyle !== 'false') throw unknown('path-style is true or false')
  const keyPrefix = prefix === '' ? '' : `${prefix}/`
  return { url, bucket: hostname, keyPrefix, endpoint, region, isPathStyle: pathStyle === 'true' }
}

function endpointOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const { protocol, username, password, search, hash } = urlOf(text)
  const isPlain = username === '' && password === '' && search === '' && hash === ''
  if (!isPlain || (protocol !== 'http:' && protocol !== 'https:')) {
    throw unknown('the endpoint is not a plain http or https address')
  }
  return text
}

function urlOf(text: string): URL {
  if (!URL.canParse(text)) throw unknown('the address cannot be read')
  return new URL(text)
}

function unknown(reason: string): Error {
  return archiveError('ARCHIVE_URL_UNKNOWN', 'no store is known for this address', { details: { reason } })
}
