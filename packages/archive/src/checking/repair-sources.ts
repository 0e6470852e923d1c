// Where good content may lie: a copy under another name in the same archive, the files of a home, another archive of the
// environment. Content is what counts: log is the same bytes in a segment, in pieces, in a backup and in the home.
import { join } from 'node:path'
import { type FileSystem, segmentName } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import type { BackupFile } from '../catalogue/backup-manifest.ts'
import type { BackupRef, Catalogue } from '../catalogue/catalogue.ts'
import { readRange } from '../shipping/file-range.ts'
import { rangeOf } from '../shipping/segment-content.ts'
import { isDamage, type LogRange, type Wanted } from './repair-wanted.ts'

/** A place whose content may be the wanted one. */
export interface Candidate {
  /** For people: an address and an object, or a path. */
  readonly source: string
  readonly read: () => AsyncIterable<Buffer>
  /** The segment's file from its beginning to the end of what is wanted, where that is log. */
  readonly beginning?: (() => AsyncIterable<Buffer>) | undefined
}

/** The places of one repair. */
export interface RepairPlaces {
  readonly archive: Archive
  readonly others: readonly Archive[]
  /** A home, or the folder of a backup: both have `log/` and `checkpoint/tables/`. */
  readonly home?: string | undefined
  readonly fileSystem: FileSystem
}

/** Finds candidates; what archives hold is read once. */
export class RepairSources {
  readonly #places: RepairPlaces
  readonly #holdings = new Map<Archive, Promise<Holdings>>()

  constructor(places: RepairPlaces) {
    this.#places = places
  }

  /** Candidates for what is wanted, the nearest first. */
  async *candidates(wanted: Wanted): AsyncGenerator<Candidate> {
    const { archive, others } = this.#places
    yield* this.#within(archive, wanted)
    yield* this.#atHome(wanted)
    for (const other of others) {
      if (wanted.isManifest === true) yield manifestIn(other, wanted)
      else yield* this.#within(other, wanted)
    }
  }

  async *#within(place: Archive, wanted: Wanted): AsyncGenerator<Candidate> {
    const { name, sha256, log, isManifest } = wanted
    if (isManifest === true) return
    const holdings = await this.#holdingsOf(place)
    const isOwn = place === this.#places.archive
    const objects = holdings.objects.filter((one) => !(isOwn && one.name === name))
    if (sha256 !== undefined) {
      // Under its own name first: of two archives that are copies of each other nothing else need be looked at.
      if (!isOwn && (await place.store.status(name)) !== undefined)
        yield { source: `${place.store.url} ${name}`, read: () => place.readObject(name) }
      for (const one of objects) {
        if (one.sha256 === sha256 && one.name !== name)
          yield { source: `${place.store.url} ${one.name}`, read: one.read }
      }
    }
    if (log === undefined) return
    for (const one of [...objects, ...piecesOf(place, holdings.catalogue, log)]) {
      if (!holdsLog(one, log) || (isOwn && one.parts?.includes(name) === true)) continue
      yield logCandidate(`${place.store.url} ${one.name}`, one.read, log)
    }
  }

  async *#atHome({ log, path, bytes = 0 }: Wanted): AsyncGenerator<Candidate> {
    const { home, fileSystem } = this.#places
    const file = log === undefined ? path : join('log', segmentName(log.segmentNumber))
    if (home === undefined || file === undefined) return
    const source = join(home, file)
    const status = await fileSystem.status(source)
    if (status === undefined || status.bytes < (log?.endPosition ?? bytes)) return
    const { position, endPosition } = log ?? { position: 0, endPosition: bytes }
    const read = (): AsyncIterable<Buffer> => readRange(fileSystem, { path: source, position, endPosition })
    const beginning = (): AsyncIterable<Buffer> =>
      readRange(fileSystem, { path: source, position: 0, endPosition })
    yield { source, read, ...(log === undefined ? {} : { beginning }) }
  }

  #holdingsOf(archive: Archive): Promise<Holdings> {
    const known = this.#holdings.get(archive) ?? holdingsOf(archive)
    this.#holdings.set(archive, known)
    return known
  }
}

/** Content in an archive. */
interface Holding {
  readonly name: string
  readonly bytes: number
  readonly sha256?: string
  /** Which segment's file it is the beginning of. */
  readonly log?: { readonly timeline: number; readonly segmentNumber: number }
  /** The objects, where there are several. */
  readonly parts?: readonly string[]
  readonly read: () => AsyncIterable<Buffer>
}

interface Holdings {
  readonly catalogue: Catalogue
  readonly objects: readonly Holding[]
}

async function holdingsOf(archive: Archive): Promise<Holdings> {
  const catalogue = await archive.catalogue()
  const objects: Holding[] = catalogue.segments.map((segment) => ({
    ...segment,
    log: segment,
    read: () => archive.fetchSegment(segment),
  }))
  for (const backup of catalogue.backups) {
    for (const file of await filesOf(archive, backup)) objects.push(fileHolding(archive, backup, file))
  }
  return { catalogue, objects }
}

/** A damaged manifest names nothing that could be used. */
async function filesOf(archive: Archive, { label }: BackupRef): Promise<readonly BackupFile[]> {
  try {
    return (await archive.backupManifest(label)).files
  } catch (error) {
    if (isDamage(error)) return []
    throw error
  }
}

function fileHolding(archive: Archive, { timeline }: BackupRef, file: BackupFile): Holding {
  const { name: path, object: name = path, bytes, sha256 } = file
  const digits = /^log\/log\.(\d{10})$/.exec(path)?.[1]
  const log = digits === undefined ? {} : { log: { timeline, segmentNumber: Number(digits) } }
  return { name, bytes, sha256, ...log, read: () => archive.fetchBackupFile(file) }
}

/** The pieces of a segment from its beginning on, as far as no hole is between them. */
function piecesOf(archive: Archive, { pieces }: Catalogue, log: LogRange): readonly Holding[] {
  const { timeline, segmentNumber } = log
  const own = pieces.filter((piece) => piece.timeline === timeline && piece.segmentNumber === segmentNumber)
  let bytes = 0
  const chain = own.filter((piece) => {
    if (piece.position !== bytes || bytes >= log.endPosition) return false
    bytes = piece.endPosition
    return true
  })
  const [first] = chain
  if (first === undefined) return []
  const parts = chain.map(({ name }) => name)
  const name = `${parts.length} pieces from ${first.name}`
  return [{ name, bytes, parts, log: { timeline, segmentNumber }, read: () => archive.fetchPieces(chain) }]
}

function holdsLog({ log, bytes }: Holding, wanted: LogRange): boolean {
  return (
    log?.timeline === wanted.timeline &&
    log.segmentNumber === wanted.segmentNumber &&
    bytes >= wanted.endPosition
  )
}

function logCandidate(
  source: string,
  content: () => AsyncIterable<Buffer>,
  { position, endPosition }: LogRange,
): Candidate {
  return {
    source,
    read: () => rangeOf(content(), { position, endPosition }),
    beginning: () => rangeOf(content(), { position: 0, endPosition }),
  }
}

function manifestIn(archive: Archive, { name }: Wanted): Candidate {
  return {
    source: `${archive.store.url} ${name}`,
    async *read() {
      yield await archive.getBare(name)
    },
  }
}
