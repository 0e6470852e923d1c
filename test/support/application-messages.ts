/** What the application and its parent tell each other, and what both know beforehand. */
import type { Shape } from '../../packages/hotbackup/test/history.ts'

/** Where an application stood still: after transaction `n`, at `lsn`, and at an instant that no commit shares. */
export interface Stand {
  readonly n: number
  readonly lsn: number
  readonly atUs: number
  readonly digest: string
}

export type Message =
  | { readonly type: 'acknowledged'; readonly n: number }
  | { readonly type: 'stand'; readonly stand: Stand }

export const shape: Shape = { keyCount: 500, valueBytes: 120 }
