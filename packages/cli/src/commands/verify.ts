import { verifyArchive } from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import { verifyBackup } from '@timberline/hotbackup'
import { verifyAgainst, type VerifyAgainstReport } from '@timberline/recovery'
import type { Arguments } from '../arguments.ts'
import type { Command, Outcome, Surroundings } from '../command.ts'
import { type Finding, findingsOutcome } from '../finding.ts'
import { columns, formatCount, formatMs } from '../quantity.ts'
import { existingArchive } from './archive-access.ts'
import { verifyHome } from './home-verification.ts'
import { recoveryMeter } from './recovery-meter.ts'

/** `timberline verify` and `timberline archive verify` */
export const verifyCommand: Command = async (args, surroundings) => {
  const backup = args.text('backup')
  if (backup !== undefined) return verifyBackupFolder(backup, surroundings)
  const url = args.text('archive')
  if (url === undefined) return verifyHomeFolder(args.required('home'), surroundings)
  return args.has('against')
    ? compare(url, args, surroundings)
    : verifyWholeArchive(url, args.flag('strays'), surroundings)
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
  strays: boolean,
  surroundings: Surroundings,
): Promise<Outcome> {
  const archive = await existingArchive(url)
  const findings: Finding[] = []
  const { signal } = surroundings
  for await (const finding of verifyArchive(archive, { signal, strays })) {
    surroundings.tell(`${finding.code} ${finding.name}`)
    findings.push(finding)
  }
  return findingsOutcome(archive.store.url, findings)
}

async function compare(url: string, args: Arguments, surroundings: Surroundings): Promise<Outcome> {
  const archive = await existingArchive(url)
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
