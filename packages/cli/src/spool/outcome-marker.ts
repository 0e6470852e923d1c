/**
 * What the worker of a spool leaves for the call that will ask: `NAME.ok` or `NAME.error`, removed when used. An `.ok` says which bytes
 * were archived where, so that a marker of an older file of that name, or for another archive, cannot pass for success.
 */
import { isAbsolute, join } from 'node:path'
import {
  type ErrorKind,
  nodeFileSystem,
  readFileWhole,
  removeIfPresent,
  systemCode,
  TimberlineError,
  writeFileAtomic,
} from '@timberline/wal'
import type { ContentDigest } from '../source-file.ts'
import { isErrorKind } from '../exit-code.ts'

/** How an attempt to archive one file ended; `archive` is what {@link wholeAddress} says. */
export type PushOutcome =
  | ({ readonly type: 'ok'; readonly archive: string } & ContentDigest)
  | { readonly type: 'error'; readonly archive: string; readonly error: ToldError }

/** An error as a marker carries it from one process to another. */
export interface ToldError {
  readonly code: string
  readonly kind: ErrorKind
  readonly hint: string
  readonly message: string
}

const SUFFIXES = ['ok', 'error'] as const
const MARKER = /^(.+)\.(ok|error)$/
const MARKER_BYTES_MAX = 64 * 1024

/** The address of an archive, with this process's folder when it may depend on that: what two calls must have in common. */
export function wholeAddress(url: string): string {
  return isAbsolute(url) || url.startsWith('s3:') ? url : `${url} seen from ${process.cwd()}`
}

/** Leaves an outcome for the next call. */
export async function leaveOutcome(spool: string, name: string, outcome: PushOutcome): Promise<void> {
  const { type, ...content } = outcome
  await writeFileAtomic(join(spool, `${name}.${type}`), Buffer.from(`${JSON.stringify(content)}\n`))
}

/** Takes the outcome that waits for a file out of the spool; one that cannot be understood counts as none. */
export async function takeOutcome(spool: string, name: string): Promise<PushOutcome | undefined> {
  const outcomes: (PushOutcome | undefined)[] = []
  for (const type of SUFFIXES) {
    const path = join(spool, `${name}.${type}`)
    const bytes = await readMarker(path)
    if (bytes === undefined) continue
    // Removed before it is used: no outcome is told twice.
    await removeIfPresent(path)
    outcomes.push(decodeOutcome(type, bytes))
  }
  return outcomes.find((outcome) => outcome !== undefined)
}

/** Names and types of the outcomes that wait. */
export async function listOutcomes(
  spool: string,
): Promise<readonly { readonly name: string; readonly type: string; readonly path: string }[]> {
  return (await nodeFileSystem.list(spool)).flatMap((file) => {
    const [, name, type] = MARKER.exec(file) ?? []
    return name === undefined || type === undefined ? [] : [{ name, type, path: join(spool, file) }]
  })
}

/** Makes the error of a marker an error of this process, with the same code and exit code. */
export function errorTold({ message, ...init }: ToldError): TimberlineError {
  return new TimberlineError(message, init)
}

/** What a marker says; `undefined` for bytes that are none. */
export function decodeOutcome(type: 'ok' | 'error', bytes: Buffer): PushOutcome | undefined {
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
  const { archive, bytes: length, sha256, error } = record(value)
  if (typeof archive !== 'string') return undefined
  if (type === 'ok') {
    const isDigest = typeof sha256 === 'string' && typeof length === 'number' && Number.isSafeInteger(length)
    return isDigest ? { type, archive, bytes: length, sha256 } : undefined
  }
  const { code, kind, hint, message } = record(error)
  if (typeof code !== 'string' || typeof hint !== 'string' || typeof message !== 'string') return undefined
  return isErrorKind(kind) ? { type, archive, error: { code, kind, hint, message } } : undefined
}

/** `undefined` when there is none; a beginning too short to understand when it is longer than any of ours. */
async function readMarker(path: string): Promise<Buffer | undefined> {
  const status = await nodeFileSystem.status(path)
  if (status === undefined) return undefined
  if (status.bytes > MARKER_BYTES_MAX) return Buffer.alloc(0)
  try {
    return await readFileWhole(path)
  } catch (error) {
    // A worker that begins clears what an earlier one left.
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
