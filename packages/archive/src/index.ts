export { archiveError } from './errors.ts'
export type { ArchiveErrorCode } from './errors.ts'
export { Archive, createArchive, openArchive } from './archive.ts'
export type { ArchiveOptions } from './archive.ts'
export type { Fork } from './catalogue/archive-entries.ts'
export { directoryStore } from './stores/directory-store.ts'
export { countingStore } from './stores/counting-store.ts'
export type { CountingStore, StoreCounts } from './stores/counting-store.ts'
export { memoryStore } from './stores/memory-store.ts'
export { openStore } from './stores/open-store.ts'
export type { ObjectSource } from './objects/object-codec.ts'
export type { PutObjectOptions, PutObjectResult, ReadObjectOptions } from './objects/object-shelf.ts'
export type { CodecName, Envelope } from './objects/object-envelope.ts'
export { parseIdentityFile } from './objects/identity-file.ts'
export { streamSource } from './shipping/segment-content.ts'
export type { GzipCodec } from './objects/gzip-codec.ts'
export { nativeGzip } from './objects/native-gzip.ts'
export { portableGzip } from './objects/portable-gzip.ts'
export { checkedName } from './stores/archive-store.ts'
export type {
  ArchiveStore,
  ChunkMemory,
  ListOptions,
  PutOutcome,
  PutStream,
  StoredObject,
} from './stores/archive-store.ts'
export { decodeBackupManifest, encodeBackupManifest } from './catalogue/backup-manifest.ts'
export { logEndOf, logGoesOn } from './catalogue/set-log.ts'
export type { LogEnd } from './catalogue/set-log.ts'
export type {
  BackupFile,
  BackupKind,
  BackupManifest,
  CheckpointRef,
  DigestRef,
} from './catalogue/backup-manifest.ts'
export type {
  ArchiveIdentity,
  BackupRef,
  Catalogue,
  DeclinedDelta,
  DeltaRef,
  MarkRef,
  OwnerRef,
  PieceRef,
  SegmentRef,
  TimelineEnd,
  TimelineInfo,
} from './catalogue/catalogue.ts'
export type { CatalogueFold } from './catalogue/catalogue-fold.ts'
export type { CatalogueEvent, JournalEntry } from './catalogue/catalogue-event.ts'
export { endTimeline, takeOverTimeline } from './shipping/succession.ts'
export type { Succession } from './shipping/succession.ts'
export { addDelta, declineDelta } from './catalogue/archive-entries.ts'
export { backupFileName, backupManifestName, deltaName } from './layout.ts'
export type { ShipperEvent, ShipperWork } from './shipping/events.ts'
export { runShipper, Shipper } from './shipping/shipper.ts'
export { holdLogFor } from './shipping/first-hold.ts'
export type { LogClaim } from './shipping/first-hold.ts'
export { runShippers, ShipperFleet } from './shipping/shipper-fleet.ts'
export type { RunShippersOptions } from './shipping/shipper-fleet.ts'
export { FleetMember } from './shipping/fleet-member.ts'
export type { FleetTarget } from './shipping/fleet-member.ts'
export type { RunShipperOptions, ShippedIdentity } from './shipping/shipper-options.ts'
export type { ShipperStatus } from './shipping/shipper-gauge.ts'
export { absentObjects, decideRetention, finishRetention, makePromise } from './retention.ts'
export type { RetentionOutcome, UndeletedObject } from './retention.ts'
export type {
  PromisedBases,
  RecoveryProof,
  RetentionDecision,
  RetentionPromise,
  SegmentRange,
} from './catalogue/retention-record.ts'
export { archiveStatus } from './archive-status.ts'
export type { ArchiveStatus, ArchiveStatusOptions, SegmentState, SegmentStatus } from './archive-status.ts'
export { uncovered } from './catalogue/lsn-runs.ts'
export type { LsnRun } from './catalogue/lsn-runs.ts'
export { verifyArchive } from './verify.ts'
export type { VerifyArchiveOptions, VerifyProgress } from './verify.ts'
export type { ArchiveFinding, FindingSubject } from './checking/finding.ts'
export { repairArchive } from './checking/repair.ts'
export type { RepairArchiveOptions, RepairOutcome, RepairStep } from './checking/repair.ts'
export type { VerifySample } from './checking/sample.ts'
export { storeConformance } from './stores/store-conformance.ts'
export type { StoreCheck } from './stores/store-conformance.ts'
export { openSeries } from './volumes/series-reader.ts'
export type { OpenSeriesOptions, Series } from './volumes/series-reader.ts'
export { callFolder, seriesFiles } from './volumes/series-files.ts'
export { settleSeries, surveySeries } from './volumes/settle-series.ts'
export type { SeriesEnd, SettledSeries } from './volumes/settle-series.ts'
export { planCall } from './volumes/call-plan.ts'
export type { CallPlan, FolderRoom, PlannedFolder } from './volumes/call-plan.ts'
export { CallWriter } from './volumes/call-writer.ts'
export type { CallPlace } from './volumes/call-writer.ts'
export type { CallIndex, Extent } from './volumes/call-index.ts'
export type { SeriesPlace } from './volumes/series-scan.ts'
export { prefixComplaint } from './volumes/volume-names.ts'
export { PARITY_MAX, VOLUME_PAGE_BYTES, VOLUME_PAGES_MAX, VOLUME_PAGES_MIN } from './volumes/volume-header.ts'
