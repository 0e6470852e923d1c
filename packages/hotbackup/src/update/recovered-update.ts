/**
 * An update with recovery changes data files as well. The old set is not changed: a new folder beside it takes over its files by hard links,
 * gets the new log, is brought forward, and replaces it as a full backup would. So the old backup lives until the new one stands.
 */
import { join } from 'node:path'
import { completeRun, digestOf } from '../backup-run.ts'
import type { BackupRun, CopiedSet } from '../backup-run.ts'
import { bringForward } from './bring-forward.ts'
import { beginFolderSink } from '../sink/folder-sink.ts'
import type { FolderSink } from '../sink/folder-sink.ts'
import { copyNewLog, planNewLog } from './new-log.ts'
import type { UpdateLogs } from './new-log.ts'
import type { BackupResult } from '../options.ts'
import { backupLabel } from '../sink/sink.ts'
import { takeOver } from './take-over.ts'
import { begunBeside } from './side-by-side.ts'

/** Makes an updated backup, whose data files reach its end, take the place of the one that is there. */
export async function recoveredUpdate(
  run: BackupRun,
  target: string,
  looking: Promise<UpdateLogs>,
): Promise<BackupResult> {
  const label = backupLabel(run.startedAtMs, 'full')
  const beginning = beginFolderSink({ target, label, fileSystem: run.options.fileSystem })
  const [sink, logs] = await begunBeside(beginning, looking)
  try {
    return await completeRun(run, sink, await recoveredSet(run, logs, sink))
  } catch (error) {
    await sink.abandon()
    throw error
  }
}

async function recoveredSet(run: BackupRun, logs: UpdateLogs, sink: FolderSink): Promise<CopiedSet> {
  const { options, meter, watch } = run
  const { base } = logs
  const { checkpoint } = base
  const { plan, log, sealed, kept } = await planNewLog(run, logs)
  const { endLsn } = plan
  const { folder, syncs } = sink
  await watch.time('data', () => takeOver(run, kept, { from: base.folder, to: folder, syncs }))
  for (const file of kept) meter.reused(file)
  const to = { syncs, pathOf: (name: string) => join(folder, name) }
  const copied = await watch.time('log', () => copyNewLog(run, { base, plan }, to))
  options.onEvent({ type: 'log.ended', lsn: endLsn, segments: copied.map(({ name }) => name) })
  const files = [...kept, ...copied]
  if (checkpoint.lsn < endLsn) {
    const last = plan.copied.at(-1) ?? base.last
    const lastSegmentNumber = last.header.segmentNumber
    const forwarded = await bringForward(run, { sink, checkpoint, files, endLsn, lastSegmentNumber })
    return { ...forwarded, log, sealed, tries: 1 }
  }
  const copy = {
    checkpoint,
    tablesDirectory: join(folder, 'checkpoint/tables'),
    logDirectory: join(folder, 'log'),
    scratch: join(folder, 'scratch'),
  }
  return { checkpoint, files, log, sealed, digest: await digestOf(run, copy, endLsn), tries: 1 }
}
