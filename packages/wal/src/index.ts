export {
  makeDirectoryDurable,
  readFileWhole,
  removeIfPresent,
  removeStaleTemporaries,
  writeFileAtomic,
} from './files/atomic-file.ts'
export { FileSource, memorySource, readFully } from './files/byte-source.ts'
export type { ByteSource } from './files/byte-source.ts'
export {
  readConfirmationOf,
  readConfirmations,
  removeConfirmation,
  writeConfirmation,
} from './promises/confirmations.ts'
export type { Confirmation, ConfirmedPlace } from './promises/confirmations.ts'
export { Doorbell } from './reading/doorbell.ts'
export { copyFileDurable, syncTree } from './files/durable-copy.ts'
export type { CopyOptions } from './files/durable-copy.ts'
export { TimberlineError, errorsFrom, systemCode, withSystemErrors } from './errors.ts'
export type { ErrorDetails, ErrorKind, ErrorMaker, ErrorRow, TimberlineErrorInit, WalCode } from './errors.ts'
export type { WalEvent } from './events.ts'
export type { FileHandle, FileStatus, FileSystem, OpenMode } from './files/file-system.ts'
export { liveHolds, placeHold } from './promises/holds.ts'
export type { Hold, HoldInfo, HoldOptions } from './promises/holds.ts'
export { invariant } from './invariant.ts'
export { followLog } from './reading/log-follower.ts'
export type { FollowOptions } from './reading/log-follower.ts'
export { LogTail } from './reading/log-tail.ts'
export type { LogTailOptions, TailLook } from './reading/log-tail.ts'
export type { OpenedLog } from './writing/log-opening.ts'
export type { Flushed, OpenLogOptions } from './writing/log-options.ts'
export { readLog } from './reading/log-reader.ts'
export type { ReadOptions } from './reading/log-reader.ts'
export { Log, openLog } from './writing/log.ts'
export type { AppendOptions } from './writing/log.ts'
export { nodeFileSystem } from './files/node-file-system.ts'
export { promptFileSystem } from './files/prompt-file-system.ts'
export { isSameProcessAlive, processIdentity, processIsAlive } from './files/process-identity.ts'
export { NamedHandle } from './files/named-handle.ts'
export type { NamedHandleOptions } from './files/named-handle.ts'
export type { ProcessIdentity } from './files/process-identity.ts'
export { openReached, ReachedWriter } from './promises/reached.ts'
export type { ReachedFile, ReachedPlace } from './promises/reached.ts'
export type { LogIdentity, LogRecord, Lsn, RecordKind, RecordPlace, SegmentMark } from './records/record.ts'
export { decodeSegment, decodeSegmentHeader, verifySegment } from './segments/segment-decoder.ts'
export type { DecodeOptions } from './segments/segment-decoder.ts'
export type { SegmentSummary } from './segments/segment-file.ts'
export { followSegments } from './reading/segment-follower.ts'
export type { FollowSegmentsOptions, SegmentStep } from './reading/segment-follower.ts'
export type { PreviousSegment, SegmentHeader } from './segments/segment-header.ts'
export { listSegments, openSegmentSource, readSegmentBytes } from './segments/segment-list.ts'
export type { ListOptions } from './segments/segment-list.ts'
export { parseSegmentName, segmentName } from './segments/segment-name.ts'
export { syncQueue } from './files/sync-queue.ts'
export type { SyncQueue } from './files/sync-queue.ts'
export { openWanted, readWanted, WantedReader } from './promises/wanted.ts'
export type { WantedFile, WantedScope } from './promises/wanted.ts'
