// Progress is for people and goes to standard error: a bar where there is a terminal, elsewhere a line now and then, so that
// a log file of a nightly backup stays short and a short run stays silent.
import { Presets, SingleBar } from 'cli-progress'
import { formatBytes, formatCount } from './quantity.ts'

/** A running piece of work with a known or unknown end. */
export interface Progress {
  /** How much is done, of how much; 0 as the total means unknown. */
  update(done: number, total: number, note?: string): void
  end(): void
}

const lineEveryMs = 5000

/** A bar on a terminal. */
export function progressBar(title: string, unit: 'bytes' | 'records', stream: NodeJS.WriteStream): Progress {
  const format = formatOf(unit)
  const bar = new SingleBar(
    {
      stream,
      format: `${title} {bar} {percentage}% {amount} {note}`,
      hideCursor: true,
      clearOnComplete: true,
      linewrap: false,
      fps: 10,
    },
    Presets.shades_classic,
  )
  let isBegun = false
  return {
    update: (done, total, note = '') => {
      const most = Math.max(total, done, 1)
      const payload = { amount: `${format(done)} / ${total === 0 ? '?' : format(total)}`, note }
      if (!isBegun) bar.start(most, done, payload)
      isBegun = true
      bar.setTotal(most)
      bar.update(done, payload)
    },
    end: () => {
      if (isBegun) bar.stop()
    },
  }
}

/** A line each five seconds, or as often as asked. */
export function progressLines(
  title: string,
  unit: 'bytes' | 'records',
  options: {
    readonly print: (line: string) => void
    readonly everyMs?: number
    readonly nowMs?: () => number
  },
): Progress {
  const { print, everyMs = lineEveryMs, nowMs = () => performance.now() } = options
  const format = formatOf(unit)
  let printedAtMs = nowMs()
  return {
    update: (done, total, note) => {
      if (nowMs() - printedAtMs < everyMs) return
      printedAtMs = nowMs()
      const percent = total === 0 ? '' : ` (${String(Math.floor((100 * done) / Math.max(total, done)))}%)`
      const of = total === 0 ? '' : ` of ${format(total)}`
      print(`${title}: ${format(done)}${of}${percent}${note === undefined || note === '' ? '' : `, ${note}`}`)
    },
    end: () => undefined,
  }
}

function formatOf(unit: 'bytes' | 'records'): (amount: number) => string {
  return unit === 'bytes' ? formatBytes : (amount) => `${formatCount(amount)} records`
}
