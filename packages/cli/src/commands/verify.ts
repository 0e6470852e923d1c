import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type ArchiveFinding, verifyArchive, type VerifyProgress } from '@timberline/archive'
import { BACKUP_LABEL, readHomeIdentity } from '@timberline/engine'
import { verifyBackup } from '@timberline/hotbackup'
import { verifyAgainst, type VerifyAgainstReport } from '@timberline/recovery'
import type { Arguments } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { damageOf, lossLines } from '../archive-loss.ts'
import { findingsOutcome } from '../finding.ts'
import { columns, formatBytes, formatCount, formatMs } from '../quantity.ts'
import { sampleFrom } from '../sample.ts'
import { readableArchive } from '../archive-access.ts'
import { verifyHome } from './home-verification.ts'
import { recoveryMeter } from './recovery-meter.ts'

/** `timberline verify` and `timberline archive verify` */
export const verifyCommand: Command = async (args, surroundings) => {
  const backup = args.text('backup')
  if (backup !== undefined) return verifyBackupFolder(backup, surroundings)
  const url = args.text('archive')
  if (url === undefined) return verifyFolder(args.required('home'), surroundings)
  return args.has('against') ? compare(url, args, surroundings) : verifyWholeArchive(url, args, surroundings)
}

/** A backup is checked as one by either letter: taken for a home it would look damaged, because it is none yet. */
function verifyFolder(folder: string, surroundings: Surroundings): Promise<Outcome> {
  return existsSync(join(folder, BACKUP_LABEL))
    ? verifyBackupFolder(folder, surroundings)
    : verifyHomeFolder(folder, surroundings)
}

async function verifyBackupFolder(backup: string, surroundings: Surroundings): Promise<Outcome> {
  const progress = surroundings.progress('verifying', 'bytes')
  try {
    const findings = await verifyBackup(backup, {
      signal: surroundings.signal,
      onProgress: ({ bytesRead, bytesTotal }) => progress.update(bytesRead, bytesTotal),
    })
    return findingsOutcome(backup, findings)
  } finally {
    progress.end()
  }
}

async function verifyHomeFolder(home: string, { signal, tell }: Surroundings): Promise<Outcome> {
  const { environmentId, timeline } = await readHomeIdentity(home)
  const { findings, ...facts } = await verifyHome(home, { signal, onStep: tell })
  return findingsOutcome(home, findings, { environmentId, timeline, ...facts })
}

async function verifyWholeArchive(
  url: string,
  args: Arguments,
  surroundings: Surroundings,
): Promise<Outcome> {
  const archive = await readableArchive(url, args)
  const findings: ArchiveFinding[] = []
  const sample = sampleFrom(args)
  const progress = surroundings.progress('verifying', 'bytes')
  let seen: VerifyProgress | undefined
  const onProgress = (now: VerifyProgress): void => {
    seen = now
    progress.update(now.bytesRead, now.bytesToRead)
  }
  try {
    const strays = args.flag('strays')
    const { signal } = surroundings
    for await (const finding of verifyArchive(archive, { signal, strays, sample, onProgress })) {
      surroundings.tell(`${finding.code} ${finding.name}`)
      findings.push(finding)
    }
  } finally {
    progress.end()
  }
  const { damage, unreachable } = await damageOf(archive, findings)
  const { objectsKnown: known = 0, objectsRead: read = 0, bytesRead = 0 } = seen ?? {}
  const facts = {
    unreachable,
    objects: { known, read },
    bytesRead,
    ...(sample === undefined ? {} : { sample }),
  }
  const { lines = [], ...outcome } = findingsOutcome(archive.store.url, damage, facts)
  const part = sample === undefined ? '' : `; sample ${args.required('sample')}, seed ${sample.seed}`
  const amount = `${formatCount(read)} of ${formatCount(known)} objects read, ${formatBytes(bytesRead)}${part}`
  return { ...outcome, lines: [...lines, ...damage.flatMap(lossLines), amount] }
}

async function compare(url: string, args: Arguments, surroundings: Surroundings): Promise<Outcome> {
  const archive = await readableArchive(url, args)
  const home = args.required('against')
  await readHomeIdentity(home)
  const meter = recoveryMeter(surroundings)
  try {
    const report = await verifyAgainst({
      archive,
      home,
      signal: surroundings.signal,
      onProgress: meter.update,
    })
    return { document: report, lines: comparisonLines(report), exitCode: report.equal ? 0 : 1 }
  } finally {
    meter.end()
  }
}

function comparisonLines({
  equal,
  lsn,
  live,
  restored,
  base,
  records,
  waitedMs,
  ms,
}: VerifyAgainstReport): readonly string[] {
  return columns([
    [equal ? 'EQUAL' : 'DIFFERENT', `at LSN ${String(lsn)}`],
    ['live', `sha256 ${live.hex}, ${formatCount(live.entries)} entries`],
    ['restored', `sha256 ${restored.hex}, ${formatCount(restored.entries)} entries`],
    ['from', `backup ${base} and ${formatCount(records)} records of log`],
    ['took', `${formatMs(ms)}, of which the archive needed ${formatMs(waitedMs)} to hold that LSN`],
  ])
}
