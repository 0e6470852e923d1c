// Puts right content in the place of damaged objects. Nothing the catalogue says changes, so no ownership is needed: whatever a
// shipper or retention does at the same time, an object ends as what the journal names, or is one that nothing names any more.
// Fault model: the process may die between the removal of a damaged object and the put of the right one. Then the object is
// missing, what it was still is named by the journal, and the next repair puts it; the right content is untouched where it was.
import { type FileSystem, nodeFileSystem } from '@timberline/wal'
import type { Archive } from '../archive.ts'
import { JOURNAL_PREFIX, PAGE_PREFIX, parsePieceName } from '../layout.ts'
import { archiveError } from '../errors.ts'
import { refuseAborted } from '../shipping/file-range.ts'
import { verifyArchive, type VerifyProgress } from '../verify.ts'
import type { ArchiveFinding } from './finding.ts'
import { isStillNamed } from './inventory.ts'
import { reasonOf, refusal, replace, search } from './repair-content.ts'
import { RepairSources } from './repair-sources.ts'
import { wantedOf } from './repair-wanted.ts'

/** What to repair, and from where. */
export interface RepairArchiveOptions {
  readonly archive: Archive
  /** Other archives of the same environment. */
  readonly from?: readonly Archive[] | undefined
  /** The live home, or the folder of a backup. */
  readonly home?: string | undefined
  /** Repair only these objects. Default: all that a verification finds. */
  readonly names?: readonly string[] | undefined
  /** Without it nothing is changed. Default false. */
  readonly apply?: boolean | undefined
  readonly fileSystem?: FileSystem | undefined
  readonly signal?: AbortSignal | undefined
  /** Of the verification before. */
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined
}

/**
 * `repairable`: right content was found, and nothing changed; `repaired`: it is in the archive, read back; `unneeded`: the object is
 * right, or nothing names it; `unrepairable`: no source has it; `refused`: the store did not let the damaged object go;
 * `removed`: the damaged object is gone and the right content was not put: to be repaired again, by name if it is a piece.
 */
export type RepairOutcome = 'repairable' | 'repaired' | 'unneeded' | 'unrepairable' | 'refused' | 'removed'

/** What became of one finding. */
export interface RepairStep {
  readonly name: string
  readonly outcome: RepairOutcome
  /** Absent for a name in which nothing was found. */
  readonly finding?: ArchiveFinding | undefined
  /** Where the right content was found. */
  readonly source?: string | undefined
  /** Why it is not repaired. */
  readonly reason?: string | undefined
  /** Sources that did not have it, and why. */
  readonly tried: readonly string[]
}

/**
 * Verifies an archive, and finds right content for each damaged or missing object; with `apply`, puts it there.
 *
 * @throws ARCHIVE_JOURNAL_DAMAGED ARCHIVE_FOREIGN_ENVIRONMENT
 */
export async function* repairArchive(options: RepairArchiveOptions): AsyncGenerator<RepairStep> {
  const { archive, from = [], home, fileSystem = nodeFileSystem, names } = options
  const { environmentId } = archive.identity
  const foreign = from.find(({ identity }) => identity.environmentId !== environmentId)
  if (foreign !== undefined) {
    throw archiveError('ARCHIVE_FOREIGN_ENVIRONMENT', 'an archive of another environment is no source', {
      details: { url: foreign.store.url, environmentId: foreign.identity.environmentId },
    })
  }
  const sources = new RepairSources({ archive, others: from, home, fileSystem })
  const repair = { archive, sources, apply: options.apply === true }
  const labels: string[] = []
  const findings = await findingsOf(options, names)
  for (const finding of findings) {
    refuseAborted(options.signal)
    const step = await repairOne(repair, finding)
    if (step.outcome === 'repaired' && finding.subject?.type === 'manifest')
      labels.push(finding.subject.backup.label)
    yield step
  }
  for (const name of names ?? []) {
    if (findings.some((finding) => finding.name === name)) continue
    yield { name, outcome: 'unneeded', reason: 'it is right, or nothing names it', tried: [] }
  }
  // Only now it is known what these backups should hold.
  for (const label of labels) {
    const { files } = await archive.backupManifest(label)
    const objects = files.map(({ name, object = name }) => object)
    for (const finding of await findingsOf(options, objects)) yield await repairOne(repair, finding)
  }
}

