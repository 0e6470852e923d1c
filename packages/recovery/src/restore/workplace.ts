// Where a recovery builds, so that it can die at any moment and be run again.
//
// Model. The home carries a label, `recovery.json`, from before the first other file until after the last: an ordinary open
// refuses it. Everything is built in `recovery/` below it, a complete new home. When that is finished and verified, the
// label is rewritten to phase `install`, and the parts are linked into place; then to phase `clear`, and `recovery/` goes.
// Dying in `build`: the next run begins anew; nothing else was touched, so a backup that becomes a home in place is still
// the whole backup. Dying in `install`: the next run links all parts again, from a `recovery/` that is still whole. (Moving
// them would be shorter, but a rename between two folders may lose both names with the power.) Dying in `clear`: the next
// run removes the rest. The label goes last.
import { join } from 'node:path'
import {
  BACKUP_LABEL,
  homeLayout,
  type HomeLayout,
  type HomeLock,
  homeOwner,
  lockHome,
  RECOVERY_LABEL,
} from '@timberline/engine'
import {
  type FileSystem,
  makeDirectoryDurable,
  readFileWhole,
  removeIfPresent,
  removeStaleTemporaries,
  writeFileAtomic,
} from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { linkTree } from './link-tree.ts'
import { syncLater } from './sync-later.ts'
import { transferAll } from '../transfer.ts'

type Phase = 'build' | 'install' | 'clear'

/** The label of a home whose recovery is not finished. */
interface RecoveryLabel {
  readonly format: 1
  readonly phase: Phase
  readonly request: string
  /** The report of the recovery that only has to be put in place. */
  readonly report?: unknown
}

/** A locked, labelled home with an empty place to build in. */
export interface Workplace {
  readonly home: string
  /** Whether the home is the backup itself. */
  readonly inPlace: boolean
  /** Layout of the home being built. */
  readonly building: HomeLayout
  /** For tables of the base and copies of log; goes with the rest of `recovery/`. */
  readonly spoolDirectory: string
  /** Set when an interrupted run had built everything, and only putting it in place was left, which is now done: its report. */
  readonly finished: unknown
  /** Puts the finished home in place and removes the labels. */
  install(report: unknown): Promise<void>
  /** Gives the home free. */
  release(): Promise<void>
}

/** What may lie in a home that counts as empty: the lock's own files, and what a writer of labels left when it died. */
const emptyNames = /^(lock|lock\.json|control\.sock|\.(lock|recovery)\.json\..*\.tmp)$/
const buildName = 'recovery'
const labelBytesMax = 64 * 1024 * 1024

/**
 * Locks and labels the home of a recovery.
 *
 * @throws RECOVERY_TARGET_NOT_EMPTY, ENGINE_HOME_LOCKED
 */
export async function openWorkplace(
  home: string,
  options: { readonly request: string; readonly inPlace: boolean; readonly fileSystem: FileSystem },
): Promise<Workplace> {
  const { fileSystem } = options
  await refuseUnlessFree(home, options)
  // Every folder on the way that was missing has its name for good, so that the finished home has too.
  await makeDirectoryDurable(home, fileSystem)
  const lock = await lockHome(home)
  try {
    return await begin({ home, lock, ...options })
  } catch (error) {
    await lock.release()
    throw error
  }
}

interface Locked {
  readonly home: string
  readonly lock: HomeLock
  readonly request: string
  readonly inPlace: boolean
  readonly fileSystem: FileSystem
}

async function begin(locked: Locked): Promise<Workplace> {
  const { home, lock, request, inPlace, fileSystem } = locked
  // Again under the lock: somebody may have recovered or created something here meanwhile.
  await refuseUnlessFree(home, { inPlace, fileSystem, lockIsOurs: true })
  const building = homeLayout(join(home, buildName))
  const label = await readLabel(home, fileSystem)
  let finished: unknown
  if (label !== undefined && label.phase !== 'build' && inPlace) {
    refuseOtherRequest(home, label, request)
    await finish(home, label, fileSystem)
    finished = label.report
  } else {
    await removeStaleTemporaries(home, fileSystem)
    await writeLabel(home, { format: 1, phase: 'build', request }, fileSystem)
    await clear(home, { inPlace, fileSystem })
    await fileSystem.makeDirectory(building.home)
  }
  return {
    home,
    inPlace,
    building,
    spoolDirectory: join(building.home, 'spool'),
    finished,
    install: async (report) => {
      // The new home must be complete on disk, its own name included, before the label says so: a power cut could keep
      // the label and lose the rest.
      await fileSystem.syncDirectory(building.home)
      await fileSystem.syncDirectory(home)
      const finishing: RecoveryLabel = { format: 1, phase: 'install', request, report }
      await writeLabel(home, finishing, fileSystem)
      await finish(home, finishing, fileSystem)
    },
    release: () => lock.release(),
  }
}

