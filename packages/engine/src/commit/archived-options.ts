// What `durability: 'archived'` means for one database: which archives, how many of them, how long, and what then.
import { engineError } from '../errors.ts'

/** When a write resolves: once its commit is durable in the home, or once archives hold it too. */
export type Durability = 'local' | 'archived'

/** Options of writes with `durability: 'archived'`. */
export interface ArchivedOptions {
  /** Names by which the home knows its archives (`archive run --name`); 1 to 16, each 1 to 64 letters, digits, `_` and `-`. */
  readonly archives: readonly string[]
  /** How many of them must hold a commit; default all. */
  readonly atLeast?: number | undefined
  /** The longest a commit waits for them, in milliseconds, from the moment it is durable here; 1 to 86,400,000, default 30,000. */
  readonly timeoutMs?: number | undefined
  /**
   * What becomes of a commit after that. `fail` (default): it rejects with ENGINE_NOT_ARCHIVED, though it stands. `accept`: it
   * resolves, and so does every later one at once, until the archives have caught up with the one that was late.
   */
  readonly whenLate?: 'fail' | 'accept' | undefined
}

/** Options with every default filled in. */
export interface ArchivedPolicy {
  readonly archives: readonly string[]
  readonly atLeast: number
  readonly timeoutMs: number
  readonly whenLate: 'fail' | 'accept'
}

const ARCHIVES_MAX = 16
const TIMEOUT_MS = 30_000
const TIMEOUT_MS_MAX = 86_400_000
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/** What a database waits for, if anything. @throws ENGINE_OPTION_INVALID */
export function archivedPolicyOf(options: {
  readonly durability?: Durability | undefined
  readonly archived?: ArchivedOptions | undefined
}): ArchivedPolicy | undefined {
  const { durability, archived } = options
  if (durability !== undefined && durability !== 'local' && durability !== 'archived') {
    throw invalid('durability', String(durability))
  }
  if (archived !== undefined) return completeArchivedOptions(archived)
  if (durability === 'archived') throw invalid('archived.archives', 'none')
  return undefined
}

function completeArchivedOptions(options: ArchivedOptions): ArchivedPolicy {
  const { archives, atLeast = archives.length, timeoutMs = TIMEOUT_MS, whenLate = 'fail' } = options
  const isNamed = archives.length >= 1 && archives.length <= ARCHIVES_MAX
  if (!isNamed || archives.some((name) => !NAME.test(name)) || new Set(archives).size < archives.length) {
    throw invalid('archived.archives', archives.join(', '))
  }
  if (!Number.isInteger(atLeast) || atLeast < 1 || atLeast > archives.length) {
    throw invalid('archived.atLeast', atLeast)
  }
  if (!Number.isInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
    throw invalid('archived.timeoutMs', timeoutMs)
  }
  if (whenLate !== 'fail' && whenLate !== 'accept') throw invalid('archived.whenLate', String(whenLate))
  return { archives: [...archives], atLeast, timeoutMs, whenLate }
}

function invalid(option: string, value: string | number): Error {
  return engineError('ENGINE_OPTION_INVALID', `${option} is out of bounds`, {
    details: { [option]: value },
  })
}
