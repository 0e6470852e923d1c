import { resolve } from 'node:path'
import { homeLayout, readHomeIdentity } from '@timberline/engine'
import {
  type BackupEstimate,
  type BackupMoment,
  type BackupResult,
  type BackupTarget,
  estimateBackup,
  hotbackup,
  type RestartReason,
  offlineBackup,
} from '@timberline/hotbackup'
import { promptFileSystem, segmentName } from '@timberline/wal'
import { type Arguments, folderList } from '../arguments.ts'
import type { Command } from '../command.ts'
import { ratesOf } from '../copy-rate.ts'
import { cliError } from '../errors.ts'
import { formatInstant, formatPoint } from '../instant.ts'
import { columns, formatBytes, formatMs } from '../quantity.ts'
import { existingArchive } from '../archive-access.ts'
import { dueByRecoveryTime } from './recovery-limit.ts'
import { copyProgress } from './copy-progress.ts'
import { plainHotbackup } from './hotbackup-plain.ts'

/** `timberline hotbackup` */
export const hotbackupCommand: Command = async (args, surroundings) => {
  const plain = args.text('plain')
  if (plain !== undefined) return plainHotbackup(plain, args, surroundings)
  const home = args.required('home')
  const identity = await readHomeIdentity(home)
  refuseOtherFolders(args, home)
  const target = await targetOf(args, identity.environmentId)
  const limitUs = args.number('when-recovery-exceeds')
  if (limitUs !== undefined && typeof target !== 'string' && 'archive' in target) {
    const verdict = await dueByRecoveryTime(target.archive, { path: home, identity }, limitUs)
    if (!verdict.isDue) return { document: verdict, lines: [`not due: ${verdict.reason}`] }
    surroundings.tell(`due: ${verdict.reason}`)
  }
  const progress = copyProgress(surroundings)
  const moment = momentOf(args)
  const base = args.text('base')
  const isIncremental = args.flag('incremental') || base !== undefined
  const options = {
    home,
    target,
    digest: !args.flag('no-digest'),
    incremental: isIncremental,
    ...(base === undefined ? {} : { base }),
    signal: surroundings.signal,
    ...ratesOf(args),
    ...(moment === undefined ? {} : { asOf: moment }),
    // This process does nothing else meanwhile.
    fileSystem: promptFileSystem,
    onEvent: progress.onEvent,
  }
  if (args.flag('estimate')) {
    const estimate = await estimateBackup({ ...options, update: args.flag('update') })
    const exitCode = estimate.fits === false ? 1 : 0
    return { document: estimate, lines: estimateLines(estimate), exitCode }
  }
  try {
    const result = args.flag('offline')
      ? await offlineBackup(options)
      : await hotbackup({
          ...options,
          update: args.flag('update'),
          recover: args.flag('recover'),
          checkpoint: args.flag('checkpoint'),
        })
    return { document: documentOf(result), lines: linesOf(result, { isIncremental }) }
  } finally {
    progress.end()
  }
}

function momentOf(args: Arguments): BackupMoment | undefined {
  const moment = args.text('as-of')
  return moment === 'start' || moment === 'end' ? moment : undefined
}

async function targetOf(args: Arguments, environmentId: string): Promise<BackupTarget> {
  const archiveUrl = args.text('archive')
  if (archiveUrl !== undefined) return { archive: await existingArchive(archiveUrl, environmentId) }
  const prefix = args.text('prefix')
  if (prefix === undefined) return args.required('target')
  const dirs = folderList(args.required('dirs'))
  const volumePages = args.number('volume-pages') ?? 0
  const parity = args.number('parity') ?? 0
  return { volumes: { prefix, volumePages, dirs, parity, newSeries: args.flag('new-series') } }
}

/** Berkeley DB lets -d and -l point elsewhere; here they may only confirm where the home keeps its files. */
function refuseOtherFolders(args: Arguments, home: string): void {
  const { dataDirectory, logDirectory } = homeLayout(home)
  const wanted = [
    ...args.list('data-dir').map((given) => ({ given, expected: dataDirectory, letter: '-d' })),
    ...[args.text('log-dir') ?? []].flat().map((given) => ({ given, expected: logDirectory, letter: '-l' })),
  ]
  for (const { given, expected, letter } of wanted) {
    // As there, a relative path is relative to the home; one from here is understood too.
    const isMeant = [resolve(home, given), resolve(given)].includes(resolve(expected))
    if (isMeant) continue
    throw cliError('CLI_DIRECTORY_ELSEWHERE', `${letter} is not the folder of this home`, {
      details: { given, expected },
    })
  }
}

function documentOf({ manifest, ...rest }: BackupResult): unknown {
  const { label, environmentId, timeline, kind, asOf, beginLsn, endLsn, endCommittedAtUs, digest, files } =
    manifest
  return {
    ...rest,
    label,
    environmentId,
    timeline,
    kind,
    base: manifest.base,
    asOf,
    checkpointLsn: manifest.checkpoint.lsn,
    beginLsn,
    endLsn,
    endCommittedAt: formatInstant(endCommittedAtUs),
    sealed: manifest.sealed,
    digest,
    fileCount: files.length,
  }
}

