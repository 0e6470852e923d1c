import { followSegments } from '@timberline/wal'
import type { Demand } from './demand.ts'
import type { Voyage } from './ship-begin.ts'

/** Told while a log is followed. */
export interface FollowListener {
  /** The backlog has taken something in. */
  readonly onNoted: () => void
  /** What is wanted was read anew: what was noted before may be wanted only now. */
  readonly onAsked: () => void
}

/** Keeps the backlog up with the log until the signal; memory is one step's facts. */
export async function followBacklog(
  { shipment, backlog }: Voyage,
  demand: Demand,
  listener: FollowListener,
): Promise<void> {
  const { logDirectory: directory, fileSystem, signal } = shipment
  const fromSegment = backlog.followSegment
  const gather = async (rang: boolean): Promise<boolean> => {
    if (signal.aborted) return false
    const isAwaited = await demand.gather(rang, backlog)
    listener.onAsked()
    return isAwaited
  }
  const durableLsn = (): number => demand.durableLsn
  const options = { directory, fromSegment, fileSystem, signal, gather, durableLsn }
  try {
    for await (const step of followSegments(options)) {
      backlog.note(step)
      listener.onNoted()
    }
  } finally {
    await demand.close()
  }
}
