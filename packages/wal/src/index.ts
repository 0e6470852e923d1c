export {
  makeDirectoryDurable,
  readFileWhole,
  removeIfPresent,
  removeStaleTemporaries,
  writeFileAtomic,
} from './atomic-file.ts'
export { FileSource, memorySource, readFully } from './byte-source.ts'
export type { ByteSource } from './byte-source.ts'
export {
  readConfirmationOf,
  readConfirmations,
  removeConfirmation,
  writeConfirmation,
} from './confirmations.ts'
export type { Confirmation, ConfirmedPlace } from './confirmations.ts'
export { Doorbell } from './doorbell.ts'
export { copyFileDurable, syncTree } from './durable-copy.ts'
export type { CopyOptions } from './durable-copy.ts'
export { TimberlineError, errorsFrom, systemCode, withSystemErrors } from './errors.ts'
export type { ErrorDetails, ErrorKind, ErrorMaker, ErrorRow, TimberlineErrorInit, WalCode } from './errors.ts'
export type { WalEvent } from './events.ts'
export type { FileHandle, FileStatus, FileSystem, OpenMode } from './file-system.ts'
export { liveHolds, placeHold } from './holds.ts'
export type { Hold, HoldInfo, HoldOptions } from './holds.ts'
export { invariant } from './invariant.ts'
export { followLog } from './log-follower.ts'
export type { FollowOptions } from './log-follower.ts'
export { LogTail } from './log-tail.ts'
export type { LogTailOptions, TailLook } from './log-tail.ts'
export type { OpenedLog } from './log-opening.ts'
export type { Flushed, OpenLogOptions } from './log-options.ts'
export { readLog } from './log-reader.ts'
export type { ReadOptions } from './log-reader.ts'
export { Log, openLog } from './log.ts'
export type { AppendOptions } from './log.ts'
export { nodeFileSystem } from './node-file-system.ts'
export { promptFileSystem } from './prompt-file-system.ts'
export { isSameProcessAlive, processIdentity, processIsAlive } from './process-identity.ts'
export { NamedHandle } from './named-handle.ts'
export type { NamedHandleOptions } from './named-handle.ts'
export type { ProcessIdentity } from './process-identity.ts'
export { openReached, ReachedWriter } from './reached.ts'
export type { ReachedFile, ReachedPlace } from './reached.ts'
export type { LogIdentity, LogRecord, Lsn, RecordKind, RecordPlace, SegmentMark } from './record.ts'
export { decodeSegment, decodeSegmentHeader, verifySegment } from './segment-decoder.ts'
export type { DecodeOptions } from './segment-decoder.ts'
export type { SegmentSummary } from './segment-file.ts'
export { followSegments } from './segment-follower.ts'
export type { FollowSegmentsOptions, SegmentStep } from './segment-follower.ts'
export type { PreviousSegment, SegmentHeader } from './segment-header.ts'
export { listSegments, openSegmentSource, readSegmentBytes } from './segment-list.ts'
export type { ListOptions } from './segment-list.ts'
export { parseSegmentName, segmentName } from './segment-name.ts'
export { syncQueue } from './sync-queue.ts'
export type { SyncQueue } from './sync-queue.ts'
export { openWanted, readWanted, WantedReader } from './wanted.ts'
export type { WantedFile, WantedScope } from './wanted.ts'
