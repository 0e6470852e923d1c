import type { Durability } from './archived-options.ts'

/** What a write may say beyond abstract-level's options. */
export interface WriteOptions {
  /**
   * False: resolve once the write is ordered, readable and handed to the operating system. It survives the end of the process, but
   * only from the next durable commit on, or within a second, the loss of power. Default true.
   */
  readonly sync?: boolean | undefined
  /**
   * `archived`: resolve only once the archives that `archived` names hold the commit too. `local`: once it is durable here.
   * Default: the database's; `local` for a write with `sync: false`.
   */
  readonly durability?: Durability | undefined
  /** Kept with the transaction in the log, and shown by `commits$`: plain values, dates and bytes. */
  readonly meta?: unknown
  /** Set by transactions. */
  readonly [COMMIT_GUARD]?: (() => void) | undefined
}

/** Called right before the commit gets its place; what it throws refuses the commit. */
export const COMMIT_GUARD: unique symbol = Symbol('timberline.commitGuard')
