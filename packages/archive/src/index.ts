export { archiveError } from './errors.ts'
export type { ArchiveErrorCode } from './errors.ts'
export { Archive, createArchive, openArchive } from './archive.ts'
export type { ArchiveOptions } from './archive.ts'
export type { Fork } from './archive-entries.ts'
export { directoryStore } from './directory-store.ts'
export { memoryStore } from './memory-store.ts'
export { openStore } from './open-store.ts'
export type { ObjectSource } from './object-codec.ts'
export type { PutObjectOptions, PutObjectResult } from './object-shelf.ts'
export type { CodecName } from './object-envelope.ts'
export { streamSource } from './segment-content.ts'
export type { GzipCodec } from './gzip-codec.ts'
export { nativeGzip } from './native-gzip.ts'
export { portableGzip } from './portable-gzip.ts'
export { checkedName } from './archive-store.ts'
export type { ArchiveStore, ListOptions, PutOutcome, PutStream, StoredObject } from './archive-store.ts'
export { decodeBackupManifest, encodeBackupManifest } from './backup-manifest.ts'
export type { BackupFile, BackupManifest, CheckpointRef, DigestRef } from './backup-manifest.ts'
export type {
  ArchiveIdentity,
  BackupRef,
  Catalogue,
  MarkRef,
  OwnerRef,
  PieceRef,
  SegmentRef,
  TimelineInfo,
} from './catalogue.ts'
export type { CatalogueEvent, JournalEntry } from './catalogue-event.ts'
export { backupFileName, backupManifestName } from './layout.ts'
export type { ShipperEvent, ShipperWork } from './events.ts'
export { runShipper, Shipper } from './shipper.ts'
export type { RunShipperOptions, ShippedIdentity } from './shipper-options.ts'
export type { ShipperStatus } from './shipper-gauge.ts'
export { archiveStatus } from './archive-status.ts'
export type { ArchiveStatus, ArchiveStatusOptions, SegmentState, SegmentStatus } from './archive-status.ts'
export type { LsnRun } from './lsn-runs.ts'
export { verifyArchive } from './verify.ts'
export type { ArchiveFinding, VerifyArchiveOptions } from './verify.ts'
export { storeConformance } from './store-conformance.ts'
export type { StoreCheck } from './store-conformance.ts'
