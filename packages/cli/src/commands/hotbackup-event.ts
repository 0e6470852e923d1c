// Each step of a backup in one line, for `-v`; in the words of db_hotbackup where it has some, so that whoever looks for its
// lines finds them again.
import type { HotbackupEvent } from '@timberline/hotbackup'
import type { Surroundings } from '../command.ts'
import { formatInstant } from '../instant.ts'
import { formatBytes } from '../quantity.ts'

/** Tells a step that is over; how far the copy is has its progress bar. */
export function tellEvent(event: HotbackupEvent, { tell }: Surroundings): void {
  if (event.type !== 'progressed') tell(lineOf(event))
}

function lineOf(event: HotbackupEvent): string {
  const now = formatInstant(Date.now() * 1000)
  if (event.type === 'backup.begun')
    return `${event.kind} backup started at ${now}, of ${event.home} to ${event.target}`
  if (event.type === 'file.reused') return `reused ${event.name} (${formatBytes(event.bytes)})`
  if (event.type === 'file.copied') return `copied ${event.name} (${formatBytes(event.bytes)})`
  if (event.type === 'log.ended')
    return `lowest numbered log file copied: ${lowestOf(event.segments)}, everything through LSN ${String(event.lsn)}`
  if (event.type === 'backup.ended') return `backup completed at ${now}`
  const { type, ...facts } = event
  return `${type} ${pairs(facts)}`.trimEnd()
}

/** The number in the names of log files that is least. */
function lowestOf(segments: readonly string[]): string {
  const numbers = segments.map((name) => Number(name.slice(name.lastIndexOf('.') + 1)))
  return numbers.length === 0 ? 'none' : String(numbers.reduce((least, number) => Math.min(least, number)))
}

function pairs(facts: object): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}
