import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { RawLevel, TimberLevel } from '@timberline/engine'
import { beginBackup, type StepBackupOptions, type StepReport } from '@timberline/hotbackup'
import type { Arguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { cliError } from '../errors.ts'
import { formatBytes, formatCount } from '../quantity.ts'

const PAGE_BYTES = 8192

/** `timberline copy` */
export const copyCommand: Command = async (args, surroundings) => {
  const source = await sourceAt(args.required('home'))
  const progress = surroundings.progress('copying', 'bytes')
  try {
    const backup = await beginBackup(source, args.required('output'), optionsOf(args))
    const pagesPerStep = args.number('pages-per-step')
    const report = await backup.run({
      ...(pagesPerStep === undefined ? {} : { pagesPerStep }),
      pauseMs: args.number('pause-ms') ?? 0,
      signal: surroundings.signal,
      onProgress: ({ remainingPages, pageCount }) =>
        progress.update((pageCount - remainingPages) * PAGE_BYTES, pageCount * PAGE_BYTES),
    })
    return { document: report, lines: linesOf(report) }
  } finally {
    progress.end()
    await source.close()
  }
}

/** A home, or any other LevelDB folder; nothing is made where nothing is. */
async function sourceAt(path: string): Promise<TimberLevel<Buffer, Buffer> | RawLevel> {
  if (await isThere(join(path, 'timberline.json'))) {
    return new TimberLevel<Buffer, Buffer>(path, {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      createIfMissing: false,
    })
  }
  if (await isThere(join(path, 'CURRENT'))) return new RawLevel(path)
  throw cliError('CLI_FILE_MISSING', 'there is no database', { details: { path } })
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

function optionsOf(args: Arguments): StepBackupOptions {
  const asOf = args.text('as-of')
  const busyTimeoutMs = args.number('busy-timeout-ms')
  return {
    compact: args.flag('compact'),
    ...(asOf === 'start' || asOf === 'end' ? { asOf } : {}),
    ...(busyTimeoutMs === undefined ? {} : { busyTimeoutMs }),
  }
}

function linesOf({ entries, bytes, pageCount, asOf, lsn, digest }: StepReport): readonly string[] {
  const state = lsn === undefined ? '' : `, LSN ${String(lsn)}`
  return [
    `copied ${formatCount(entries)} entries, ${formatBytes(bytes)}, in ${formatCount(pageCount)} pages, as of the ${asOf}${state}`,
    `digest ${digest}`,
  ]
}
