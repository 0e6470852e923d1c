// Right content is fetched and checked as a whole before anything is touched, and then lies in memory or in a file without a
// name; only after that the damaged object goes, and only if it is damaged still.
import { createHash } from 'node:crypto'
import { systemCode, TimberlineError } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import { archiveError } from '../errors.ts'
import { gather, type S3Upload, uploadChunks } from '../stores/s3-upload.ts'
import type { FindingSubject } from './finding.ts'
import { isStillNamed } from './inventory.ts'
import type { Candidate } from './repair-sources.ts'
import { isDamage, notWanted, provePiece, type Wanted } from './repair-wanted.ts'

/** Content that was read wholly and is the wanted one. */
export interface Found {
  readonly source: string
  readonly content: S3Upload
  readonly sha256: string
}

/** The first source with the right content; why others have not goes into `tried`. */
export async function search(
  archive: Archive,
  { wanted, candidates }: { readonly wanted: Wanted; readonly candidates: AsyncIterable<Candidate> },
  tried: string[],
): Promise<Found | undefined> {
  const seen = new Set<string>()
  for await (const candidate of candidates) {
    if (seen.has(candidate.source)) continue
    seen.add(candidate.source)
    try {
      return await fetched(archive, candidate, wanted)
    } catch (error) {
      // A source may be damaged, gone, or not answer; the next one may do. Anything else is a bug or the caller's stop.
      const isSource =
        error instanceof TimberlineError ? error.kind !== 'aborted' : systemCode(error) !== undefined
      if (!isSource) throw error
      tried.push(`${candidate.source}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return undefined
}

async function fetched(
  archive: Archive,
  { source, read, beginning }: Candidate,
  wanted: Wanted,
): Promise<Found> {
  const { name, bytes, sha256, piece } = wanted
  const hash = createHash('sha256')
  async function* hashed(): AsyncGenerator<Buffer> {
    let seen = 0
    for await (const chunk of read()) {
      seen += chunk.length
      if (seen > (bytes ?? seen)) throw notWanted(source, 'it is longer')
      hash.update(chunk)
      yield chunk
    }
  }
  const content = await gather(name, { read: hashed }, { bytesMax: Number.MAX_SAFE_INTEGER })
  try {
    const found = hash.digest('hex')
    if (content.bytes !== (bytes ?? content.bytes)) throw notWanted(source, 'it is shorter')
    if (found !== (sha256 ?? found)) throw notWanted(source, 'its checksum is another one')
    if (sha256 === undefined) {
      if (piece === undefined || beginning === undefined) throw notWanted(source, 'nothing proves it')
      await provePiece(archive, piece, beginning)
    }
    return { source, content, sha256: found }
  } catch (error) {
    await content.close()
    throw error
  }
}

/** What became of an object that was to be replaced. */
export interface Replacement {
  readonly outcome: 'repaired' | 'unneeded' | 'refused' | 'removed'
  readonly reason?: string
}

/** Removes a damaged object and puts the right content in its place, which lies ready. */
export async function replace(
  archive: Archive,
  { content, sha256, wanted, subject }: Found & { readonly wanted: Wanted; readonly subject: FindingSubject },
): Promise<Replacement> {
  const { name } = wanted
  // Another repair may have been faster, and retention may have let it go: a right object is never removed.
  if (!(await isStillNamed(archive, subject)))
    return { outcome: 'unneeded', reason: 'nothing names it any more' }
  if ((await contentSha256(archive, wanted)) === sha256)
    return { outcome: 'unneeded', reason: 'it is right by now' }
  try {
    await archive.store.delete(name)
  } catch (error) {
    return { outcome: 'refused', reason: reasonOf(refusal(name, error)) }
  }
  try {
    const read = (): AsyncIterable<Buffer> => uploadChunks(content)
    if (wanted.isManifest === true) await archive.putBare(name, await collected(read()))
    else await archive.putObject(name, { bytes: content.bytes, sha256, read })
    if ((await contentSha256(archive, wanted)) !== sha256)
      return { outcome: 'removed', reason: 'the store gave back other content than it was given' }
  } catch (error) {
    return { outcome: 'removed', reason: reasonOf(error) }
  }
  return { outcome: 'repaired' }
}

async function collected(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of content) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Of an object as it is now; `undefined` when it is damaged or not there. */
async function contentSha256(archive: Archive, { name, isManifest }: Wanted): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    if (isManifest === true) hash.update(await archive.getBare(name))
    else for await (const chunk of archive.readObject(name)) hash.update(chunk)
    return hash.digest('hex')
  } catch (error) {
    if (isDamage(error)) return undefined
    throw error
  }
}

/** A store that keeps objects from removal does its work; only its owner may say otherwise. */
export function refusal(name: string, cause: unknown): TimberlineError {
  return archiveError('ARCHIVE_REPAIR_REFUSED', 'the store did not let a damaged object go', {
    details: { name },
    cause,
  })
}

/** An error in one line: code, message, and what was behind it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof TimberlineError)) return String(error)
  const { code, message, cause } = error
  const because = cause instanceof Error ? `, because ${cause.message}` : ''
  return `${code} ${message}${because}`
}
