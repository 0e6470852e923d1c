import { followSegments } from '@timberline/wal'
import type { Voyage } from './ship-begin.ts'

/** Keeps the backlog up with the log until the signal; memory is one step's facts. */
export async function followBacklog({ shipment, backlog }: Voyage, onNoted: () => void): Promise<void> {
  const { logDirectory: directory, fileSystem, signal, gatherMs } = shipment
  const fromSegment = backlog.followSegment
  for await (const step of followSegments({ directory, fromSegment, fileSystem, signal, gatherMs })) {
    backlog.note(step)
    onNoted()
  }
}
