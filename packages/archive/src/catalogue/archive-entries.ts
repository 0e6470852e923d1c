import { createHash } from 'node:crypto'
import type { Archive } from '../archive.ts'
import { type BackupManifest, decodeBackupManifest, encodeBackupManifest } from './backup-manifest.ts'
import type { BackupRef, DeclinedDelta, DeltaRef } from './catalogue.ts'
import type { CatalogueEvent } from './catalogue-event.ts'
import type { CatalogueFold } from './catalogue-fold.ts'
import { archiveError } from '../errors.ts'
import { backupFileName, backupManifestName, parseBackupLabel } from '../layout.ts'

/** Where a new timeline leaves its parent; the first timeline of an environment has none. */
export interface Fork {
  /** The number; default the next free one. */
  readonly timeline?: number | undefined
  readonly parent?: number | undefined
  /** Last record shared with the parent. */
  readonly forkLsn?: number | undefined
}

/** The event by which a timeline begins, decided on the present state. */
export function forkEvent(
  fold: CatalogueFold,
  { timeline, parent, forkLsn = 0 }: Fork,
): CatalogueEvent & { type: 'timeline.begun' } {
  if (parent !== undefined && fold.timeline(parent) === undefined) {
    throw archiveError('ARCHIVE_TIMELINE_UNKNOWN', 'the parent of a timeline is not in the archive', {
      details: { parent },
    })
  }
  const number = timeline ?? Math.max(fold.newestTimeline, parent ?? 0) + 1
  if (fold.timeline(number) !== undefined) {
    throw archiveError('ARCHIVE_TIMELINE_TAKEN', 'a timeline with this number exists', {
      details: { timeline: number },
    })
  }
  return { type: 'timeline.begun', timeline: number, ...(parent === undefined ? {} : { parent, forkLsn }) }
}

/** What a backup that is entered stands on. */
export interface BackupEntry {
  /** How many sets of recipients there had been when the first of its files was put; without it, nothing is compared. */
  readonly recipientSetCount?: number
}

/** Stores a manifest, then tells of the backup; the same manifest twice is fine. */
export async function addBackup(
  archive: Archive,
  manifest: BackupManifest,
  { recipientSetCount }: BackupEntry,
): Promise<void> {
  const { label, environmentId } = manifest
  if (environmentId !== archive.identity.environmentId) {
    throw archiveError('ARCHIVE_FOREIGN_ENVIRONMENT', 'the backup is of another environment', {
      details: { label, environmentId, expectedEnvironmentId: archive.identity.environmentId },
    })
  }
  const content = encodeBackupManifest(manifest)
  const manifestSha256 = sha256Of(content)
  const references = referencesOf(manifest)
  const backup: BackupRef = {
    label,
    timeline: manifest.timeline,
    kind: manifest.kind,
    ...(references.length === 0 ? {} : { references }),
    lsn: manifest.checkpoint.lsn,
    committedAtUs: manifest.checkpoint.committedAtUs,
    beginLsn: manifest.beginLsn,
    endLsn: manifest.endLsn,
    endCommittedAtUs: manifest.endCommittedAtUs,
    bytes: manifest.files.reduce((sum, file) => sum + file.bytes, 0),
    name: backupManifestName(label),
    manifestSha256,
  }
  const isThere = (fold: CatalogueFold): boolean => {
    const known = fold.backup(label)
    if (known === undefined || known.manifestSha256 === manifestSha256) return known !== undefined
    throw archiveError('ARCHIVE_BACKUP_EXISTS', 'there is another backup with this label', {
      details: { label },
    })
  }
  if (isThere(await archive.journal.refresh())) return
  await archive.putBare(backup.name, content)
  await archive.journal.append((fold) => {
    if (isThere(fold)) return undefined
    // In one with the event: of a change that comes later, every file is from before.
    if (recipientSetCount !== undefined && fold.recipientSets.length !== recipientSetCount) {
      throw archiveError('ARCHIVE_RECIPIENTS_CHANGED', 'the recipients were changed while a backup was put', {
        details: { label },
      })
    }
    return { type: 'backup.added', backup }
  })
}

/** Labels of other backups whose objects a manifest names, each once, ascending. */
function referencesOf({ label, files }: BackupManifest): readonly string[] {
  const labels = new Set(files.flatMap(({ object = '' }) => parseBackupLabel(object) ?? []))
  labels.delete(label)
  return [...labels].toSorted()
}

/**
 * The newest backup whose objects a new one may refer to, and which of its objects are there; `undefined` when there is none. A
 * backup from before the recipients last changed is none: who reads from now on could not open its objects.
 */
export async function readBase(
  archive: Archive,
): Promise<{ readonly manifest: BackupManifest; readonly objects: ReadonlySet<string> } | undefined> {
  const label = (await archive.journal.refresh()).newestReferable
  if (label === undefined) return undefined
  const manifest = await readBackup(archive, label)
  const objects = new Set<string>()
  for (const each of [label, ...referencesOf(manifest)]) {
    for await (const { name } of archive.store.list(backupFileName(each, ''))) objects.add(name)
  }
  return { manifest, objects }
}

/** Tells of a delta whose object is stored; the same one twice is fine. */
export async function addDelta(archive: Archive, delta: DeltaRef): Promise<void> {
  await archive.journal.append((fold) =>
    fold.delta(delta.name) === undefined ? { type: 'delta.added', delta } : undefined,
  )
}

/** Tells that a run of segments gets no delta. */
export async function declineDelta(archive: Archive, declined: DeclinedDelta): Promise<void> {
  await archive.journal.append(() => ({ type: 'delta.declined', declined }))
}

/** Reads the manifest that the journal names, and no other. */
export async function readBackup(archive: Archive, label: string): Promise<BackupManifest> {
  const backup = (await archive.journal.refresh()).backup(label)
  if (backup === undefined) {
    throw archiveError('ARCHIVE_BACKUP_UNKNOWN', 'no backup has this label', { details: { label } })
  }
  const content = await archive.getBare(backup.name)
  if (sha256Of(content) !== backup.manifestSha256) {
    throw archiveError('ARCHIVE_MANIFEST_DAMAGED', 'the manifest is not the one that the journal names', {
      details: { label, name: backup.name },
    })
  }
  return decodeBackupManifest(content)
}

function sha256Of(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
