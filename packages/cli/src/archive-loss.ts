import type { Archive, ArchiveFinding } from '@timberline/archive'
import { type Loss, lostBy, type LostRange } from '@timberline/recovery'
import type { Finding } from './finding.ts'
import { formatInstant } from './instant.ts'

/** A finding of an archive with what it makes unreachable. */
export interface ArchiveDamage extends Finding {
  /** Absent for what holds neither log nor a backup. */
  readonly unreachable?: Loss | undefined
}

/** Works out what damage costs: of each finding, and together. */
export async function damageOf(
  archive: Archive,
  findings: readonly ArchiveFinding[],
): Promise<{ readonly damage: readonly ArchiveDamage[]; readonly unreachable: readonly LostRange[] }> {
  if (findings.length === 0) return { damage: [], unreachable: [] }
  // Without the journal nothing can be said of anything.
  if (findings.some(({ name }) => name.startsWith('journal/'))) {
    return { damage: findings.map(({ code, name, message }) => ({ code, name, message })), unreachable: [] }
  }
  const subjects = findings.flatMap(({ subject }) => subject ?? [])
  const { each, total } = lostBy(await archive.catalogue(), subjects)
  const losses = new Map(subjects.map((subject, index) => [subject, each[index]]))
  const damage = findings.map(({ code, name, message, subject }) => {
    const loss = subject === undefined || subject.type === 'file' ? undefined : losses.get(subject)
    return { code, name, message, ...(loss === undefined ? {} : { unreachable: loss }) }
  })
  return { damage, unreachable: total }
}

/** What a finding costs, in words. */
export function lossLines({ name, unreachable }: ArchiveDamage): readonly string[] {
  if (unreachable === undefined) return []
  const { ranges, coveredBy } = unreachable
  if (ranges.length > 0) return ranges.map((range) => `unreachable without ${name}: ${formatLost(range)}`)
  const why =
    coveredBy.length === 0 ? 'no backup reaches it' : `the same can be had from ${coveredBy.join(' and ')}`
  return [`unreachable without ${name}: nothing, ${why}`]
}

/** `timeline 1, LSN 5 to 8, committed from … to …`. */
export function formatLost({ timeline, fromLsn, throughLsn, ...times }: LostRange): string {
  const { fromCommittedAtUs, throughCommittedAtUs } = times
  const end = throughCommittedAtUs === undefined ? 'the end' : formatInstant(throughCommittedAtUs)
  const place = `timeline ${String(timeline)}, LSN ${String(fromLsn)} to ${String(throughLsn)}`
  return `${place}, committed from ${formatInstant(fromCommittedAtUs)} to ${end}`
}
