// The folder of a standby: locked, labelled, and whatever lay there before told apart. A home that lies there is never written over:
// it goes into a folder of its own, and only when that was asked for.
import { join } from 'node:path'
import {
  ENDED_LABEL,
  homeLayout,
  type HomeLayout,
  type HomeLock,
  homeOwner,
  lockHome,
  readHomeIdentity,
} from '@timberline/engine'
import { type FileSystem, makeDirectoryDurable, removeStaleTemporaries } from '@timberline/wal'
import { recoveryError } from '../errors.ts'
import { readStandbyLabel, type StandbyLabel, writeStandbyLabel } from './standby-label.ts'

/** What a standby's folder is opened with. */
export interface StandbyPlaceOptions {
  readonly environmentId: string
  /** Put a home that lies there aside, and begin anew in its place. */
  readonly rejoin: boolean
  /** How long to wait for the process that has it, in milliseconds; default 0. */
  readonly busyTimeoutMs?: number
  readonly fileSystem: FileSystem
}

/** A locked and labelled folder. */
export class StandbyFolder {
  readonly layout: HomeLayout
  readonly fileSystem: FileSystem
  #label: StandbyLabel
  readonly #lock: HomeLock

  constructor(
    layout: HomeLayout,
    parts: { readonly label: StandbyLabel; readonly lock: HomeLock; readonly fileSystem: FileSystem },
  ) {
    this.layout = layout
    this.fileSystem = parts.fileSystem
    this.#label = parts.label
    this.#lock = parts.lock
  }

  get label(): StandbyLabel {
    return this.#label
  }

  /** The line that the content is of; to be asked once there is any. */
  get timeline(): number {
    // v8 ignore next -- a label of content names its line
    return this.#label.timeline ?? 1
  }

  /** For fetched log; goes when it is not needed. */
  get spoolDirectory(): string {
    return join(this.layout.home, 'spool')
  }

  /** Where a newer base is made while the state that is there stays. */
  get freshDirectory(): string {
    return join(this.spoolDirectory, 'data')
  }

  /** Where the home that lay here was put. */
  get aside(): string | undefined {
    return this.#label.aside === undefined ? undefined : join(this.layout.home, this.#label.aside)
  }

