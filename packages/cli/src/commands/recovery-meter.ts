import type { RecoveryProgress } from '@timberline/recovery'
import type { Surroundings } from '../command.ts'
import { formatMs } from '../quantity.ts'

/** Shows a running recovery, one bar a phase. */
export function recoveryMeter(surroundings: Surroundings): {
  update: (progress: RecoveryProgress) => void
  end: () => void
} {
  let phase: RecoveryProgress['phase'] | undefined
  let bar = surroundings.progress('recovering', 'bytes')
  return {
    update: (progress) => {
      if (progress.phase !== phase) {
        bar.end()
        phase = progress.phase
        surroundings.tell(`${phase} begun`)
        bar = surroundings.progress(phase, phase === 'restore' ? 'bytes' : 'records')
      }
      const left = `${formatMs(progress.secondsLeft * 1000)} left`
      if (phase === 'restore') bar.update(progress.baseBytes, progress.baseBytesTotal, left)
      else bar.update(progress.records, progress.recordsTotal, left)
    },
    end: () => bar.end(),
  }
}
