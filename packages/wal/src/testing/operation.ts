import type { OpenMode } from '../files/file-system.ts'

const READING = ['read', 'status', 'list', 'watch'] as const
const SYNCING = ['sync', 'syncNow', 'syncDirectory'] as const
const CHANGING = [
  'write',
  'writeNow',
  'truncate',
  'makeDirectory',
  'link',
  'copyFile',
  'rename',
  'remove',
  'removeTree',
] as const

/** The methods of the port: those of handles and those of the file system, `status` standing for both. */
export type OperationKind =
  | 'open'
  | 'close'
  | (typeof READING)[number]
  | (typeof SYNCING)[number]
  | (typeof CHANGING)[number]

/** One call of the port as data. */
export interface Operation {
  /** Counts from 1 over all operations of one `FaultFileSystem`, in the order in which they begin. */
  readonly index: number
  readonly kind: OperationKind
  /** The path that the call or the opening of its handle was given. */
  readonly path: string
  /** The second path of `link`, `copyFile` and `rename`. */
  readonly to?: string
  readonly mode?: OpenMode
  readonly position?: number
  readonly bytes?: number
}

/** Whether the operation changes what a reader or the next start may find, syncs included: where a crash is worth trying. */
export function isMutation({ kind, mode }: Operation): boolean {
  if (kind === 'open') return mode === 'create'
  return SYNCING.some((known) => known === kind) || CHANGING.some((known) => known === kind)
}
