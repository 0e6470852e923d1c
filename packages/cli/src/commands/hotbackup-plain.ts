import { plainBackup, type PlainBackupResult } from '@timberline/hotbackup'
import { promptFileSystem } from '@timberline/wal'
import type { Arguments } from '../arguments.ts'
import type { Outcome, Surroundings } from '../command.ts'
import { ratesOf } from '../copy-rate.ts'
import { columns, formatBytes, formatCount, formatMs } from '../quantity.ts'
import { tellEvent } from './hotbackup-event.ts'

/** Said with every copy, because a folder that is not ours has no log to prove more. */
const PROMISE =
  'a prefix of the writes, no batch half, with all that had reached the file system when the copy began ' +
  '(unsynced ones too, which the folder itself can lose with the power)'

/** `timberline hotbackup --plain`: a LevelDB folder that is not ours. */
export async function plainHotbackup(
  folder: string,
  args: Arguments,
  surroundings: Surroundings,
): Promise<Outcome> {
  const progress = surroundings.progress('copying', 'bytes')
  const { maxMbPerS } = ratesOf(args)
  try {
    const result = await plainBackup({
      folder,
      target: args.required('target'),
      signal: surroundings.signal,
      ...(maxMbPerS === undefined ? {} : { maxMbPerS }),
      fileSystem: promptFileSystem,
      onEvent: (event) => {
        if ('bytesTotal' in event) progress.update(event.bytesCopied, event.bytesTotal)
        tellEvent(event, surroundings)
      },
    })
    return { document: { ...result, promise: PROMISE }, lines: plainLines(result) }
  } finally {
    progress.end()
  }
}

function plainLines(result: PlainBackupResult): readonly string[] {
  const { tableCount, uncheckedCount, logCount, logRecordCount, tornBytes, bytes, ms, target } = result
  const unchecked =
    uncheckedCount === 0 ? '' : `, ${formatCount(uncheckedCount)} packed in a way not checked here`
  const torn = tornBytes === 0 ? '' : `; ${formatBytes(tornBytes)} of a write under way left out`
  return columns([
    ['copy', target],
    ['tables', `${formatCount(tableCount)}${unchecked}`],
    ['LevelDB’s own log', `${formatCount(logRecordCount)} batches in ${formatCount(logCount)} files${torn}`],
    ['size', `${formatBytes(bytes)} in ${formatMs(ms)}`],
    ['holds', PROMISE],
  ])
}
