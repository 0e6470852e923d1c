// Commands that read much beside a running database let it go first wherever both want a processor.
import { readdirSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

/** As `nice -n 10`: a tenth of a processor that others want too, all of one that nobody else wants. The lowest would get nearly nothing. */
export const LOWERED_PRIORITY = 10

/** Lowers the priority of this process, unless it is as low already. Where the system refuses, all stays as it is. */
export function lowerPriority(): void {
  for (const thread of threads()) {
    try {
      if (getPriority(thread) < LOWERED_PRIORITY) setPriority(thread, LOWERED_PRIORITY)
    } catch {
      // A thread may have ended by now, or a system may not let go of priorities: nothing depends on it but courtesy.
    }
  }
}

/** On Linux each thread has a priority of its own, and those that Node has started already would keep theirs; elsewhere the process has one. */
function threads(): readonly number[] {
  try {
    return readdirSync('/proc/self/task').map(Number)
  } catch {
    return [process.pid]
  }
}
