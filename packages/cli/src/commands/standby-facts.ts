// What the files of a standby tell while it runs or not. How far it is, its own process says: `data/` opens in one process at a time.
import { homeOwner } from '@timberline/engine'
import { readStandbyLabel } from '@timberline/recovery'
import { nodeFileSystem } from '@timberline/wal'
import type { Outcome } from '../command.ts'
import { columns } from '../quantity.ts'

/** `timberline stat` of a standby's folder; `undefined` for any other. */
export async function standbyFacts(home: string): Promise<Outcome | undefined> {
  const label = await readStandbyLabel(home, nodeFileSystem)
  if (label === undefined) return undefined
  const owner = await homeOwner(home)
  const { environmentId, phase, timeline, aside } = label
  return {
    document: { home, standby: label, owner: owner ?? null },
    lines: columns([
      ['standby', home],
      ['environment', environmentId],
      ['timeline', timeline === undefined ? 'none yet' : String(timeline)],
      ['stage', phase === 'promote' ? 'a promotion is unfinished' : phase],
      ['open in', owner === undefined ? 'no process' : `process ${String(owner.pid)}`],
      ...(aside === undefined ? [] : [['home before', `kept in ${aside}`]]),
      [
        'how far it is',
        'printed by `timberline standby` while it runs; `timberline standby --once` catches up and tells',
      ],
    ]),
  }
}
