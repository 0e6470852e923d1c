import {
  type Archive,
  type ArchiveFinding,
  repairArchive,
  type RepairOutcome,
  type RepairStep,
} from '@timberline/archive'
import { readHomeIdentity } from '@timberline/engine'
import { type ArchiveDamage, damageOf, lossLines } from '../archive-loss.ts'
import type { Command, Outcome } from '../command.ts'
import { columns } from '../quantity.ts'
import { readableArchive } from '../archive-access.ts'

const done: readonly RepairOutcome[] = ['repaired', 'unneeded']

/** `timberline archive repair` */
export const archiveRepairCommand: Command = async (args, { progress: begin, signal, tell }) => {
  const home = args.text('home')
  // A home of another database has nothing that could be right here.
  const expected = home === undefined ? undefined : (await readHomeIdentity(home)).environmentId
  const archive = await readableArchive(args.required('archive'), args, expected)
  const { environmentId } = archive.identity
  const from: Archive[] = []
  for (const url of args.list('from')) from.push(await readableArchive(url, args, environmentId))
  const apply = args.flag('apply')
  const names = args.has('object') ? args.list('object') : undefined
  const progress = begin('verifying', 'bytes')
  const steps: RepairStep[] = []
  try {
    const repair = repairArchive({
      archive,
      from,
      home,
      names,
      apply,
      signal,
      onProgress: ({ bytesRead, bytesToRead }) => progress.update(bytesRead, bytesToRead),
    })
    for await (const step of repair) {
      tell(`${step.outcome} ${step.name}`)
      steps.push(step)
    }
  } finally {
    progress.end()
  }
  return outcomeOf(archive, steps, apply)
}

async function outcomeOf(archive: Archive, steps: readonly RepairStep[], apply: boolean): Promise<Outcome> {
  const open = steps.filter(({ outcome }) => !done.includes(outcome))
  const findings = open.flatMap(({ finding }): readonly ArchiveFinding[] =>
    finding === undefined ? [] : [finding],
  )
  const { damage, unreachable } = await damageOf(archive, findings)
  const losses = new Map(damage.map((one) => [one.name, one]))
  const { url } = archive.store
  return {
    document: {
      archive: url,
      applied: apply,
      objects: steps.map((step) => objectOf(step, losses.get(step.name))),
      unreachable,
    },
    lines: [
      ...columns(
        steps.map(({ outcome, name, source, reason }) => [
          outcome,
          name,
          reason ?? (source === undefined ? '' : `from ${source}`),
        ]),
      ),
      ...open.flatMap(({ tried }) => tried.map((line) => `tried ${line}`)),
      ...damage.flatMap(lossLines),
      summaryOf(url, { steps, open, apply }),
    ],
    exitCode: open.length === 0 ? 0 : 1,
  }
}

function objectOf({ finding, ...step }: RepairStep, loss: ArchiveDamage | undefined): object {
  const { code, message } = finding ?? {}
  return {
    ...step,
    code,
    message,
    ...(loss?.unreachable === undefined ? {} : { unreachable: loss.unreachable }),
  }
}

function summaryOf(
  url: string,
  {
    steps,
    open,
    apply,
  }: { readonly steps: readonly RepairStep[]; readonly open: readonly RepairStep[]; readonly apply: boolean },
): string {
  if (steps.length === 0) return `${url}: whole, nothing to repair`
  const repairable = open.filter(({ outcome }) => outcome === 'repairable').length
  if (!apply)
    return `${url}: ${String(repairable)} of ${String(open.length)} can be repaired; nothing was changed without --apply`
  const repaired = steps.filter(({ outcome }) => outcome === 'repaired').length
  return `${url}: ${String(repaired)} repaired, ${String(open.length)} left`
}