  /** Changes the label, durably. */
  async relabel(change: Partial<StandbyLabel>): Promise<void> {
    const label = { ...this.#label, ...change }
    await writeStandbyLabel(this.layout.home, label, this.fileSystem)
    this.#label = label
  }

  /** Removes all that a standby or a promotion has made but the label, so that it can begin anew. */
  async clear(): Promise<void> {
    const { dataDirectory } = this.layout
    await this.fileSystem.removeTree(dataDirectory)
    await this.fileSystem.removeTree(this.spoolDirectory)
    await this.clearLine()
  }

  /** The newer base takes the place of the state; after a crash the rest goes the same way. */
  async takeFresh(): Promise<void> {
    const { layout, fileSystem, freshDirectory } = this
    if ((await fileSystem.status(freshDirectory)) !== undefined) {
      await fileSystem.removeTree(layout.dataDirectory)
      await fileSystem.rename(freshDirectory, layout.dataDirectory)
    }
    await fileSystem.syncDirectory(layout.home)
    await fileSystem.removeTree(this.spoolDirectory)
    await this.relabel({ phase: 'follow' })
  }

  /** Removes what only a promoted home has. */
  async clearLine(): Promise<void> {
    const { checkpointDirectory, logDirectory, identityPath } = this.layout
    for (const path of [checkpointDirectory, logDirectory]) await this.fileSystem.removeTree(path)
    if ((await this.fileSystem.status(identityPath)) !== undefined) await this.fileSystem.remove(identityPath)
  }

  release(): Promise<void> {
    return this.#lock.release()
  }
}

/** What may lie in a folder that counts as empty: the lock's own files, and what a writer of labels left when it died. */
const emptyNames = /^(lock|lock\.json|control\.sock|control\.new|\.(lock|standby)\.json\..*\.tmp)$/
/** A home that is no other thing as well. */
const homeNames =
  /^(timberline\.json|data|log|checkpoint|data\.aside|aside-.*|(backup-due|volumes|ended)\.json|\..*\.tmp)$/

/**
 * Locks and labels the folder of a standby, new or taken up again.
 *
 * @throws RECOVERY_STANDBY_IS_HOME, RECOVERY_TARGET_NOT_EMPTY, RECOVERY_ENVIRONMENT_MISMATCH, ENGINE_HOME_LOCKED
 */
export async function openStandbyFolder(home: string, options: StandbyPlaceOptions): Promise<StandbyFolder> {
  const { fileSystem } = options
  // Before the lock, so that a mistyped path leaves nothing behind; and again under it.
  await admit(home, options)
  await makeDirectoryDurable(home, fileSystem)
  const { busyTimeoutMs = 0 } = options
  const lock = await lockHome(home, { busyTimeoutMs })
  try {
    const found = await admit(home, options)
    await removeStaleTemporaries(home, fileSystem)
    const label = found ?? (await beginLabel(home, options))
    const folder = new StandbyFolder(homeLayout(home), { label, lock, fileSystem })
    if (label.phase === 'aside') await putAside(folder)
    return folder
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** The label that is there; `undefined` where a new standby may begin. */
async function admit(home: string, options: StandbyPlaceOptions): Promise<StandbyLabel | undefined> {
  const { environmentId, rejoin, fileSystem } = options
  const status = await fileSystem.status(home)
  if (status === undefined) return undefined
  if (!status.isDirectory) {
    throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the folder of the standby is a file', {
      details: { home },
    })
  }
  const label = await readStandbyLabel(home, fileSystem)
  if (label !== undefined) {
    refuseOther(home, label.environmentId, environmentId)
    return label
  }
  const names = (await fileSystem.list(home)).filter((name) => !emptyNames.test(name))
  if (names.length === 0) return undefined
  if (!names.includes('timberline.json') || !names.every((name) => homeNames.test(name))) {
    throw recoveryError('RECOVERY_TARGET_NOT_EMPTY', 'the folder holds something that is no home', {
      details: { home, names: names.slice(0, 10), pid: (await homeOwner(home))?.pid },
    })
  }
  const identity = await readHomeIdentity(home, fileSystem)
  refuseOther(home, identity.environmentId, environmentId)
  if (rejoin) return undefined
  throw recoveryError('RECOVERY_STANDBY_IS_HOME', 'the folder is a home', {
    details: { home, timeline: identity.timeline },
  })
}

/** Writes the first label of a folder. */
async function beginLabel(home: string, options: StandbyPlaceOptions): Promise<StandbyLabel> {
  const label = await firstLabel(home, options)
  await writeStandbyLabel(home, label, options.fileSystem)
  return label
}

async function firstLabel(home: string, options: StandbyPlaceOptions): Promise<StandbyLabel> {
  const { environmentId, fileSystem } = options
  const isHome = (await fileSystem.status(homeLayout(home).identityPath)) !== undefined
  if (!isHome) return { format: 1, phase: 'base', environmentId }
  const stamp = new Date()
    .toISOString()
    .replaceAll(/[-:]|\..*/g, '')
    .replace('T', '-')
  let aside = `aside-${stamp}`
  for (let count = 2; (await fileSystem.status(join(home, aside))) !== undefined; count++) {
    aside = `aside-${stamp}-${count}`
  }
  return { format: 1, phase: 'aside', environmentId, aside }
}

/** Moves the home that lies here, part by part, its identity last; after a crash the rest goes the same way. */
async function putAside(folder: StandbyFolder): Promise<void> {
  const { layout, fileSystem, aside } = folder
  // v8 ignore next -- a label of this phase names its folder
  if (aside === undefined) return
  await fileSystem.makeDirectory(aside)
  const { dataDirectory, logDirectory, checkpointDirectory, recordPaths, identityPath } = layout
  const records = [...recordPaths, join(layout.home, ENDED_LABEL)]
  for (const path of [dataDirectory, logDirectory, checkpointDirectory, ...records, identityPath]) {
    if ((await fileSystem.status(path)) === undefined) continue
    await fileSystem.rename(path, join(aside, path.slice(layout.home.length + 1)))
  }
  // Both names of each part are settled before the label says that what lies here may be cleared.
  await fileSystem.syncDirectory(aside)
  await fileSystem.syncDirectory(layout.home)
  await folder.relabel({ phase: 'base' })
}

function refuseOther(home: string, found: string, environmentId: string): void {
  if (found === environmentId) return
  throw recoveryError(
    'RECOVERY_ENVIRONMENT_MISMATCH',
    'the folder is of another environment than what is to be followed',
    {
      details: { home, environmentId: found, wantedEnvironmentId: environmentId },
    },
  )
}
