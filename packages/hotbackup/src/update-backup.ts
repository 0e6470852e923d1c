/**
 * An update adds the log written since to a finished backup, without copying data again and without asking the owner. The
 * old set is never changed: a new folder beside it takes over its files by hard links, gets the new log, and replaces it
 * as a full backup would. So the old backup lives until the new one stands.
 */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import type { BackupFile, BackupManifest } from '@timberline/archive'
import { decodeCheckpoint } from '@timberline/engine'
import type { CheckpointManifest } from '@timberline/engine'
import { listSegments, placeHold, readFileWhole, segmentName } from '@timberline/wal'
import type { SegmentSummary } from '@timberline/wal'
import { completeRun, digestOf } from './backup-run.ts'
import type { BackupRun, BackupSize, CopiedSet } from './backup-run.ts'
import { bringForward } from './bring-forward.ts'
import { planCopy } from './copy-plan.ts'
import { hotbackupError, systemCodeOf } from './errors.ts'
import { copyRange } from './file-source.ts'
import { beginFolderSink, inspectTarget, readTarget } from './folder-sink.ts'
import type { FolderSink } from './folder-sink.ts'
import { proveLog } from './full-backup.ts'
import { listLiveSegments, madeDurable, plannedSegment, refuseBulkLoad } from './log-copy.ts'
