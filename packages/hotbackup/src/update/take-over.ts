import { join } from 'node:path'
import type { BackupFile } from '@timberline/archive'
import type { BackupRun } from '../backup-run.ts'
import { systemCodeOf } from '../errors.ts'
import { copyRange } from '../sink/file-source.ts'
import { inParallel } from '@timberline/wal'
import type { SyncQueue } from '@timberline/wal'
import { damagedBase } from './update-plan.ts'

const LINKS_AT_A_TIME = 8

/** File systems without hard links, or with no more of them for this file. */
const NO_LINK = new Set(['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'])

/** Gives files of a backup a name in another folder: a link where the file system has links, else a verified copy. */
export async function takeOver(
  run: BackupRun,
  files: readonly BackupFile[],
  { from, to, syncs }: { readonly from: string; readonly to: string; readonly syncs: SyncQueue },
): Promise<void> {
  const { fileSystem } = run.options
  await inParallel(files, LINKS_AT_A_TIME, async (file) => {
    const path = join(from, file.name)
    const bytes = (await fileSystem.status(path))?.bytes ?? 0
    // An update that was cut off leaves the last log longer than it was: then its beginning is copied.
    const goesOn = file.name.startsWith('log/') && bytes > file.bytes
    if (bytes !== file.bytes && !goesOn)
      throw damagedBase(from, { file: file.name, bytes, expectedBytes: file.bytes })
    try {
      if (!goesOn) return await fileSystem.link(path, join(to, file.name))
    } catch (error) {
      if (!NO_LINK.has(systemCodeOf(error) ?? '')) throw error
    }
    const target = { path: join(to, file.name), syncs }
    const { sha256 } = await copyRange({ path, bytes: file.bytes }, target, run.meter.context)
    if (sha256 !== file.sha256) throw damagedBase(from, { file: file.name, sha256 })
  })
}