interface Repair {
  readonly archive: Archive
  readonly sources: RepairSources
  readonly apply: boolean
}

async function findingsOf(
  { archive, signal, onProgress }: RepairArchiveOptions,
  names: readonly string[] | undefined,
): Promise<readonly ArchiveFinding[]> {
  const only = names === undefined ? undefined : new Set(names)
  const findings: ArchiveFinding[] = []
  // Collected first: nothing is changed under a verification that goes on.
  for await (const finding of verifyArchive(archive, { signal, only, onProgress })) {
    if (finding.name.startsWith(JOURNAL_PREFIX)) {
      throw archiveError(
        'ARCHIVE_JOURNAL_DAMAGED',
        'a journal is mended from a copy of the same archive only',
        {
          details: { name: finding.name, problem: finding.message },
        },
      )
    }
    if (only?.has(finding.name) === false || isRepeated(finding, findings)) continue
    findings.push(finding)
  }
  for (const name of names ?? []) {
    if (findings.some((finding) => finding.name === name)) continue
    const missing = await missingPiece(archive, name)
    if (missing !== undefined) findings.push(missing)
  }
  return findings
}

/** An object that several backups name is mended once for all of them. */
function isRepeated({ name, subject }: ArchiveFinding, before: readonly ArchiveFinding[]): boolean {
  if (subject?.type !== 'backup-file') return false
  const { sha256 } = subject.file
  return before.some(
    (one) => one.name === name && one.subject?.type === 'backup-file' && one.subject.file.sha256 === sha256,
  )
}

/** Nothing but its name tells of a piece that is gone. */
async function missingPiece(archive: Archive, name: string): Promise<ArchiveFinding | undefined> {
  const piece = parsePieceName({ name, bytes: 0 })
  if (piece === undefined) return undefined
  if ((await archive.listPieces(piece.timeline)).some((one) => one.name === name)) return undefined
  const subject = { type: 'piece', piece } as const
  if (!(await isStillNamed(archive, subject))) return undefined
  return { code: 'ARCHIVE_OBJECT_MISSING', name, message: 'there is no such piece', subject }
}

async function repairOne(repair: Repair, finding: ArchiveFinding): Promise<RepairStep> {
  const { name, subject } = finding
  const { archive, apply } = repair
  if (name.startsWith(PAGE_PREFIX)) return dropPage(repair, finding)
  const wanted = subject === undefined ? undefined : await wantedOf(archive, subject)
  if (subject === undefined || wanted === undefined) {
    return { name, finding, outcome: 'unrepairable', reason: hopeless(finding), tried: [] }
  }
  const tried: string[] = []
  const found = await search(archive, { wanted, candidates: repair.sources.candidates(wanted) }, tried)
  if (found === undefined) {
    const reason = 'no source has the right content'
    return { name, finding, outcome: 'unrepairable', reason, tried }
  }
  const { source, content } = found
  try {
    const state = apply
      ? await replace(archive, { ...found, wanted, subject })
      : { outcome: 'repairable' as const }
    return { name, finding, source, tried, ...state }
  } finally {
    await content.close()
  }
}

/** A page of the journal only repeats it, and readers pass over one that is not there. */
async function dropPage({ archive, apply }: Repair, finding: ArchiveFinding): Promise<RepairStep> {
  const { name } = finding
  const step = { name, finding, source: 'the journal, which the page only repeats', tried: [] }
  if (!apply) return { ...step, outcome: 'repairable' }
  try {
    await archive.store.delete(name)
    return { ...step, outcome: 'repaired' }
  } catch (error) {
    return { ...step, outcome: 'refused', reason: reasonOf(refusal(name, error)) }
  }
}

function hopeless({ code, subject }: ArchiveFinding): string {
  if (subject?.type === 'file') return 'its header is damaged too, so that nothing tells its content'
  if (subject?.type === 'gap')
    return 'nothing names what is missing; a shipper that is started anew puts what the log of the home still has'
  return `a finding of ${code} is not repaired`
}
