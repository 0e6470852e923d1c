/**
 * A backup folder appears by one rename. Until then it is `<target>.partial-<pid>`, marked by a hold that dies with its
 * process; while an older backup is exchanged it is `<target>.old-<pid>`, whole, until the new one stands.
 *
 * A crash leaves one of: the old target and a partial folder; the old backup under its `.old-` name and a complete
 * partial folder; the new target and an old folder, which may be half removed. `settleLeftovers` brings each back to one
 * whole backup or none.
 */
import { basename, dirname, join } from 'node:path'
import { BACKUP_LABEL } from '@timberline/engine'
import { liveHolds, placeHold, processIsAlive, removeIfPresent } from '@timberline/wal'
import type { FileSystem, Hold } from '@timberline/wal'
import { hotbackupError, systemCodeOf } from '../errors.ts'
import type { HotbackupListener } from '../events.ts'

/** Names that may lie at the top of a backup set; anything else there was not put by this package. */
const SET_NAMES = new Set(['timberline.json', 'checkpoint', 'log', 'backup.json'])
/** Names that may lie beside them while a set is being written: the scratch folder and marks, whole or begun. */
const WORK_NAMES = /^(scratch|\.?hold\..*)$/

/** Partial folders that a backup of this process is writing; what else bears its pid is a leftover. */
const beingWritten = new Set<string>()

/** A folder under a temporary name, to become the target or to vanish. */
export interface PartialFolder {
  readonly path: string
  readonly target: string
  /** Takes the mark off; the folder must be complete, and is made durable and to appear next. */
  unmark(): Promise<void>
  /** Lets go of the path, whatever became of it. */
  forget(): void
}

/** Which names of a folder do not belong to a backup set. */
export function foreignNames(names: readonly string[]): readonly string[] {
  return names.filter((name) => !SET_NAMES.has(name))
}

/**
 * Creates the partial folder of this process for a target.
 *
 * @throws HOTBACKUP_TARGET_BUSY when another backup to the same target is under way
 */
export async function beginPartial(target: string, fileSystem: FileSystem): Promise<PartialFolder> {
  const path = `${target}.partial-${process.pid}`
  if (beingWritten.has(path)) throw busy(target, path)
  beingWritten.add(path)
  let hold: Hold | undefined
  try {
    await fileSystem.makeDirectory(path)
    hold = await placeHold(path, { purpose: 'partial backup', fileSystem })
  } catch (error) {
    // What cannot be removed now is a leftover for the next backup; the error to tell is the first one.
    await fileSystem.removeTree(path).catch(() => undefined)
    beingWritten.delete(path)
    throw error
  }
  return {
    path,
    target,
    async unmark() {
      await hold?.release()
      hold = undefined
    },
    forget() {
      beingWritten.delete(path)
    },
  }
}

/**
 * Makes a partial folder the target, durably; it must be complete, without its mark, and durable itself. An older backup there is moved
 * aside first and stays whole; the caller removes it, at the returned path, when this has resolved. On an error the older backup is back in
 * its place.
 */
export async function appear(partial: PartialFolder, fileSystem: FileSystem): Promise<string | undefined> {
  const { path, target } = partial
  const replaces = await holdsSomething(target, fileSystem)
  const old = replaces ? `${target}.old-${process.pid}` : undefined
  try {
    if (old !== undefined) await fileSystem.rename(target, old)
    await fileSystem.rename(path, target)
    // The backup has appeared, also after power loss.
    await fileSystem.syncDirectory(dirname(target))
    return old
  } catch (error) {
    // What cannot be put back now, the next backup puts back; the error to tell is the first one.
    await putBack({ path, target, old }, fileSystem).catch(() => undefined)
    throw error
  }
}

/** Undoes an exchange by what is found: an error does not say whether a rename happened. */
async function putBack(
  exchange: { path: string; target: string; old: string | undefined },
  fileSystem: FileSystem,
): Promise<void> {
  const { path, target, old } = exchange
  const hasMoved = (await fileSystem.status(path)) === undefined
  if (hasMoved) await fileSystem.rename(target, path)
  if (old === undefined || (await fileSystem.status(old)) === undefined) return
  await fileSystem.rename(old, target)
}

/**
 * Cleans what backups of dead processes left beside a target, and puts an old backup back when its exchange was cut off.
 *
 * @throws HOTBACKUP_TARGET_BUSY when a live process is writing to the same target
 */
export async function settleLeftovers(
  target: string,
  fileSystem: FileSystem,
  onEvent: HotbackupListener,
): Promise<void> {
  const parent = dirname(target)
  const leftovers = (await namesIn(parent, fileSystem)).flatMap((name) => {
    const match = /\.(partial|old)-(\d+)$/.exec(name)
    if (match === null || name.slice(0, match.index) !== basename(target)) return []
    return [{ path: join(parent, name), kind: match[1], pid: Number(match[2]) }]
  })
  for (const leftover of leftovers) {
    if (await isAlive(leftover, fileSystem)) throw busy(target, leftover.path)
  }
  for (const { path, kind } of leftovers) {
    const foreign = (await namesIn(path, fileSystem)).filter(
      (name) => !SET_NAMES.has(name) && !WORK_NAMES.test(name),
    )
    if (foreign.length > 0) {
      onEvent({
        type: 'leftover.kept',
        path,
        reason: `it holds ${foreign.join(', ')}, which no backup wrote`,
      })
    } else if (
      kind === 'old' &&
      !(await holdsSomething(target, fileSystem)) &&
      (await isSet(path, fileSystem))
    ) {
      await fileSystem.rename(path, target)
      // The old backup stands again.
      await fileSystem.syncDirectory(parent)
    } else {
      await removeSet(path, fileSystem)
      onEvent({ type: 'leftover.removed', path })
    }
  }
}

/**
 * Removes a set that no longer counts. Its manifest goes first and durably: a tree is removed name by name, and what a crash
 * leaves of it must never be taken for the backup that it was.
 */
export async function removeSet(path: string, fileSystem: FileSystem): Promise<void> {
  if (await removeIfPresent(join(path, BACKUP_LABEL), fileSystem)) await fileSystem.syncDirectory(path)
  await fileSystem.removeTree(path)
}

/** The names in a folder; none when it does not exist. */
export async function namesIn(directory: string, fileSystem: FileSystem): Promise<readonly string[]> {
  try {
    return await fileSystem.list(directory)
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return []
    throw error
  }
}

/** What is left of a set whose removal was cut off has no manifest any more. */
async function isSet(path: string, fileSystem: FileSystem): Promise<boolean> {
  return (await fileSystem.status(join(path, BACKUP_LABEL))) !== undefined
}

async function holdsSomething(path: string, fileSystem: FileSystem): Promise<boolean> {
  return (await namesIn(path, fileSystem)).length > 0
}

async function isAlive(leftover: { path: string; pid: number }, fileSystem: FileSystem): Promise<boolean> {
  if (leftover.pid === process.pid)
    return beingWritten.has(leftover.path.replace(/\.old-(\d+)$/, '.partial-$1'))
  const marked = (await namesIn(leftover.path, fileSystem)).some((name) => name.startsWith('hold.'))
  if (marked) return (await liveHolds(leftover.path, fileSystem)).length > 0
  // Not marked: its process is about to mark it, or has just unmarked it, if it lives.
  return processIsAlive(leftover.pid)
}

function busy(target: string, path: string): Error {
  return hotbackupError('HOTBACKUP_TARGET_BUSY', 'another backup to this target is under way', {
    details: { target, path },
  })
}
