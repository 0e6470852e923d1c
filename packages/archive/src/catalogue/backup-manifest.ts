import * as v from 'valibot'
import { decodeCheckedJson, encodeCheckedJson } from '../objects/checked-json.ts'
import { archiveError } from '../errors.ts'
import {
  backupKindSchema,
  environmentIdSchema,
  lsnSchema,
  sha256Schema,
  timeSchema,
  timelineSchema,
} from './schemas.ts'

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1))
const fileName = v.pipe(
  v.string(),
  v.maxLength(512),
  v.regex(/^(?!.*(?:^|\/)\.\.?(?:\/|$))[^/\0]+(?:\/[^/\0]+)*$/),
)

/** No group is repeated: the engine keeps a place for each turn of one, and a MANIFEST of 6 MB overflowed its stack. */
const base64 = /^[A-Za-z0-9+/]*={0,2}$/

const checkpointSchema = v.object({
  lsn: lsnSchema,
  committedAtUs: timeSchema,
  segmentNumber: positive,
  manifestName: v.pipe(v.string(), v.regex(/^MANIFEST-\d+$/)),
  manifestBase64: v.pipe(
    v.string(),
    v.regex(base64),
    v.check((text) => text.length % 4 === 0, 'base64 comes in fours'),
  ),
  current: v.string(),
})

const digestSchema = v.object({
  algorithm: v.literal('sha256'),
  lsn: lsnSchema,
  entries: count,
  bytes: count,
  hex: sha256Schema,
})

const backupLabelSchema = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/))

/** Also part of the index of a series of volumes. */
export const manifestSchema: v.GenericSchema<unknown, BackupManifest> = v.object({
  format: v.literal(1),
  label: backupLabelSchema,
  environmentId: environmentIdSchema,
  timeline: timelineSchema,
  kind: backupKindSchema,
  base: v.optional(backupLabelSchema),
  asOf: v.optional(v.picklist(['start', 'end'])),
  sealed: v.optional(v.object({ segmentNumber: positive, lsn: lsnSchema })),
  checkpoint: checkpointSchema,
  beginLsn: lsnSchema,
  endLsn: lsnSchema,
  endCommittedAtUs: timeSchema,
  files: v.array(
    v.object({ name: fileName, bytes: count, sha256: sha256Schema, object: v.optional(v.string()) }),
  ),
  digest: v.optional(digestSchema),
  startedAtUs: timeSchema,
  endedAtUs: timeSchema,
  tool: v.string(),
})

/**
 * `full`: every file was copied. `incremental`: tables that an earlier backup has were not copied again; in a folder they are links,
 * and the set is whole by itself, in an archive the manifest names the objects of the earlier backup.
 */
export type BackupKind = 'full' | 'incremental'

/** The LevelDB version that a backup starts from: which MANIFEST bytes, at which LSN. */
export interface CheckpointRef {
  readonly lsn: number
  readonly committedAtUs: number
  /** First log segment needed to go on from `lsn`. */
  readonly segmentNumber: number
  readonly manifestName: string
  readonly manifestBase64: string
  /** Content of CURRENT. */
  readonly current: string
}

/** A digest of all keys and values as of an LSN. */
export interface DigestRef {
  readonly algorithm: 'sha256'
  readonly lsn: number
  readonly entries: number
  readonly bytes: number
  readonly hex: string
}

/** One file of a backup set. */
export interface BackupFile {
  /** Path in the set: `checkpoint/tables/000005.ldb`, `log/log.0000000003`. */
  readonly name: string
  readonly bytes: number
  readonly sha256: string
  /** The archive's object that holds it, which may be of an earlier backup; absent in a backup on disk. */
  readonly object?: string | undefined
}

/** What a backup set holds, with length and checksum of each file; written last, it is what makes the set a backup. */
export interface BackupManifest {
  readonly format: 1
  readonly label: string
  readonly environmentId: string
  readonly timeline: number
  readonly kind: BackupKind
  /** Label of the earlier backup whose unchanged tables an incremental one has taken over. */
  readonly base?: string | undefined
  /** Whether the set ends where the backup began, or where its copy of the data ended; absent in older ones, which are of the end. */
  readonly asOf?: 'start' | 'end' | undefined
  /** The log file that was sealed for the backup, and its last record; absent when none was. */
  readonly sealed?: { readonly segmentNumber: number; readonly lsn: number } | undefined
  readonly checkpoint: CheckpointRef
  /** The log in the set begins at this LSN or before it. */
  readonly beginLsn: number
  /** The last record of the set: what recovery from it alone reaches. */
  readonly endLsn: number
  readonly endCommittedAtUs: number
  readonly files: readonly BackupFile[]
  readonly digest?: DigestRef | undefined
  readonly startedAtUs: number
  readonly endedAtUs: number
  /** Program and version that made it. */
  readonly tool: string
}

/** @see FORMAT.md#checked-json */
export function encodeBackupManifest(manifest: BackupManifest): Buffer {
  return encodeCheckedJson({ ...manifest })
}

/** @throws ARCHIVE_MANIFEST_DAMAGED */
export function decodeBackupManifest(content: Uint8Array): BackupManifest {
  const decoded = decodeCheckedJson(content)
  if (decoded.type === 'damaged') {
    throw archiveError('ARCHIVE_MANIFEST_DAMAGED', `the manifest is damaged, ${decoded.reason}`)
  }
  const parsed = v.safeParse(manifestSchema, decoded.value)
  if (!parsed.success)
    throw archiveError('ARCHIVE_MANIFEST_DAMAGED', `the manifest is not one, ${v.summarize(parsed.issues)}`)
  const { endLsn, checkpoint } = parsed.output
  if (endLsn >= checkpoint.lsn) return parsed.output
  throw archiveError('ARCHIVE_MANIFEST_DAMAGED', 'the log of the backup was copied before its data', {
    details: { endLsn, checkpointLsn: checkpoint.lsn },
  })
}
