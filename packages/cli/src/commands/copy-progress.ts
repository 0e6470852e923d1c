// Progress of a copy beside a running database, and a word on its limit when the copy will take long by it: a backup that takes ten
// times as long as it could must not do so in silence.
import type { HotbackupListener } from '@timberline/hotbackup'
import type { Surroundings } from '../command.ts'
import { formatBytes, formatMs } from '../quantity.ts'
import { tellEvent } from './hotbackup-event.ts'

/** What a listener of a backup prints while it runs. */
export interface CopyProgress {
  readonly onEvent: HotbackupListener
  end(): void
}

/** So long a rest of the copy is worth a warning. */
const LONG_S = 60

/** Begins to print. */
export function copyProgress(surroundings: Surroundings): CopyProgress {
  const progress = surroundings.progress('copying', 'bytes')
  let bytesPerS: number | undefined
  let isWarned = false
  const warnOnce = (bytesLeft: number): void => {
    if (isWarned || bytesPerS === undefined || bytesLeft / bytesPerS < LONG_S) return
    isWarned = true
    const length = formatMs((bytesLeft / bytesPerS) * 1000)
    surroundings.warn(
      `the database is being written to, so the copy keeps to ${formatBytes(bytesPerS)}/s: ${formatBytes(bytesLeft)} take ` +
        `${length}; --max-mb-per-s none copies at full speed`,
    )
  }
  return {
    onEvent: (event) => {
      if (event.type === 'rate.limited') bytesPerS = event.bytesPerS
      if (event.type === 'rate.lifted') bytesPerS = undefined
      if ('bytesTotal' in event) {
        const note = bytesPerS === undefined ? '' : `at most ${formatBytes(bytesPerS)}/s beside the writer`
        progress.update(event.bytesCopied, event.bytesTotal, note)
        warnOnce(event.bytesTotal - event.bytesCopied)
      }
      tellEvent(event, surroundings)
    },
    end: () => progress.end(),
  }
}
