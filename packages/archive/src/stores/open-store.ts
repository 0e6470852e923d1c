import { fileURLToPath } from 'node:url'
import { type FileSystem, nodeFileSystem } from '@timberline/wal'
import type { ArchiveStore } from './archive-store.ts'
import { directoryStore } from './directory-store.ts'
import { archiveError } from '../errors.ts'
import { s3AddressOf } from './s3-address.ts'
import { s3Store } from './s3-store.ts'

const SCHEME = /^([a-z][a-z0-9+.-]+):/

/**
 * The store at an address: a path, `dir:/path`, `file:///path` or `s3://bucket/prefix`.
 *
 * @param fileSystem - what a store in a folder works with
 * @throws ARCHIVE_URL_UNKNOWN
 */
export function openStore(url: string, fileSystem: FileSystem = nodeFileSystem): ArchiveStore {
  const scheme = SCHEME.exec(url)?.[1]
  if (scheme === undefined && url !== '') return directoryStore(url, fileSystem)
  if (scheme === 'dir' && url.length > 4) return directoryStore(url.slice(4), fileSystem)
  if (scheme === 'file') return directoryStore(pathOf(url), fileSystem)
  if (scheme === 's3') return s3Store(s3AddressOf(url))
  throw archiveError('ARCHIVE_URL_UNKNOWN', 'no store is known for this address', { details: { url } })
}

/** A file of another host, or a path with a coded slash, is an address of no folder here. */
function pathOf(url: string): string {
  try {
    return fileURLToPath(url)
  } catch (cause) {
    throw archiveError('ARCHIVE_URL_UNKNOWN', 'the address names no folder', { details: { url }, cause })
  }
}
