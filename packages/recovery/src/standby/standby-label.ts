// The label of a standby: from before the first other file of its folder until after the last one of its promotion, so that an
// ordinary open refuses the folder in between. It says what to do after a crash, and which line the content is of.
import { isAbsolute, join } from 'node:path'
import { STANDBY_LABEL } from '@timberline/engine'
import { type FileSystem, readFileWhole, writeFileAtomic } from '@timberline/wal'
import { recoveryError } from '../errors.ts'

/**
 * `aside`: the home that lay here is being moved into a folder of its own. `base`: a backup is being restored; whatever else is here
 * is left from an earlier try. `follow`: the state is whole, and on the line of `timeline`. `anew`: a newer base is whole beside it and
 * takes its place. `promote`: a promotion has begun.
 */
export type StandbyPhase = 'aside' | 'base' | 'follow' | 'anew' | 'promote'

/** What `standby.json` says. */
export interface StandbyLabel {
  readonly format: 1
  readonly phase: StandbyPhase
  readonly environmentId: string
  /** The line that the content is of; absent until a base was chosen. */
  readonly timeline?: number
  /** The base's segment: numbers of the promoted home go on after it. */
  readonly segmentNumber?: number
  /** The folder, in this one, that holds the home which lay here. */
  readonly aside?: string
  /** The home that is followed, and the name of this standby there; absent where an archive is. */
  readonly of?: { readonly home: string; readonly name: string }
  /** Who claims the archive for the promotion, also after a crash. */
  readonly ownerId?: string | undefined
}

const labelBytesMax = 64 * 1024
const phases: readonly string[] = ['aside', 'base', 'follow', 'anew', 'promote']

/**
 * The label of a standby; `undefined` where there is none.
 *
 * @throws RECOVERY_TARGET_NOT_EMPTY when it cannot be decoded
 */
export async function readStandbyLabel(
  home: string,
  fileSystem: FileSystem,
): Promise<StandbyLabel | undefined> {
  const path = join(home, STANDBY_LABEL)
  if ((await fileSystem.status(path)) === undefined) return undefined
  return decodeStandbyLabel(await readFileWhole(path, fileSystem, labelBytesMax), path)
}

/** Replaces the label, durably. */
export function writeStandbyLabel(home: string, label: StandbyLabel, fileSystem: FileSystem): Promise<void> {
  const content = Buffer.from(`${JSON.stringify(label, undefined, 2)}\n`)
  return writeFileAtomic(join(home, STANDBY_LABEL), content, fileSystem)
}

/** @throws RECOVERY_TARGET_NOT_EMPTY */
export function decodeStandbyLabel(content: Uint8Array, path: string): StandbyLabel {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(content).toString('utf8'))
  } catch (cause) {
    throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the label of a standby cannot be decoded', {
      details: { path },
      cause,
    })
  }
  if (isLabel(value)) return value
  throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the label of a standby is not one of ours', {
    details: { path },
  })
}

function isLabel(value: unknown): value is StandbyLabel {
  if (typeof value !== 'object' || value === null) return false
  const label: Readonly<Record<string, unknown>> = { ...value }
  const { format, phase, environmentId, timeline, segmentNumber, aside, of, ownerId } = label
  if (format !== 1 || typeof phase !== 'string' || !phases.includes(phase)) return false
  if (!matches(environmentId, /^[0-9a-f]{32}$/)) return false
  // A name of ours, never a path that leads elsewhere.
  if (aside !== undefined && !matches(aside, /^aside-[0-9]{8}-[0-9]{6}(-[0-9]+)?$/)) return false
  if (of !== undefined && !isPlace(of)) return false
  if (ownerId !== undefined && !matches(ownerId, /^[0-9a-f]{32}$/)) return false
  if ((phase === 'aside' && aside === undefined) || (phase === 'promote' && ownerId === undefined))
    return false
  const needsLine = phase === 'follow' || phase === 'anew' || phase === 'promote'
  return isCount(timeline, needsLine) && isCount(segmentNumber, needsLine)
}

function isPlace(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { home, name }: { home?: unknown; name?: unknown } = value
  return typeof home === 'string' && isAbsolute(home) && matches(name, /^standby-[0-9a-f]{8}$/)
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value)
}

function isCount(value: unknown, isNeeded: boolean): boolean {
  return value === undefined ? !isNeeded : Number.isSafeInteger(value) && Number(value) >= 1
}
