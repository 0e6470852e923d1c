// What the files of a standby tell while it runs or not. How far it is, its own process says: `data/` opens in one process at a time.
import { controlCall, homeOwner } from '@timberline/engine'
import { readStandbyLabel } from '@timberline/recovery'
import { nodeFileSystem } from '@timberline/wal'
import type { Outcome } from '../command.ts'
import { formatPoint } from '../instant.ts'
import { columns, formatMs } from '../quantity.ts'

/** `timberline stat` of a standby's folder; `undefined` for any other. */
export async function standbyFacts(home: string): Promise<Outcome | undefined> {
  const label = await readStandbyLabel(home, nodeFileSystem)
  if (label === undefined) return undefined
  const owner = await homeOwner(home)
  const { environmentId, phase, timeline, aside, of } = label
  const status = owner === undefined ? undefined : await statusOf(home)
  return {
    document: { home, standby: label, owner: owner ?? null, status: status ?? null },
    lines: columns([
      ['standby', home],
      ['environment', environmentId],
      ['follows', of === undefined ? 'an archive' : of.home],
      ['timeline', timeline === undefined ? 'none yet' : String(timeline)],
      ['stage', phase === 'promote' ? 'a promotion is unfinished' : phase],
      ['open in', owner === undefined ? 'no process' : `process ${String(owner.pid)}`],
      ...(aside === undefined ? [] : [['home before', `kept in ${aside}`]]),
      ['how far it is', status === undefined ? 'told by `timberline standby --once`' : farText(status)],
    ]),
  }
}

interface RunningStatus {
  readonly lsn: number
  readonly committedAtUs: number
  readonly lagMs: number
}

/** What its process answers; `undefined` where it does not. */
async function statusOf(home: string): Promise<RunningStatus | undefined> {
  const status = await controlCall(home, { type: 'status' }, { timeoutMs: 2000 }).catch(() => undefined)
  return isStatus(status) ? status : undefined
}

function isStatus(value: unknown): value is RunningStatus {
  if (typeof value !== 'object' || value === null) return false
  const { lsn, committedAtUs, lagMs }: Partial<Record<keyof RunningStatus, unknown>> = value
  return [lsn, committedAtUs, lagMs].every((number) => typeof number === 'number')
}

function farText({ lsn, committedAtUs, lagMs }: RunningStatus): string {
  return `${formatPoint(lsn, committedAtUs)}, lag ${formatMs(lagMs)}`
}
