import { recoveryError } from '../errors.ts'
import { type Branch, type History, rooted } from './history.ts'

/**
 * One history out of several.
 *
 * @throws RECOVERY_ENVIRONMENT_MISMATCH
 */
export function unite(parts: readonly History[]): History {
  const branches = new Map<number, Branch>()
  for (const branch of parts.flatMap((part) => part.branches)) {
    const known = branches.get(branch.timeline)
    if (known?.parent === undefined) branches.set(branch.timeline, branch)
    else if (branch.parent !== undefined) refuseOtherFork(known, branch)
  }
  return {
    branches: rooted([...branches.values()]).toSorted((a, b) => a.timeline - b.timeline),
    spans: parts.flatMap((part) => part.spans),
    bases: parts.flatMap((part) => part.bases),
    deltas: parts.flatMap((part) => part.deltas ?? []),
    marks: parts.flatMap((part) => part.marks),
    known: parts.flatMap((part) => part.known),
  }
}

/** Two homes recovered without their archive may have taken the same number: their records must not be mixed. */
function refuseOtherFork(a: Branch, b: Branch): void {
  if (a.parent === b.parent && a.forkLsn === b.forkLsn) return
  throw recoveryError('RECOVERY_ENVIRONMENT_MISMATCH', 'two histories have the same timeline number', {
    details: { timeline: a.timeline, forkLsn: a.forkLsn, otherForkLsn: b.forkLsn },
  })
}
