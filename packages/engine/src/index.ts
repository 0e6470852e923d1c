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
