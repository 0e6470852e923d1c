// Each step of a backup in one line, for `-v`.
import type { HotbackupEvent } from '@timberline/hotbackup'
import type { Surroundings } from '../command.ts'
import { formatBytes } from '../quantity.ts'

/** Tells a step that is over; how far the copy is has its progress bar. */
export function tellEvent(event: HotbackupEvent, { tell }: Surroundings): void {
  if (event.type === 'progressed') return
  if (event.type === 'file.reused') return tell(`reused ${event.name} (${formatBytes(event.bytes)})`)
  if (event.type === 'file.copied') return tell(`copied ${event.name} (${formatBytes(event.bytes)})`)
  const { type, ...facts } = event
  tell(`${type} ${pairs(facts)}`.trimEnd())
}

function pairs(facts: object): string {
  return Object.entries(facts)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}
