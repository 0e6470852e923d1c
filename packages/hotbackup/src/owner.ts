/**
 * What a backup asks of the process that has the home open: to seal the log file that it writes, and what its commits waited
 * meanwhile. Neither is needed for a backup that can be recovered, so nobody there, a refusal and silence are all the same to it, and
 * are told as events. An owner that was silent once is not asked again: it may be stopped, and each question would wait as long.
 */
import { controlCall, meterCommits } from '@timberline/engine'
import type { MeteredCommits, WriterReport } from '@timberline/engine'
import { TimberlineError } from '@timberline/wal'
import type { HotbackupListener } from './events.ts'

/** The log file that the owner of a home sealed for a backup; the log goes on in the next one. */
export interface SealedLog {
  readonly segmentNumber: number
  /** Its last record. */
  readonly lsn: number
}

/** The owner of a home, if there is one, for the length of a backup. */
export interface Owner {
  /** Has the active log file sealed; `undefined` when it was not. */
  seal(): Promise<SealedLog | undefined>
  /** What commits waited since the beginning; `undefined` when nobody can tell. */
  writers(): Promise<WriterReport | undefined>
  close(): void
}

interface OwnerOptions {
  readonly home: string
  readonly onEvent: HotbackupListener
  /** How long each answer is waited for, in milliseconds. */
  readonly timeoutMs?: number
}

const TIMEOUT_MS = 5000
const NOBODY = 'nobody listens on the control socket of the home'

/** Begins to meter what commits wait, if the home has an owner that answers. */
export async function meetOwner(options: OwnerOptions): Promise<Owner> {
  try {
    return new AskedOwner(
      options,
      await meterCommits(options.home, { timeoutMs: options.timeoutMs ?? TIMEOUT_MS }),
    )
  } catch (error) {
    return new AskedOwner(options, reasonOf(error))
  }
}

class AskedOwner implements Owner {
  readonly #options: OwnerOptions
  readonly #meter: MeteredCommits | undefined
  /** Why the owner is not asked. */
  #reason: string | undefined

  /** @param met - what it meters, or why it does not */
  constructor(options: OwnerOptions, met: MeteredCommits | string) {
    this.#options = options
    this.#meter = typeof met === 'string' ? undefined : met
    this.#reason = typeof met === 'string' ? met : undefined
  }

  async seal(): Promise<SealedLog | undefined> {
    const { home, onEvent, timeoutMs = TIMEOUT_MS } = this.#options
    try {
      if (this.#reason !== undefined) throw new Error(this.#reason)
      const sealed = sealedLog(await controlCall(home, { type: 'switch' }, { timeoutMs }))
      if (sealed === undefined) throw new Error('the log has no record yet')
      onEvent({ type: 'log.sealed', ...sealed })
      return sealed
    } catch (error) {
      if (error instanceof TimberlineError && error.code === 'ENGINE_CONTROL_FAILED')
        this.#reason = reasonOf(error)
      onEvent({ type: 'log.unsealed', reason: reasonOf(error) })
      return undefined
    }
  }

  async writers(): Promise<WriterReport | undefined> {
    const { onEvent } = this.#options
    try {
      if (this.#meter === undefined || this.#reason !== undefined) throw new Error(this.#reason)
      const report = await this.#meter.report()
      onEvent({ type: 'writers.metered', ...report })
      return report
    } catch (error) {
      onEvent({ type: 'writers.unmetered', reason: reasonOf(error) })
      return undefined
    }
  }

  close(): void {
    this.#meter?.close()
  }
}

/** An active file without records is not sealed: the one before it is, and the log goes on where it should. */
function sealedLog(reply: unknown): SealedLog | undefined {
  const {
    header,
    lastLsn: lsn,
    sealed,
  } = reply as {
    readonly header: { readonly segmentNumber: number }
    readonly lastLsn: number
    readonly sealed: boolean
  }
  const segmentNumber = sealed ? header.segmentNumber : header.segmentNumber - 1
  return segmentNumber === 0 ? undefined : { segmentNumber, lsn }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof TimberlineError)) return error instanceof Error ? error.message : String(error)
  return error.code === 'ENGINE_NOT_RUNNING' ? NOBODY : `${error.code} ${error.message}`
}
