export { BACKUP_LABEL, RECOVERY_LABEL, homeLayout } from './home-layout.ts'
export type { HomeLayout } from './home-layout.ts'
export { decodeHomeIdentity, newHomeIdentity, readHomeIdentity, writeHomeIdentity } from './home-identity.ts'
export type { HomeIdentity } from './home-identity.ts'
export {
  checkpointName,
  decodeCheckpoint,
  encodeCheckpoint,
  listCheckpoints,
  newestCheckpoint,
  readCheckpoint,
} from './checkpoint-manifest.ts'
export type { CheckpointManifest, CheckpointTable } from './checkpoint-manifest.ts'
export { stateDigest } from './digest.ts'
export type { DigestSource, StateDigest, StateDigestOptions } from './digest.ts'
export { decodeNote, encodeNote } from './notes.ts'
export type { Note } from './notes.ts'
export { writeDataFromCheckpoint } from './checkpoint-restore.ts'
export type { WriteDataOptions } from './checkpoint-restore.ts'
export { takeCheckpoint } from './checkpoint-take.ts'
export type { TakeCheckpointOptions, TakenCheckpoint } from './checkpoint-take.ts'
export { flushConfirmed } from './leveldb-flush.ts'
export type { Compactable } from './leveldb-flush.ts'
export { parseManifest } from './leveldb-manifest.ts'
export type { ManifestVersion } from './leveldb-manifest.ts'
export type { ManifestTable } from './leveldb-edit.ts'
export { RawLevel } from './leveldb-raw.ts'
export type { OperationBatch, ReplayTarget } from './leveldb-raw.ts'
export { homeOwner, lockHome } from './lock.ts'
export type { HomeLock, HomeOwner, LockHomeOptions } from './lock.ts'
export { replayInto } from './replay.ts'
export type { ReplayOptions, ReplayProgress, ReplayResult } from './replay.ts'
export type { AppliedPosition } from './reserved-keys.ts'
export { recoverState } from './state-recovery.ts'
export type { RecoverReport, RecoverStateOptions } from './state-recovery.ts'
export type { RebuildReason } from './state-rebuild.ts'
export { verifyData } from './state-verify.ts'
export type { DataFinding, VerifyDataOptions } from './state-verify.ts'
export { openState } from './state.ts'
export type { OpenStateOptions, State } from './state.ts'
export { RawStateHandle } from './state-handle.ts'
export type { StateHandle } from './state-handle.ts'
export { openCheckpointKeeper } from './checkpoint-keeper.ts'
export type {
  CheckpointInfo,
  CheckpointKeeper,
  CheckpointRequest,
  KeeperOptions,
  KeeperStatus,
} from './checkpoint-keeper.ts'
export type { CheckpointEvent, CheckpointReason } from './checkpoint-event.ts'
export type { CheckpointPolicy } from './checkpoint-policy.ts'
export { controlCall } from './control-call.ts'
export type { ControlCallOptions } from './control-call.ts'
export type { ControlReply, ControlRequest } from './control-protocol.ts'
export { adopt, unadopt } from './adopt.ts'
export type { AdoptReport, UnadoptReport } from './adopt.ts'
export { ADOPT_MARKER, admitHome } from './home-admission.ts'
export { clearBackupDue, readBackupDue, writeBackupDue } from './home-backup-due.ts'
export type { BackupDue } from './home-backup-due.ts'
export { TimberLevel } from './timber-level.ts'
export type { TimberChainedBatch, TimberLevelOptions } from './timber-level.ts'
export type { EngineEvent, HomeOptions, HomeStatus, LogLimits, OpenReport } from './session.ts'
export type { CommittedTransaction } from './commits.ts'
export { decodeTransaction, encodeTransaction } from './transaction-codec.ts'
export type { Operation, OperationInput, Transaction } from './transaction-codec.ts'
export type { TransactionLevel } from './transaction-level.ts'
export type { TransactionBody, TransactionOptions } from './transaction-runner.ts'