/** Removes what an interrupted run left. In place, only its own folder: the rest is the backup. */
async function clear(home: string, options: { inPlace: boolean; fileSystem: FileSystem }): Promise<void> {
  const { fileSystem } = options
  await fileSystem.removeTree(join(home, buildName))
  if (options.inPlace) return
  const { dataDirectory, checkpointDirectory, logDirectory, identityPath } = homeLayout(home)
  for (const path of [dataDirectory, checkpointDirectory, logDirectory]) await fileSystem.removeTree(path)
  if ((await fileSystem.status(identityPath)) !== undefined) await fileSystem.remove(identityPath)
}

/** From a finished build to a home that opens; goes on where an interrupted run stopped. */
async function finish(home: string, label: RecoveryLabel, fileSystem: FileSystem): Promise<void> {
  const built = homeLayout(join(home, buildName))
  const place = homeLayout(home)
  if (label.phase === 'install') {
    const later = syncLater(fileSystem)
    try {
      await transferAll(['dataDirectory', 'checkpointDirectory', 'logDirectory'] as const, async (part) => {
        await later.removeTree(place[part])
        await linkTree(built[part], place[part], later)
      })
      await writeFileAtomic(place.identityPath, await readFileWhole(built.identityPath, later), later)
    } finally {
      // All parts are in place for good, their names in the home included, before their only other copy may go.
      await later.settle()
    }
    await writeLabel(home, { ...label, phase: 'clear' }, fileSystem)
  }
  await fileSystem.removeTree(built.home)
  await removeIfPresent(join(home, BACKUP_LABEL), fileSystem)
  // Neither can come back beside a home that is in use.
  await fileSystem.syncDirectory(home)
  // The very last act: from here on an ordinary open is right.
  await fileSystem.remove(join(home, RECOVERY_LABEL))
  await fileSystem.syncDirectory(home)
}

async function refuseUnlessFree(
  home: string,
  options: { readonly inPlace: boolean; readonly fileSystem: FileSystem; readonly lockIsOurs?: boolean },
): Promise<void> {
  const { fileSystem, inPlace } = options
  const status = await fileSystem.status(home)
  if (status === undefined) return
  if (!status.isDirectory) {
    throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the new home is a file', { details: { home } })
  }
  const names = (await fileSystem.list(home)).filter((name) => !emptyNames.test(name))
  // A backup that was to become a home in place is still the whole backup while it has its label.
  const isOurs = names.includes(RECOVERY_LABEL) && !names.includes(BACKUP_LABEL)
  if (names.length === 0 || inPlace || isOurs) return
  const owner = options.lockIsOurs === true ? undefined : await homeOwner(home)
  throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the new home holds something', {
    details: { home, names: names.slice(0, 10), pid: owner?.pid },
  })
}

/**
 * The label of an unfinished recovery, or `undefined` where there is none.
 *
 * @throws RECOVERY_TARGET_NOT_EMPTY when it cannot be decoded
 */
export async function readLabel(home: string, fileSystem: FileSystem): Promise<RecoveryLabel | undefined> {
  const path = join(home, RECOVERY_LABEL)
  if ((await fileSystem.status(path)) === undefined) return undefined
  const text = (await readFileWhole(path, fileSystem, labelBytesMax)).toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the label of a recovery cannot be decoded', {
      details: { path },
      cause,
    })
  }
  const foreign = (): Error =>
    recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the label of a recovery is not one of ours', {
      details: { path },
    })
  if (typeof value !== 'object' || value === null) throw foreign()
  if (!('phase' in value) || !('request' in value) || typeof value.request !== 'string') throw foreign()
  const phase = value.phase === 'install' || value.phase === 'clear' ? value.phase : 'build'
  return {
    format: 1,
    phase,
    request: value.request,
    report: 'report' in value ? value.report : undefined,
  }
}

function writeLabel(home: string, label: RecoveryLabel, fileSystem: FileSystem): Promise<void> {
  // Metadata of transactions may hold numbers that JSON has no form for.
  const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)
  return writeFileAtomic(
    join(home, RECOVERY_LABEL),
    Buffer.from(`${JSON.stringify(label, plain, 2)}\n`),
    fileSystem,
  )
}

/** Once parts of a backup have been replaced by the recovered home, it can only be completed, not led elsewhere. */
function refuseOtherRequest(home: string, label: RecoveryLabel, request: string): void {
  if (label.request === request) return
  throw recoveryError(
    'RECOVERY_TARGET_NOT_EMPTY',
    'another recovery of this backup only has to be completed',
    {
      details: { home, unfinished: label.request, asked: request },
    },
  )
}
