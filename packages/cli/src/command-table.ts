import type { CommandRow } from './command.ts'
import { backupRows } from './rows/backup-rows.ts'
import { fileRows } from './rows/file-rows.ts'
import { checkingRows } from './rows/checking-rows.ts'
import { homeRows } from './rows/home-rows.ts'
import { recoveryRows } from './rows/recovery-rows.ts'
import { retentionRows } from './rows/retention-rows.ts'
import { standbyRows } from './rows/standby-rows.ts'
import { shippingRows } from './rows/shipping-rows.ts'
import { everywhere } from './rows/shared-options.ts'

/** Every command; help, the README's reference and the parser are made from these rows. */
export const commandTable: readonly CommandRow[] = [
  ...backupRows,
  ...shippingRows,
  ...fileRows,
  ...checkingRows,
  ...retentionRows,
  ...recoveryRows,
  ...standbyRows,
  ...homeRows,
].map((row) => ({
  ...row,
  options: [...row.options, ...everywhere],
}))

/** What a group of commands is for. */
export const groupSummaries: ReadonlyMap<string, string> = new Map([
  ['archive', 'ship the log into an archive, and look after it'],
])

/** The letters that a command understands: `lettersOf('archive list')`. */
export function lettersOf(name: string): readonly string[] {
  const row = commandTable.find((candidate) => candidate.name === name)
  return row === undefined ? [] : [...row.options.flatMap(({ letter }) => letter ?? []), 'V']
}
