import type { ByteStore } from './byte-store.ts'
import type { FileChange, MemoryFile } from './memory-node.ts'
import type { NameChange } from './name-space.ts'
import type { Random } from './random.ts'

/**
 * What a power loss does to one write that was not synced.
 *
 * - `lost`, `kept`: none or all of it reached the disk.
 * - `torn-512`, `torn-4096`: of the sectors of that size that it touches, some reached the disk and some did not; a write
 *   inside one sector is lost or kept.
 * - `zeroed`: the length that it gave the file survived, its bytes did not: what was beyond the end reads as zeros.
 */
export type WriteFate = 'lost' | 'kept' | 'torn-512' | 'torn-4096' | 'zeroed'

/** A change of a file's bytes that no sync covers, as a policy sees it. */
export interface UnsyncedChange {
  readonly type: 'write' | 'truncate'
  /** A number for the file, the same for all its names. */
  readonly file: number
  /** First position that changes; for a truncation the new length. */
  readonly position: number
  readonly bytes: number
  /** Counts from 0 within the unsynced changes of this file. */
  readonly index: number
}

/** A change of names that no sync covers, as a policy sees it; both sides of a rename inside one folder are one change. */
export interface UnsyncedName {
  readonly names: readonly { readonly name: string; readonly present: boolean }[]
  /** Counts from 0 within all unsynced changes of names. */
  readonly index: number
}

/** How a crash chooses among the states that the disk may be in; whatever is left open is drawn from the seed. */
export interface CrashPolicy {
  /** Any integer; default: the next of the file system's own sequence. */
  readonly seed?: number
  /** Fate of the unsynced writes and truncations; default `any`: drawn from the seed. */
  readonly writes?: WriteFate | 'any' | ((change: UnsyncedChange) => WriteFate)
  /**
   * Fate of the unsynced changes of names; default `any`. In the `ext4` model the first lost one loses all later ones, since
   * the journal is replayed in order.
   */
  readonly names?: 'lost' | 'kept' | 'any' | ((change: UnsyncedName) => 'lost' | 'kept')
}

/** The bytes of a file after the power loss. */
export function survivingBytes(file: MemoryFile, policy: CrashPolicy, random: Random): ByteStore {
  const store = file.durable.copy()
  const fateOf = fateChooser(file, policy, random)
  for (const [index, change] of file.changes.entries()) {
    applyFate(store, change, { fate: fateOf(change, index), random })
  }
  return store
}

/** The changes of names that reached the disk, in order. */
export function survivingNames(
  changes: readonly NameChange[],
  model: 'ext4' | 'posix',
  { policy, random }: { readonly policy: CrashPolicy; readonly random: Random },
): readonly NameChange[] {
  const names = policy.names ?? 'any'
  if (typeof names === 'string' && names !== 'any') return names === 'kept' ? changes : []
  const orders = [...new Set(changes.map((change) => change.order))]
  if (names === 'any' && model === 'ext4') {
    const kept = new Set(orders.slice(0, random.integer(orders.length + 1)))
    return changes.filter((change) => kept.has(change.order))
  }
  const isKept =
    names === 'any'
      ? (): boolean => random.chance(0.5)
      : (change: NameChange, index: number): boolean => names(describeName(change, index)) === 'kept'
  const fates = changes.map(isKept)
  if (model === 'posix') return changes.filter((_, index) => fates[index] === true)
  const firstLost = fates.indexOf(false)
  const lostOrder = firstLost < 0 ? Infinity : (changes[firstLost]?.order ?? Infinity)
  return changes.filter((change) => change.order < lostOrder)
}

type FateOf = (change: FileChange, index: number) => WriteFate

const ANY_FATES: readonly WriteFate[] = ['lost', 'kept', 'torn-512', 'torn-4096', 'zeroed']

function fateChooser(file: MemoryFile, policy: CrashPolicy, random: Random): FateOf {
  const writes = policy.writes ?? 'any'
  if (typeof writes === 'function') return (change, index) => writes(describeChange(file, change, index))
  if (writes !== 'any') return () => writes
  return anyFate(file.changes.length, random)
}

/**
 * Independent fates alone would almost never leave a long file whole or whole up to one point, which are the likeliest states
 * of a real disk; so the shape is drawn first.
 */
function anyFate(count: number, random: Random): FateOf {
  const draw = (): WriteFate => ANY_FATES[random.integer(ANY_FATES.length)] ?? 'lost'
  const shape = random.next()
  if (shape < 0.2) return () => 'lost'
  if (shape < 0.4) return () => 'kept'
  if (shape >= 0.7) return draw
  const stop = random.integer(count)
  return (_, index) => (index < stop ? 'kept' : index === stop ? draw() : 'lost')
}

interface Fated {
  readonly fate: WriteFate
  readonly random: Random
}

function applyFate(store: ByteStore, change: FileChange, { fate, random }: Fated): void {
  if (fate === 'lost') return
  if (change.type === 'truncate') {
    // A length changes as a whole, so a torn truncation is one that did or did not happen.
    if (fate === 'kept' || fate === 'zeroed' || random.chance(0.5)) store.truncate(change.bytes)
    return
  }
  const end = change.position + change.source.byteLength
  if (fate === 'kept') store.write(change.source, change.position)
  else if (fate === 'zeroed') store.growTo(end)
  else tear(store, change, { sectorBytes: fate === 'torn-512' ? 512 : 4096, random })
}

function tear(
  store: ByteStore,
  { position, source }: { readonly position: number; readonly source: Buffer },
  { sectorBytes, random }: { readonly sectorBytes: number; readonly random: Random },
): void {
  const end = position + source.byteLength
  const firstSector = Math.floor(position / sectorBytes)
  const sectorCount = Math.ceil(end / sectorBytes) - firstSector
  // With two sectors or more one is surely kept and one surely lost: the word is torn.
  const surelyKept = random.integer(sectorCount)
  const surelyLost = (surelyKept + 1 + random.integer(Math.max(1, sectorCount - 1))) % sectorCount
  for (let sector = 0; sector < sectorCount; sector += 1) {
    const drawn = random.chance(0.5)
    const isKept = sectorCount === 1 ? drawn : sector === surelyKept || (drawn && sector !== surelyLost)
    if (!isKept) continue
    const from = Math.max(position, (firstSector + sector) * sectorBytes)
    const to = Math.min(end, (firstSector + sector + 1) * sectorBytes)
    store.write(source.subarray(from - position, to - position), from)
  }
  if (random.chance(0.5)) store.growTo(end)
}

function describeChange(file: MemoryFile, change: FileChange, index: number): UnsyncedChange {
  const isWrite = change.type === 'write'
  return {
    type: change.type,
    file: file.number,
    position: isWrite ? change.position : change.bytes,
    bytes: isWrite ? change.source.byteLength : 0,
    index,
  }
}

function describeName(change: NameChange, index: number): UnsyncedName {
  return { names: change.entries.map(({ name, node }) => ({ name, present: node !== undefined })), index }
}
