/**
 * A backup inside an archive: `backup/<label>/…`, its manifest last. The label is claimed by a create-only object, so two
 * backups that begin in the same second never write under one name; and only objects that this backup created are ever
 * deleted, so that a failed one cannot harm another.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Archive, BackupFile, BackupKind, BackupManifest } from '@timberline/archive'
import { backupFileName, backupManifestName } from '@timberline/archive'
import { TimberlineError } from '@timberline/wal'
import type { BackupRun } from '../backup-run.ts'
import { baseOf } from './backup-base.ts'
import { hotbackupError } from '../errors.ts'
import { hashFile, readRange } from './file-source.ts'
import type { CopyContext, FileRange } from './file-source.ts'
import { backupLabel } from './sink.ts'
import type { BackupSink } from './sink.ts'

/** So many labels, one a second, are tried from the moment of the beginning on. */
const LABEL_TRIES_MAX = 60
const CLAIM = 'claim.json'

/** What was stored so far, and whether it may still be deleted. */
interface Stored {
  readonly archive: Archive
  readonly label: string
  /** How many sets of recipients there had been before anything was put. */
  readonly recipientSetCount: number
  readonly created: Set<string>
  /** Set when nobody can tell whether the catalogue names the backup: then nothing of it is deleted. */
  isUncertain: boolean
}

/**
 * Begins a backup in an archive.
 *
 * @throws HOTBACKUP_TARGET_FOREIGN when the archive belongs to another database
 */
export async function beginArchiveSink(run: BackupRun, archive: Archive): Promise<BackupSink> {
  if (archive.identity.environmentId !== run.identity.environmentId) {
    throw hotbackupError('HOTBACKUP_TARGET_FOREIGN', 'the archive is of another database', {
      details: {
        target: archive.store.url,
        environmentId: archive.identity.environmentId,
        home: run.identity.environmentId,
      },
    })
  }
  // What is put or named from here on is for these recipients or for later ones, which the entry will find.
  const recipientSetCount = (await archive.journal.refresh()).recipientSets.length
  const found = run.options.incremental ? await archive.backupBase() : undefined
  const kind = found === undefined ? 'full' : 'incremental'
  const label = await claimLabel(archive, run.startedAtMs, kind)
  const stored: Stored = {
    archive,
    label,
    recipientSetCount,
    created: new Set([backupFileName(label, CLAIM)]),
    isUncertain: false,
  }
  return {
    target: `${archive.store.url} ${label}`,
    label,
    folder: undefined,
    base: found === undefined ? undefined : baseOf(found.manifest),
    // An object that is gone is put anew, under a name of this backup.
    reuse: async (file) => (found?.objects.has(file.object ?? '') === true ? file : undefined),
    copy: (range, name, context) => putRange(stored, { range, name }, context),
    write: (name, content) => putBytes(stored, name, content),
    complete: (manifest) => completeArchive(stored, manifest),
    abandon: () => removeStored(stored),
  }
}

async function claimLabel(archive: Archive, fromMs: number, kind: BackupKind): Promise<string> {
  const claim = Buffer.from(JSON.stringify({ pid: process.pid, random: randomBytes(16).toString('hex') }))
  // What retention let go has no object any more, and still no other backup may have its label.
  const { retired } = await archive.journal.refresh()
  for (let tries = 0; tries < LABEL_TRIES_MAX; tries += 1) {
    const label = backupLabel(fromMs + tries * 1000, kind)
    if (retired.hasBackup(label) || (await isTaken(archive, label))) continue
    try {
      await archive.store.put(backupFileName(label, CLAIM), claim)
      return label
    } catch (error) {
      if (!(error instanceof TimberlineError && error.code === 'ARCHIVE_CONFLICT')) throw error
    }
  }
  throw hotbackupError('HOTBACKUP_TARGET_BUSY', 'every label of this minute is taken', {
    details: { target: archive.store.url },
  })
}

async function isTaken(archive: Archive, label: string): Promise<boolean> {
  for await (const object of archive.store.list(backupFileName(label, ''), { limit: 1 })) {
    return object.name !== ''
  }
  return false
}

async function putRange(
  stored: Stored,
  file: { range: FileRange; name: string },
  context: CopyContext,
): Promise<BackupFile> {
  const { range, name } = file
  // Hashed first, so that the object's header can say what follows; the copy is what counts as progress.
  const { sha256 } = await hashFile(range.path, { ...context, onBytes: () => undefined }, range.bytes)
  const read = async function* (): AsyncGenerator<Buffer> {
    // The compressor may keep a chunk while it asks for the next.
    for await (const chunk of readRange(range, context)) yield Buffer.from(chunk)
  }
  const object = backupFileName(stored.label, name)
  await put(stored, object, { bytes: range.bytes, sha256, read })
  return { name, bytes: range.bytes, sha256, object }
}

async function putBytes(stored: Stored, name: string, content: Buffer): Promise<BackupFile> {
  const object = backupFileName(stored.label, name)
  await put(stored, object, content)
  const sha256 = createHash('sha256').update(content).digest('hex')
  return { name, bytes: content.length, sha256, object }
}

async function put(
  stored: Stored,
  object: string,
  content: Parameters<Archive['putObject']>[1],
): Promise<void> {
  const { outcome } = await stored.archive.putObject(object, content)
  if (outcome === 'created') stored.created.add(object)
}

async function completeArchive(stored: Stored, manifest: BackupManifest): Promise<readonly string[]> {
  const { archive, label, created, recipientSetCount } = stored
  created.add(backupManifestName(label))
  try {
    await archive.addBackup(manifest, { recipientSetCount })
  } catch (error) {
    if (!(await isListed(stored))) throw withBase(manifest, error)
  }
  // Whatever happens from here on, nothing of it is ever deleted.
  created.clear()
  const claim = backupFileName(label, CLAIM)
  try {
    await archive.store.delete(claim)
    return []
  } catch {
    // The backup stands, and nothing but a backup with this very label would mind the claim.
    return [claim]
  }
}

/** A journal that refuses an incremental backup does so because what it names has gone. */
function withBase({ base }: BackupManifest, error: unknown): unknown {
  const isRefused = error instanceof TimberlineError && error.code === 'ARCHIVE_CONFLICT'
  if (base === undefined || !isRefused) return error
  const details = { base }
  const message = 'the base was let go while its tables were being named'
  return hotbackupError('HOTBACKUP_BASE', message, { details, cause: error })
}

/** After an error of unknown outcome: does the catalogue name the backup? */
async function isListed(stored: Stored): Promise<boolean> {
  stored.isUncertain = true
  const { backups } = await stored.archive.catalogue()
  stored.isUncertain = false
  return backups.some((backup) => backup.label === stored.label)
}

async function removeStored(stored: Stored): Promise<readonly string[]> {
  if (stored.isUncertain) return [...stored.created]
  const claim = backupFileName(stored.label, CLAIM)
  const left: string[] = []
  // The claim goes last: while it is there, nobody else writes under this label.
  for (const name of [...[...stored.created].filter((each) => each !== claim), claim]) {
    try {
      await stored.archive.store.delete(name)
    } catch {
      // Without a manifest in the catalogue these are no backup; `archive verify` lists them.
      left.push(name)
    }
  }
  return left
}