function estimateLines(estimate: BackupEstimate): readonly string[] {
  const { target, dataBytes, logBytes, reusedBytes, copyBytes, freeBytes, fits, bytesPerS, rate, seconds } =
    estimate
  const parts = `${formatBytes(dataBytes)} of tables, ${formatBytes(logBytes)} of log`
  return columns([
    ['target', target],
    ['to copy', `${formatBytes(copyBytes)}: ${parts}`],
    ['to reuse', formatBytes(reusedBytes)],
    ...volumesEstimateRows(estimate),
    ['free', freeBytes === undefined ? 'not known' : formatBytes(freeBytes)],
    ['fits', fits === undefined ? 'not known' : fits ? 'yes' : 'NO'],
    [
      'takes',
      `at least ${formatMs(seconds * 1000)}, at ${formatBytes(Math.round(bytesPerS))}/s: ${RATES[rate]}`,
    ],
  ])
}

const RATES: Readonly<Record<BackupEstimate['rate'], string>> = {
  limit: 'the limit asked for',
  writers: 'the limit while the database is written to',
  measured: 'as files of the home were just read and hashed',
}

function volumesEstimateRows({ volumes }: BackupEstimate): readonly (readonly string[])[] {
  if (volumes === undefined) return []
  const { call, pages, bytesMax, folders } = volumes
  return [
    ['call', `${String(call)}: ${call === 1 ? 'full' : 'what is new'}`],
    ['pages', `${String(pages)} of 8 KiB in ${filesText(volumes)}, at most ${formatBytes(bytesMax)}`],
    ...folders.map((folder) => [
      '',
      `${folder.directory}: ${filesText(folder)}, at most ${formatBytes(folder.bytesMax)} of ${formatBytes(folder.freeBytes)}`,
    ]),
  ]
}

function filesText({ volumeCount, parityCount }: { volumeCount: number; parityCount: number }): string {
  const volumes = `${String(volumeCount)} volumes`
  return parityCount === 0 ? volumes : `${volumes} and ${String(parityCount)} of parity`
}

function linesOf(
  result: BackupResult,
  { isIncremental }: { readonly isIncremental: boolean },
): readonly string[] {
  const { manifest, bytes, copiedBytes, reusedBytes, ms, target } = result
  const rate = ms === 0 ? '' : `, ${formatBytes((copiedBytes / ms) * 1000)}/s`
  return columns([
    ['backup', manifest.label],
    ['target', target],
    ['holds everything through', formatPoint(manifest.endLsn, manifest.endCommittedAtUs)],
    ['size', `${formatBytes(bytes)} in ${String(manifest.files.length)} files`],
    ...volumeRows(result),
    ['copied', `${formatBytes(copiedBytes)} in ${formatMs(ms)}${rate}`],
    ...(result.heldBackMs === 0
      ? []
      : [['held back', `${formatMs(result.heldBackMs)} of that, by the limit of the rate`]]),
    ...(result.restarts.length === 0 ? [] : [['begun anew', restartsText(result)]]),
    ...(reusedBytes === 0 && !isIncremental ? [] : [['reused', reusedText(result)]]),
    ['log sealed', sealedText(result)],
    ['writers', writersText(result)],
    ['digest', manifest.digest === undefined ? 'not computed' : `sha256 ${manifest.digest.hex}`],
  ])
}

const RESTARTED: Readonly<Record<RestartReason, string>> = {
  bulkload: 'data was loaded beside the log',
  recipients: 'the recipients of the archive were changed',
}

function restartsText({ restarts }: BackupResult): string {
  const times = restarts.length === 1 ? 'once' : `${String(restarts.length)} times`
  return `${times}, because ${[...new Set(restarts)].map((reason) => RESTARTED[reason]).join(' and ')}`
}

function sealedText({ manifest: { sealed } }: BackupResult): string {
  if (sealed === undefined) return 'no: taken as far as it is durable'
  return `${segmentName(sealed.segmentNumber)}, through LSN ${String(sealed.lsn)}`
}

function writersText({ writers }: BackupResult): string {
  if (writers === undefined) return 'not known: nobody has the home open, or nobody answered'
  const { commitCount, longestWaitMs, ms } = writers
  if (commitCount === 0) return 'no commit while the backup was made'
  const perS = Math.round((commitCount * 1000) / ms)
  return `${String(commitCount)} commits, ${String(perS)}/s; the longest waited ${waitText(longestWaitMs)}`
}

/** Most are shorter than a millisecond. */
function waitText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : formatMs(ms)
}

/** As `backup_online` does, the number of pages is told. */
function volumeRows({ volumes }: BackupResult): readonly (readonly string[])[] {
  if (volumes === undefined) return []
  const { call, pages, paths, parityPaths, seriesId } = volumes
  const kind = call === 1 ? 'full' : 'what was new'
  return [
    ['series', `${seriesId}, call ${String(call)}: ${kind}`],
    ['pages', `${String(pages)} of 8 KiB in ${String(paths.length)} volumes`],
    ...[...paths, ...parityPaths].map((path) => ['', path]),
  ]
}

function reusedText({ manifest, reusedBytes }: BackupResult): string {
  if (manifest.base !== undefined) return `${formatBytes(reusedBytes)} of backup ${manifest.base}`
  return reusedBytes === 0 ? 'nothing: there is no earlier backup' : formatBytes(reusedBytes)
}
